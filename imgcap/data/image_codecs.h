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

inline uint32_t little16(Bytes bytes, size_t at) {
  return uint32_t{bytes[at]} | uint32_t{bytes[at + 1]} << 8;
}
inline uint32_t little32(Bytes bytes, size_t at) {
  return little16(bytes, at) | little16(bytes, at + 2) << 16;
}
inline uint32_t big16(Bytes bytes, size_t at) { return uint32_t{bytes[at]} << 8 | uint32_t{bytes[at + 1]}; }
inline uint32_t big32(Bytes bytes, size_t at) { return big16(bytes, at) << 16 | big16(bytes, at + 2); }

// What a header says before anything is decoded.
struct Header {
  int64_t width = 0, height = 0;
  int orientation = 1;
  int components = 0;     // JPEG only
  int reduction = 1;      // JPEG only: 2, 4 or 8 of a very large one, whose size here is the reduced one
  size_t palette_at = 0;  // PNG only: where its palette's part begins; 0 without one
  size_t data_end = 0;    // JPEG without an end mark whose scans are all there: where their data end; else 0
};

// Errors: data (names the size and the limit).
void check_size(const Header& header, const ImageLimits& limits, const std::string& name);

// Fails (data): `format` is "PNG" and so on.
[[noreturn]] void cut(const char* format, Bytes bytes, const std::string& name);

// A colour value of this alpha over white, as Pillow's alpha_composite rounds it.
inline uint8_t over_white(int value, int alpha) {
  return static_cast<uint8_t>((value * alpha + 255 * (255 - alpha) + 127) / 255);
}

// Each checks the size, then walks the structure of its format up to the end of the first picture, and fails
// (data) when the file is cut short or its parts do not fit; none takes memory that grows with what the file
// claims.
Header check_jpeg(Bytes bytes, const std::string& name, const ImageLimits& limits);
Header check_png(Bytes bytes, const std::string& name, const ImageLimits& limits);

// `header` has been checked against the limits. Errors: data.
Image decode_jpeg(Bytes bytes, const Header& header, const std::string& name);
Image decode_png(Bytes bytes, const Header& header, const std::string& name);
Image decode_stb(Bytes bytes, const Header& header, const std::string& name);

// A JPEG with header.data_end: decoded with a warning when its picture is whole. Errors: data (cut short).
Image decode_endless_jpeg(Bytes bytes, const Header& header, const std::string& name);

// Both check the size before they take memory. Errors: data.
Image decode_bmp(Bytes bytes, const std::string& name, const ImageLimits& limits);
Image decode_gif(Bytes bytes, const std::string& name, const ImageLimits& limits);

// Unpacks zlib data; nothing when they are damaged or give more than `limit` bytes.
std::optional<std::string> unpack_zlib(Bytes bytes, size_t limit);

// A decoded picture, turned as its file says, which it keeps in `orientation`.
Image upright(Image image, int orientation);

// These check, decode and turn upright in one, by libraries that a build may lack. Errors: data.
Image decode_webp(Bytes bytes, const std::string& name, const ImageLimits& limits);
Image decode_tiff(Bytes bytes, const std::string& name, const ImageLimits& limits);
Image decode_heif(Bytes bytes, const std::string& name, const ImageLimits& limits);

// One pixel of `alpha` over white.
inline void over_white(const uint8_t* from, int alpha, uint8_t* to) {
  for (int c = 0; c < 3; ++c) to[c] = over_white(from[c], alpha);
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
