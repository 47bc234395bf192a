// Formats of pictures: told apart by content, and the version of what reads them.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace imgcap {

enum class PictureFormat { none, jpeg, png, bmp, gif, webp, tiff, heif };

// By the first bytes of a file; 64 are enough. HEIC and AVIF are both `heif`.
PictureFormat picture_format(std::span<const uint8_t> head);

// "JPEG"; "no picture" for none.
std::string_view name_of(PictureFormat format);

// Whether this build reads the format: WebP, TIFF and HEIF need their libraries.
bool can_read(PictureFormat format);

// "JPEG, PNG, BMP, GIF, WebP, TIFF": what this build reads.
std::string readable_formats();

// Whether the name's extension is that of a picture (.jpg .jpeg .jpe .jfif .png .bmp .gif .webp .tif .tiff
// .heic .heif .avif, any case).
bool has_picture_name(std::string_view name);

// Whether the name's extension is that of a camera's raw file, many of which are TIFFs by content, with a
// thumbnail as their first picture.
bool has_raw_name(std::string_view name);

// A format's version: raised by whoever changes the pixels that some of its files give, or what can be read.
// A feature cache remembers the versions, so that what today's readers see otherwise is encoded again. 0 are
// the readers of the time before caches remembered.
int reader_version(PictureFormat format);
using ReaderVersions = std::map<std::string, int>;  // by name_of
ReaderVersions reader_versions();

// Whether today's readers may give other pixels for this file than those of `then` (a missing format has
// version 0) did. `head` is the beginning of a file, or all of it. For JPEG, `undecided` is set where the
// beginning ends before the first scan: ask again with more of it.
bool reads_otherwise(std::span<const uint8_t> head, const ReaderVersions& then, bool& undecided);

}  // namespace imgcap
