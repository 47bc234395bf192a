#include "imgcap/data/reader_version.h"

#include <algorithm>
#include <array>

#include "imgcap/data/image_codecs.h"
#include "imgcap/data/orientation.h"
#include "tensor/error.h"

namespace imgcap {
namespace {

using codecs::Bytes;

// Orientation as version 0 read it: a SHORT or LONG of the first EXIF segment.
int first_version_orientation(Bytes exif) {
  const bool little = exif.size() >= 8 && exif[0] == 'I' && exif[1] == 'I';
  if (!little && !(exif.size() >= 8 && exif[0] == 'M' && exif[1] == 'M')) return 1;
  const auto number = [&](size_t at, size_t width) {
    size_t value = 0;
    for (size_t i = 0; i < width && at + width <= exif.size(); ++i)
      value = value << 8 | exif[little ? at + width - 1 - i : at + i];
    return value;
  };
  const size_t directory = number(4, 4);
  if (number(2, 2) != 42 || directory < 8 || directory > exif.size() - 2) return 1;
  for (size_t i = 0, at = directory + 2; i < number(directory, 2) && at + 12 <= exif.size(); ++i, at += 12) {
    if (number(at, 2) != 0x0112) continue;
    const size_t type = number(at + 2, 2), value = number(at + 8, type == 3 ? 2 : 4);
    const bool fits = (type == 3 || type == 4) && number(at + 4, 4) == 1;
    return fits && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

// Since version 1 a JPEG is turned as XMP says where EXIF says nothing. Both stand before the first scan.
Reading compare_jpeg(Bytes head, bool whole) {
  Bytes exif;
  std::string_view xmp;
  for (size_t at = 2;;) {
    while (at < head.size() && head[at] != 0xFF) ++at;
    while (at < head.size() && head[at] == 0xFF) ++at;
    if (at >= head.size()) break;
    const int marker = head[at++];
    if (marker == 0 || marker == 1 || (marker >= 0xD0 && marker <= 0xD8)) continue;
    if (marker == 0xD9 || marker == 0xDA) {
      whole = true;
      break;
    }
    if (head.size() - at < 2) break;
    const size_t length = size_t{head[at]} << 8 | head[at + 1];
    if (length < 2 || length > head.size() - at) break;
    if (marker == 0xE1) {
      using namespace std::string_view_literals;
      const Bytes segment = head.subspan(at + 2, length - 2);
      const std::string_view text = codecs::text_of(segment);
      constexpr std::string_view kXmp = "http://ns.adobe.com/xap/1.0/\0"sv;
      if (text.starts_with("Exif\0\0"sv) && text.size() > 6 && exif.empty()) exif = segment;
      if (text.starts_with(kXmp)) xmp = text.substr(kXmp.size());
    }
    at += length;
  }
  if (!whole) return Reading::undecided;
  const int before = exif.empty() ? 1 : first_version_orientation(exif.subspan(6));
  return codecs::orientation_of(exif, xmp) == before ? Reading::same : Reading::changed;
}

// Since version 1 a PNG is turned, and colours that its palette lacks are black; what turns it may stand at
// its end.
Reading compare_png(Bytes bytes, bool whole) {
  if (!whole) return Reading::undecided;
  try {
    const codecs::Header header = codecs::check_png(bytes, "", {});
    return header.orientation == 1 && header.palette_at == 0 ? Reading::same : Reading::changed;
  } catch (const tensor::Error&) {
    return Reading::changed;  // whatever it was then, it can't be read now
  }
}

}  // namespace

int reader_version(PictureFormat format) { return can_read(format) ? 1 : 0; }

ReaderVersions reader_versions() {
  ReaderVersions all;
  for (const PictureFormat format : kPictureFormats)
    if (const int version = reader_version(format); version > 0) all[std::string(name_of(format))] = version;
  return all;
}

bool none_newer(const ReaderVersions& now, const ReaderVersions& then) {
  return std::all_of(now.begin(), now.end(), [&](const auto& format) {
    const auto found = then.find(format.first);
    return format.second <= (found == then.end() ? 0 : found->second);
  });
}

Reading compare_readings(Bytes head, bool whole, const ReaderVersions& then) {
  const PictureFormat format = picture_format(head);
  const auto found = then.find(std::string(name_of(format)));
  const int before = found == then.end() ? 0 : found->second;
  if (reader_version(format) <= before) return Reading::same;
  if (before == 0 && format == PictureFormat::jpeg) return compare_jpeg(head, whole);
  if (before == 0 && format == PictureFormat::png) return compare_png(head, whole);
  return Reading::changed;
}

}  // namespace imgcap
