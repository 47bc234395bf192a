#include "imgcap/data/image_writer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "tensor/error.h"

using namespace imgcap;

namespace {

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// Smooth, as photos are, and different in each channel.
Image gradient(int64_t height, int64_t width) {
  Image image(height, width);
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      uint8_t* pixel = image.row(y) + 3 * x;
      pixel[0] = static_cast<uint8_t>(255 * x / width);
      pixel[1] = static_cast<uint8_t>(255 * y / height);
      pixel[2] = static_cast<uint8_t>(128);
    }
  return image;
}

}  // namespace

TEST_CASE("a PNG comes back to the byte") {
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{1, 1}, {7, 7}, {33, 50}}) {
    const Image image = gradient(height, width), back = decode_image(bytes_of(encode_png(image)), "png");
    CHECK(back.height == height);
    CHECK(back.width == width);
    CHECK(back.pixels == image.pixels);
  }
  // Grey with alpha is read as blended over white.
  const std::vector<uint8_t> shade = {0, 255, 0, 0};
  const Image back = decode_image(bytes_of(encode_png(shade, 1, 2, 2)), "png");
  CHECK(back.pixels == std::vector<uint8_t>{0, 0, 0, 255, 255, 255});
}

TEST_CASE("a PNG of grey, and one with transparent colours") {
  const std::vector<uint8_t> grey = {0, 7, 255};
  CHECK(decode_image(bytes_of(encode_png(grey, 3, 1, 1)), "png").pixels ==
        std::vector<uint8_t>{0, 0, 0, 7, 7, 7, 255, 255, 255});
  // Blended over white: 255 - alpha (255 - colour) / 255.
  const std::vector<uint8_t> colours = {10, 20, 30, 255, 10, 20, 30, 0, 0, 51, 255, 128};
  CHECK(decode_image(bytes_of(encode_png(colours, 1, 3, 4)), "png").pixels ==
        std::vector<uint8_t>{10, 20, 30, 255, 255, 255, 127, 153, 255});
}

TEST_CASE("the longest side is 65,535") {
  const std::vector<uint8_t> line(65536, 9);
  const std::span<const uint8_t> most(line.data(), 65535);
  CHECK(decode_image(bytes_of(encode_png(most, 65535, 1, 1)), "png").height == 65535);
  CHECK(decode_image(bytes_of(encode_png(most, 1, 65535, 1)), "png").width == 65535);
  CHECK_THROWS_AS(encode_png(line, 65536, 1, 1), tensor::Error);
  CHECK_THROWS_AS(encode_png(line, 1, 65536, 1), tensor::Error);
}

TEST_CASE("a JPEG comes back nearly, nearer with more quality") {
  const Image image = gradient(48, 80);
  const std::string fine = encode_jpeg(image, 95), coarse = encode_jpeg(image, 5);
  CHECK(coarse.size() < fine.size());
  const auto differences = [&](const std::string& bytes) {
    const Image back = decode_image(bytes_of(bytes), "jpeg");
    REQUIRE(back.pixels.size() == image.pixels.size());
    std::vector<int> all;
    for (size_t i = 0; i < image.pixels.size(); ++i)
      all.push_back(std::abs(int{back.pixels[i]} - int{image.pixels[i]}));
    return all;
  };
  const auto near = differences(fine), far = differences(coarse);
  CHECK(*std::max_element(near.begin(), near.end()) <= 8);
  CHECK(std::accumulate(far.begin(), far.end(), 0) > 2 * std::accumulate(near.begin(), near.end(), 0));
}

TEST_CASE("pictures that cannot be packed") {
  CHECK_THROWS_WITH_AS(encode_png({}, 0, 0, 3), "picture: 0 x 0 pixels cannot be packed", tensor::Error);
  const std::vector<uint8_t> few(5);
  CHECK_THROWS_WITH_AS(encode_png(few, 1, 2, 3), "picture: 5 bytes for 1 x 2 pixels of 3 channels",
                       tensor::Error);
  CHECK_THROWS_AS(encode_png(few, 1, 1, 5), tensor::Error);
  CHECK_THROWS_WITH_AS(encode_jpeg(Image(1, 1), 0), "picture: a JPEG quality of 0; 1 to 100", tensor::Error);
  CHECK_THROWS_AS(encode_png({}, 1, 1, 0), tensor::Error);
  CHECK_THROWS_AS(encode_jpeg(Image(1, 1), 101), tensor::Error);
  CHECK_THROWS_AS(encode_jpeg(Image(), 80), tensor::Error);
  CHECK_NOTHROW(encode_jpeg(Image(1, 1), 1));
  CHECK_NOTHROW(encode_jpeg(Image(1, 1), 100));
}
