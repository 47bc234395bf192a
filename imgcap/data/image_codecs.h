// Between image.cc and the decoders: not for other rooms.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "imgcap/data/image.h"

namespace imgcap::codecs {

using Bytes = std::span<const uint8_t>;

// What a header says before anything is decoded.
struct Header {
  int64_t width = 0, height = 0;
  int orientation = 1;  // EXIF's, JPEG only
  int components = 0;   // JPEG only
  int reduction = 1;    // JPEG only: 2, 4 or 8 of a very large one, whose size here is the reduced one
};

// Errors: data, with the size and the limit.
void check_size(const Header& header, const ImageLimits& limits, const std::string& name);

// Each checks the size, then walks the structure of its format up to the end of the first picture, and fails
// (data) when the file is cut short or its parts do not fit; none takes memory that grows with what the file
// claims.
Header check_jpeg(Bytes bytes, const std::string& name, const ImageLimits& limits);
Header check_png(Bytes bytes, const std::string& name, const ImageLimits& limits);
Header check_gif(Bytes bytes, const std::string& name, const ImageLimits& limits);
Header check_bmp(Bytes bytes, const std::string& name, const ImageLimits& limits);

// The orientation in the TIFF structure of an EXIF segment (what follows "Exif\0\0"); 1 when there is none or
// the structure makes no sense: a wrong tag is no reason to refuse a photo.
int exif_orientation(Bytes tiff);

// `header` has been checked against the limits. Errors: data.
Image decode_jpeg(Bytes bytes, const Header& header, const std::string& name);
Image decode_stb(Bytes bytes, const Header& header, const std::string& name);

// These check, decode and turn upright in one, by libraries that a build may lack. Errors: data.
Image decode_webp(Bytes bytes, const std::string& name, const ImageLimits& limits);
Image decode_tiff(Bytes bytes, const std::string& name, const ImageLimits& limits);
Image decode_heif(Bytes bytes, const std::string& name, const ImageLimits& limits);

// One pixel of `alpha` over white.
inline void over_white(const uint8_t* from, int alpha, uint8_t* to) {
  const int white = 255 * (255 - alpha) + 127;
  for (int c = 0; c < 3; ++c) to[c] = static_cast<uint8_t>((from[c] * alpha + white) / 255);
}

// Takes `alpha` out of colours that were multiplied by it, as Pillow does.
inline void separate_alpha(uint8_t* colours, int alpha) {
  for (int c = 0; c < 3 && alpha > 0; ++c)
    colours[c] = static_cast<uint8_t>(std::min(255, 255 * colours[c] / alpha));
}

// Cyan, magenta, yellow and black, 255 the most, as Pillow turns them to RGB: black darkens what the other
// inks leave.
inline void inks_to_rgb(const uint8_t* inks, uint8_t* rgb) {
  const int light = 255 - inks[3];
  for (int c = 0; c < 3; ++c) {
    const int product = inks[c] * light + 128;  // of which / 255, rounded, without a division
    rgb[c] = static_cast<uint8_t>(light - (((product >> 8) + product) >> 8));
  }
}

}  // namespace imgcap::codecs
