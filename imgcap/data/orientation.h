// How a photo has to be turned to stand upright: EXIF's numbers 1 (as it is stored) to 8, wherever a file
// keeps them. A wrong tag is no reason to refuse a photo: what makes no sense counts as absent.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace imgcap::codecs {

// Of a file that may have both: XMP counts when EXIF has no such tag, as in Pillow's exif_transpose.
int orientation_of(std::span<const uint8_t> exif, std::string_view xmp);

inline std::string_view text_of(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace imgcap::codecs
