// Between image.cc and the decoders: not for other rooms.
#pragma once

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

}  // namespace imgcap::codecs
