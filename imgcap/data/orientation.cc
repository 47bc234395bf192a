#include "imgcap/data/orientation.h"

namespace imgcap::codecs {
namespace {

using Bytes = std::span<const uint8_t>;

// Reads of a TIFF structure in its own byte order; out of range gives 0.
struct Tiff {
  Bytes bytes;
  bool little;
  uint32_t u16(size_t at) const {
    if (bytes.size() < 2 || at > bytes.size() - 2) return 0;
    return little ? uint32_t{bytes[at]} | uint32_t{bytes[at + 1]} << 8
                  : uint32_t{bytes[at]} << 8 | uint32_t{bytes[at + 1]};
  }
  uint32_t u32(size_t at) const { return little ? u16(at) | u16(at + 2) << 16 : u16(at) << 16 | u16(at + 2); }
};

// The first value of the entry at `at` when it is a whole number (BYTE and UNDEFINED are strings of bytes).
std::optional<uint32_t> whole_number(const Tiff& tiff, size_t at) {
  const uint32_t type = tiff.u16(at + 2), count = tiff.u32(at + 4);
  uint64_t width = 0;
  if (type == 6) width = 1;                             // SBYTE
  if (type == 3 || type == 8) width = 2;                // SHORT, SSHORT
  if (type == 4 || type == 9 || type == 13) width = 4;  // LONG, SLONG, IFD
  const uint64_t size = count * width;
  if (size == 0 || size > tiff.bytes.size()) return {};
  const size_t place = size <= 4 ? at + 8 : tiff.u32(at + 8);
  if (place > tiff.bytes.size() - size) return {};
  return width == 1 ? tiff.bytes[place] : width == 2 ? tiff.u16(place) : tiff.u32(place);
}

// Nothing when the tag is not there.
std::optional<int> find_exif(Bytes bytes) {
  for (int i = 0; i < 2 && text_of(bytes).starts_with(kExifBegin); ++i)  // some programs write it twice
    bytes = bytes.subspan(kExifBegin.size());
  if (bytes.size() < 10) return {};
  const bool little = bytes[0] == 'I' && bytes[1] == 'I';
  if (!little && !(bytes[0] == 'M' && bytes[1] == 'M')) return {};
  const Tiff tiff{bytes, little};
  if (tiff.u16(2) != 42 && tiff.u16(2) != 42 << 8)
    return {};  // some programs get the order of this one wrong
  const size_t directory = tiff.u32(4);
  if (directory < 8 || directory > bytes.size() - 2) return {};
  const uint32_t entries = tiff.u16(directory);
  for (uint32_t i = 0; i < entries; ++i) {
    const size_t at = directory + 2 + size_t{12} * i;
    if (at + 12 > bytes.size()) return {};
    if (tiff.u16(at) != 0x0112) continue;
    if (const auto value = whole_number(tiff, at))
      return *value >= 1 && *value <= 8 ? static_cast<int>(*value) : 1;
  }
  return {};
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

}  // namespace

int exif_orientation(Bytes exif) { return find_exif(exif).value_or(1); }

int xmp_orientation(std::string_view xmp) {
  constexpr std::string_view kName = "tiff:Orientation";
  for (size_t at = xmp.find(kName); at != xmp.npos; at = xmp.find(kName, at)) {
    at += kName.size();
    const auto skip = [&] {
      while (at < xmp.size() && is_space(xmp[at])) ++at;
    };
    skip();
    if (at >= xmp.size()) break;
    if (xmp[at] == '=') {
      ++at;
      skip();
      if (at >= xmp.size() || (xmp[at] != '"' && xmp[at] != '\'')) continue;
    } else if (xmp[at] != '>') {
      continue;
    }
    ++at;
    skip();
    if (at < xmp.size() && xmp[at] >= '0' && xmp[at] <= '9')
      return xmp[at] >= '1' && xmp[at] <= '8' ? xmp[at] - '0' : 1;
  }
  return 1;
}

int orientation_of(Bytes exif, std::string_view xmp) {
  const auto value = find_exif(exif);
  return value ? *value : xmp_orientation(xmp);
}

std::vector<uint8_t> raw_profile(std::string_view text) {
  size_t at = 0;
  for (int line = 0; line < 3; ++line) {
    at = text.find('\n', at);
    if (at == text.npos) return {};
    ++at;
  }
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  std::vector<uint8_t> bytes;
  int high = -1;
  for (; at < text.size(); ++at) {
    if (is_space(text[at])) continue;
    const int value = digit(text[at]);
    if (value < 0) break;
    if (high < 0) {
      high = value;
    } else {
      bytes.push_back(static_cast<uint8_t>(high << 4 | value));
      high = -1;
    }
  }
  return bytes;
}

}  // namespace imgcap::codecs
