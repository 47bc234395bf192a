// How a photo has to be turned to stand upright: EXIF's numbers 1 (as it is stored) to 8, wherever a file
// keeps them. A wrong tag is no reason to refuse a photo: what makes no sense counts as absent.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace imgcap::codecs {

// In the TIFF structure of EXIF, with or without "Exif\0\0" before it; 1 when there is none.
int exif_orientation(std::span<const uint8_t> exif);

// In an XMP packet: tiff:Orientation as an attribute or as an element; 1 when there is none.
int xmp_orientation(std::string_view xmp);

// Of a file that may have both: XMP counts when EXIF has no such tag, as in Pillow's exif_transpose.
int orientation_of(std::span<const uint8_t> exif, std::string_view xmp);

// What the text of a PNG called "Raw profile type ..." stands for: a line break, a name, the count of bytes,
// and the bytes in hexadecimal digits on lines of their own (ImageMagick's format). Empty when it is none.
std::vector<uint8_t> raw_profile(std::string_view text);

// What the segments and chunks of XMP and EXIF begin with.
inline constexpr std::string_view kExifBegin{"Exif\0\0", 6};
inline constexpr std::string_view kXmpBegin{"http://ns.adobe.com/xap/1.0/\0", 29};

inline std::string_view text_of(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace imgcap::codecs
