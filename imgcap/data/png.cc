// The parts of a PNG: stb_image takes missing bytes for zeros and skips checksums, so that a damaged file
// would come out as a wrong picture; and it knows nothing of orientation.
#include <array>
#include <cstring>

#include "imgcap/data/image_codecs.h"
#include "imgcap/data/orientation.h"
#include "tensor/error.h"

namespace imgcap::codecs {
namespace {

using tensor::check;
using tensor::ErrorKind;

constexpr std::array<uint32_t, 256> kCrcTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value & 1) != 0 ? 0xEDB88320u ^ (value >> 1) : value >> 1;
    table[i] = value;
  }
  return table;
}();

uint32_t crc32(Bytes bytes) {
  uint32_t crc = 0xFFFFFFFFu;
  for (const uint8_t byte : bytes) crc = kCrcTable[(crc ^ byte) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

// Longer texts are not unpacked: a few kilobytes may stand for gigabytes.
constexpr size_t kLongestText = size_t{1} << 20;

// What says how the picture has to be turned, the last part of each kind.
struct Parts {
  Bytes exif, profile, xmp;  // the two texts with the name of their kind before them
};

bool starts_with(Bytes bytes, std::string_view begin) { return text_of(bytes).starts_with(begin); }

void keep(Parts& parts, std::string_view kind, Bytes whole, Bytes content) {
  if (kind == "eXIf") {
    parts.exif = content;
  } else if (kind == "tEXt" || kind == "zTXt" || kind == "iTXt") {
    if (starts_with(content, std::string_view("Raw profile type exif\0", 22)) ||
        starts_with(content, std::string_view("Raw profile type APP1\0", 22)))
      parts.profile = whole;
    if (starts_with(content, std::string_view("XML:com.adobe.xmp\0", 18))) parts.xmp = whole;
  }
}

// The text of a tEXt, zTXt or iTXt part; empty when it cannot be had.
std::string text_in(Bytes whole) {
  if (whole.empty()) return {};
  const std::string_view kind = text_of(whole.first(4));
  Bytes rest = whole.subspan(4);
  const auto field = [&] {  // up to a zero
    const size_t end = text_of(rest).find('\0');
    rest = rest.subspan(end == std::string_view::npos ? rest.size() : end + 1);
  };
  field();
  bool packed = kind == "zTXt";
  if (packed) {
    if (rest.empty() || rest[0] != 0) return {};
    rest = rest.subspan(1);
  } else if (kind == "iTXt") {
    if (rest.size() < 2 || rest[1] != 0) return {};
    packed = rest[0] != 0;
    rest = rest.subspan(2);
    field();  // language
    field();  // the name in it
  }
  return packed ? unpack_zlib(rest, kLongestText).value_or("") : std::string(text_of(rest));
}

int orientation_in(const Parts& parts) {
  std::string xmp = text_in(parts.xmp);
  if (!parts.exif.empty()) return orientation_of(parts.exif, xmp);
  const std::vector<uint8_t> profile = raw_profile(text_in(parts.profile));
  if (xmp.empty() && starts_with(profile, kXmpBegin)) xmp = text_of(profile);
  return orientation_of(profile, xmp);
}

}  // namespace

Header check_png(Bytes bytes, const std::string& name, const ImageLimits& limits) {
  if (bytes.size() < 33) cut("PNG", bytes, name);
  check(big32(bytes, 8) == 13 && std::memcmp(bytes.data() + 12, "IHDR", 4) == 0, ErrorKind::data,
        "{}: the PNG does not begin with its header", name);
  Header header;
  header.width = big32(bytes, 16);
  header.height = big32(bytes, 20);
  check_size(header, limits, name);
  Parts parts;
  size_t at = 8;
  for (;;) {
    if (bytes.size() - at < 12) cut("PNG", bytes, name);
    const size_t length = big32(bytes, at);
    if (length > bytes.size() - at - 12) cut("PNG", bytes, name);
    check(crc32(bytes.subspan(at + 4, length + 4)) == big32(bytes, at + 8 + length), ErrorKind::data,
          "{}: damaged PNG: the checksum of the part at byte {} is wrong", name, at);
    const Bytes part = bytes.subspan(at + 4, length + 4);
    const std::string_view kind = text_of(part.first(4));
    if (kind == "IEND") break;
    keep(parts, kind, part, part.subspan(4));
    if (kind == "PLTE" && header.palette_at == 0) header.palette_at = at;
    at += length + 12;
  }
  header.orientation = orientation_in(parts);
  return header;
}

Image decode_png(Bytes bytes, const Header& header, const std::string& name) {
  constexpr size_t kWhole = 768;
  const size_t at = header.palette_at, length = at == 0 ? kWhole : big32(bytes, at);
  if (length >= kWhole) return decode_stb(bytes, header, name);
  // stb_image takes the colours that a palette lacks from memory that nobody wrote; they are black. It
  // doesn't look at checksums.
  std::vector<uint8_t> file(bytes.begin(), bytes.end());
  const auto place = file.begin() + static_cast<std::ptrdiff_t>(at);
  place[2] = kWhole >> 8, place[3] = kWhole & 255;
  file.insert(place + static_cast<std::ptrdiff_t>(8 + length), kWhole - length, 0);
  return decode_stb(file, header, name);
}

}  // namespace imgcap::codecs
