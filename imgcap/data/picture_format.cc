#include "imgcap/data/picture_format.h"

#include <algorithm>
#include <array>

namespace imgcap {
using namespace std::string_view_literals;

PictureFormat picture_format(std::span<const uint8_t> head) {
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  const auto at = [&](size_t place, std::string_view magic) {
    return text.size() >= place && text.substr(place).starts_with(magic);
  };
  if (at(0, "\xff\xd8\xff"sv)) return PictureFormat::jpeg;
  if (at(0, "\x89PNG\r\n\x1a\n"sv)) return PictureFormat::png;
  if (at(0, "GIF87a"sv) || at(0, "GIF89a"sv)) return PictureFormat::gif;
  // Two letters are little: its second header begins with its size, which is small.
  if (at(0, "BM"sv) && head.size() >= 18 && head[14] >= 12 && head[14] <= 124 && at(15, "\0\0\0"sv))
    return PictureFormat::bmp;
  if (at(0, "RIFF"sv) && at(8, "WEBP"sv)) return PictureFormat::webp;
  for (const auto magic : {"II*\0"sv, "MM\0*"sv, "II+\0"sv, "MM\0+"sv})
    if (at(0, magic)) return PictureFormat::tiff;
  if (at(4, "ftyp"sv))
    for (const auto brand :
         {"heic"sv, "heix"sv, "heim"sv, "heis"sv, "hevc"sv, "hevx"sv, "mif1"sv, "msf1"sv, "avif"sv, "avis"sv})
      if (at(8, brand)) return PictureFormat::heif;
  return PictureFormat::none;
}

std::string_view name_of(PictureFormat format) {
  constexpr std::array names = {"no picture"sv, "JPEG"sv, "PNG"sv,  "BMP"sv,
                                "GIF"sv,        "WebP"sv, "TIFF"sv, "HEIF"sv};
  return names[static_cast<size_t>(format)];
}

bool can_read([[maybe_unused]] PictureFormat format) {
#ifndef IMGCAP_HAVE_WEBP
  if (format == PictureFormat::webp) return false;
#endif
#ifndef IMGCAP_HAVE_TIFF
  if (format == PictureFormat::tiff) return false;
#endif
#ifndef IMGCAP_HAVE_HEIF
  if (format == PictureFormat::heif) return false;
#endif
  return format != PictureFormat::none;
}

std::string readable_formats() {
  std::string all;
  for (const PictureFormat format : kPictureFormats)
    if (can_read(format)) all.append(all.empty() ? "" : ", ").append(name_of(format));
  return all;
}

bool has_extension(std::string_view name, std::string_view extension) {
  if (name.size() <= extension.size()) return false;
  const std::string_view end = name.substr(name.size() - extension.size());
  return std::equal(end.begin(), end.end(), extension.begin(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

bool has_picture_name(std::string_view name) {
  constexpr std::array extensions = {".jpg"sv,  ".jpeg"sv, ".jpe"sv,  ".jfif"sv, ".png"sv,
                                     ".bmp"sv,  ".gif"sv,  ".webp"sv, ".tif"sv,  ".tiff"sv,
                                     ".heic"sv, ".heif"sv, ".avif"sv};
  return std::any_of(extensions.begin(), extensions.end(), [&](auto e) { return has_extension(name, e); });
}

bool has_raw_name(std::string_view name) {
  constexpr std::array extensions = {".arw"sv, ".cr2"sv, ".dng"sv, ".nef"sv, ".nrw"sv,
                                     ".pef"sv, ".rw2"sv, ".sr2"sv, ".srw"sv, ".3fr"sv};
  return std::any_of(extensions.begin(), extensions.end(), [&](auto e) { return has_extension(name, e); });
}

}  // namespace imgcap
