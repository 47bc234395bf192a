// PNG (and JPEG where libjpeg-turbo is missing) by stb_image.
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "imgcap/data/image_codecs.h"
#include "tensor/error.h"

namespace {

// A few kilobytes of zlib data can unpack to gigabytes: memory is bounded by what the picture's size
// explains. Each block starts with its size, so that freeing gives it back.
constexpr size_t kPrefix = alignof(std::max_align_t);
thread_local size_t budget = 0;

void* stb_realloc(void* old, size_t size) {
  const size_t before = old == nullptr ? 0 : *reinterpret_cast<size_t*>(static_cast<char*>(old) - kPrefix);
  if (size > budget + before || size > SIZE_MAX - kPrefix) return nullptr;
  void* block = std::realloc(old == nullptr ? nullptr : static_cast<char*>(old) - kPrefix, size + kPrefix);
  if (block == nullptr) return nullptr;
  *static_cast<size_t*>(block) = size;
  budget = budget + before - size;
  return static_cast<char*>(block) + kPrefix;
}

void stb_free(void* old) {
  if (old == nullptr) return;
  char* block = static_cast<char*>(old) - kPrefix;
  budget += *reinterpret_cast<size_t*>(block);
  std::free(block);
}

}  // namespace

#define STBI_MALLOC(size) stb_realloc(nullptr, size)
#define STBI_REALLOC(old, size) stb_realloc(old, size)
#define STBI_FREE(old) stb_free(old)
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#ifndef IMGCAP_HAVE_JPEG
#define STBI_ONLY_JPEG
#endif
#define STBI_NO_STDIO
#define STBI_FAILURE_USERMSG
#define STBI_NO_HDR
#define STBI_NO_LINEAR
// Where a function is inlined decides which line GCC's complaint about stb's union-like context names.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb_image.h>

namespace imgcap::codecs {

Image decode_stb(Bytes bytes, const Header& header, const std::string& name) {
  // At 16 bits and four channels, stb holds a picture in up to three forms, one of them in a doubled buffer.
  budget = static_cast<size_t>(header.width * header.height) * 40 + 4 * bytes.size() + (size_t{4} << 20);
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<stbi_uc, void (*)(void*)> decoded(
      stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &width, &height, &channels, 4),
      stb_free);
  tensor::check(decoded != nullptr, tensor::ErrorKind::data, "{}: damaged picture: {}", name,
                stbi_failure_reason());
  tensor::check(width == header.width && height == header.height, tensor::ErrorKind::data,
                "{}: damaged picture: its headers disagree about the size", name);
  Image image(header.height, header.width);
  const uint8_t* from = decoded.get();
  uint8_t* to = image.pixels.data();
  for (int64_t i = 0; i < header.height * header.width; ++i, from += 4, to += 3)
    over_white(from, from[3], to);
  return image;
}

std::optional<std::string> unpack_zlib(Bytes bytes, size_t limit) {
  std::string text(limit, '\0');
  const int size =
      stbi_zlib_decode_buffer(text.data(), static_cast<int>(limit),
                              reinterpret_cast<const char*>(bytes.data()), static_cast<int>(bytes.size()));
  if (size < 0) return {};
  text.resize(static_cast<size_t>(size));
  return text;
}

}  // namespace imgcap::codecs
