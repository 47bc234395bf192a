// Structure checks of PNG, GIF and BMP: stb_image takes missing bytes for zeros and skips checksums, so that
// a damaged file would come out as a wrong picture.
#include <array>
#include <cstring>

#include "imgcap/data/image_codecs.h"
#include "tensor/error.h"

namespace imgcap::codecs {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::fail;

uint32_t big32(Bytes bytes, size_t at) {
  return uint32_t{bytes[at]} << 24 | uint32_t{bytes[at + 1]} << 16 | uint32_t{bytes[at + 2]} << 8 |
         uint32_t{bytes[at + 3]};
}

uint32_t little16(Bytes bytes, size_t at) { return uint32_t{bytes[at]} | uint32_t{bytes[at + 1]} << 8; }
uint32_t little32(Bytes bytes, size_t at) { return little16(bytes, at) | little16(bytes, at + 2) << 16; }

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

[[noreturn]] void cut(const char* format, Bytes bytes, const std::string& name) {
  fail(ErrorKind::data, "{}: the {} is cut short after {} bytes", name, format, bytes.size());
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
  size_t at = 8;
  for (;;) {
    if (bytes.size() - at < 12) cut("PNG", bytes, name);
    const size_t length = big32(bytes, at);
    if (length > bytes.size() - at - 12) cut("PNG", bytes, name);
    check(crc32(bytes.subspan(at + 4, length + 4)) == big32(bytes, at + 8 + length), ErrorKind::data,
          "{}: damaged PNG: the checksum of the part at byte {} is wrong", name, at);
    if (std::memcmp(bytes.data() + at + 4, "IEND", 4) == 0) return header;
    at += length + 12;
  }
}

Header check_gif(Bytes bytes, const std::string& name, const ImageLimits& limits) {
  if (bytes.size() < 13) cut("GIF", bytes, name);
  Header header;
  header.width = little16(bytes, 6);
  header.height = little16(bytes, 8);
  check_size(header, limits, name);
  const auto palette = [](uint8_t flags) { return (flags & 0x80) != 0 ? size_t{3} << ((flags & 7) + 1) : 0; };
  size_t at = 13 + palette(bytes[10]);
  const auto skip_blocks = [&] {
    for (;;) {
      if (at >= bytes.size()) cut("GIF", bytes, name);
      const size_t length = bytes[at];
      at += length + 1;
      if (length == 0) return;
    }
  };
  for (;;) {
    if (at >= bytes.size()) cut("GIF", bytes, name);
    const uint8_t tag = bytes[at];
    if (tag == 0x21) {
      at += 2;
      skip_blocks();
    } else if (tag == 0x2C) {
      if (bytes.size() - at < 11) cut("GIF", bytes, name);
      check(little16(bytes, at + 5) > 0 && little16(bytes, at + 7) > 0, ErrorKind::data,
            "{}: the GIF's first frame has no pixels", name);
      at += 10 + palette(bytes[at + 9]) + 1;
      skip_blocks();
      return header;
    } else {
      fail(ErrorKind::data, "{}: {} at byte {}", name,
           tag == 0x3B ? "the GIF holds no picture" : "damaged GIF: an unknown block", at);
    }
  }
}

Header check_bmp(Bytes bytes, const std::string& name, const ImageLimits& limits) {
  if (bytes.size() < 26) cut("BMP", bytes, name);
  const size_t pixels_at = little32(bytes, 10), info = little32(bytes, 14);
  check(info == 12 || info == 40 || info == 56 || info == 108 || info == 124, ErrorKind::data,
        "{}: a BMP header of {} bytes is of no known kind", name, info);
  Header header;
  uint32_t bits = 0, compression = 0;
  if (info == 12) {
    header.width = little16(bytes, 18);
    header.height = little16(bytes, 20);
    bits = little16(bytes, 24);
  } else {
    if (bytes.size() < 14 + info) cut("BMP", bytes, name);
    header.width = static_cast<int32_t>(little32(bytes, 18));
    header.height = static_cast<int32_t>(little32(bytes, 22));
    if (header.height < 0) header.height = -header.height;  // rows from the top
    bits = little16(bytes, 28);
    compression = little32(bytes, 30);
  }
  check_size(header, limits, name);
  check(compression == 0 || compression == 3, ErrorKind::data,
        "{}: a BMP of compression {} cannot be read: save it without", name, compression);
  check(bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32, ErrorKind::data,
        "{}: a BMP of {} bits a pixel", name, bits);
  const int64_t stride = (header.width * bits + 31) / 32 * 4;
  // The size has been limited, so this fits.
  const auto needed = static_cast<uint64_t>(stride * header.height);
  check(pixels_at <= bytes.size() && bytes.size() - pixels_at >= needed, ErrorKind::data,
        "{}: the BMP is cut short: {} x {} pixels of {} bits need {} bytes from byte {} on, the file has {}",
        name, header.width, header.height, bits, needed, pixels_at, bytes.size());
  return header;
}

}  // namespace imgcap::codecs
