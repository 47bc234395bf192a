// Formats of pictures, told apart by content.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace imgcap {

enum class PictureFormat { none, jpeg, png, bmp, gif, webp, tiff, heif };
inline constexpr std::array kPictureFormats = {PictureFormat::jpeg, PictureFormat::png,  PictureFormat::bmp,
                                               PictureFormat::gif,  PictureFormat::webp, PictureFormat::tiff,
                                               PictureFormat::heif};

// By the first bytes of a file; 64 are enough. HEIC and AVIF are both `heif`.
PictureFormat picture_format(std::span<const uint8_t> head);

// "JPEG"; "no picture" for none.
std::string_view name_of(PictureFormat format);

// Whether this build reads the format: WebP, TIFF and HEIF need their libraries.
bool can_read(PictureFormat format);

// "JPEG, PNG, BMP, GIF, WebP, TIFF": what this build reads.
std::string readable_formats();

// Whether the name ends in the extension (".tar"), in any case, and is more than that.
bool has_extension(std::string_view name, std::string_view extension);

// Whether the name's extension is that of a picture (.jpg .jpeg .jpe .jfif .png .bmp .gif .webp .tif .tiff
// .heic .heif .avif, any case).
bool has_picture_name(std::string_view name);

// Whether the name's extension is that of a camera's raw file, many of which are TIFFs by content, with a
// thumbnail as their first picture.
bool has_raw_name(std::string_view name);

}  // namespace imgcap
