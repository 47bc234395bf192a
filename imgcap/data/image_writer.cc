#include "imgcap/data/image_writer.h"

#include "tensor/error.h"

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#include <stb_image_write.h>

namespace imgcap {
namespace {

using tensor::check;
using tensor::ErrorKind;

constexpr int64_t kLongestSide = 1 << 16;

void append(void* to, void* data, int size) {
  static_cast<std::string*>(to)->append(static_cast<const char*>(data), static_cast<size_t>(size));
}

void check_sides(int64_t height, int64_t width) {
  check(height > 0 && width > 0 && height < kLongestSide && width < kLongestSide, ErrorKind::argument,
        "picture: {} x {} pixels cannot be packed", height, width);
}

}  // namespace

std::string encode_png(std::span<const uint8_t> pixels, int64_t height, int64_t width, int channels) {
  check_sides(height, width);
  check(channels >= 1 && channels <= 4 && static_cast<int64_t>(pixels.size()) == height * width * channels,
        ErrorKind::argument, "picture: {} bytes for {} x {} pixels of {} channels", pixels.size(), height,
        width, channels);
  std::string bytes;
  const int ok = stbi_write_png_to_func(append, &bytes, static_cast<int>(width), static_cast<int>(height),
                                        channels, pixels.data(), static_cast<int>(channels * width));
  check(ok != 0, ErrorKind::internal, "picture: a PNG of {} x {} cannot be packed", height, width);
  return bytes;
}

std::string encode_png(const Image& image) { return encode_png(image.pixels, image.height, image.width, 3); }

std::string encode_jpeg(const Image& image, int quality) {
  check_sides(image.height, image.width);
  check(quality >= 1 && quality <= 100, ErrorKind::argument, "picture: a JPEG quality of {}; 1 to 100",
        quality);
  std::string bytes;
  const int ok = stbi_write_jpg_to_func(append, &bytes, static_cast<int>(image.width),
                                        static_cast<int>(image.height), 3, image.pixels.data(), quality);
  check(ok != 0, ErrorKind::internal, "picture: a JPEG of {} x {} cannot be packed", image.height,
        image.width);
  return bytes;
}

}  // namespace imgcap
