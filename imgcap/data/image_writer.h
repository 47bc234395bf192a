// Pictures as the bytes of PNG and JPEG files.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "imgcap/data/image.h"

namespace imgcap {

// A PNG of height x width pixels with `channels` bytes each: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA. Errors:
// argument, unless `pixels` has exactly these.
std::string encode_png(std::span<const uint8_t> pixels, int64_t height, int64_t width, int channels);
std::string encode_png(const Image& image);

// A baseline JPEG of quality 1 (smallest) to 100. Errors: argument.
std::string encode_jpeg(const Image& image, int quality);

}  // namespace imgcap
