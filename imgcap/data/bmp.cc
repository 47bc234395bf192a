// BMP: Windows' headers of 40 to 124 bytes, OS/2's of 12 to 64, and all their kinds of pixels but Huffman
// codes and embedded JPEG or PNG files.
#include <algorithm>
#include <array>
#include <bit>

#include "imgcap/data/image_codecs.h"
#include "tensor/error.h"

namespace imgcap::codecs {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::fail;

using Colour = std::array<uint8_t, 3>;

enum class Packing { none, rle4, rle8, rle24 };

// Some bits of a pixel, as a value of 0..255.
struct Channel {
  uint32_t mask = 0;
  uint32_t highest = 0;
  int shift = 0;
  Channel() = default;
  explicit Channel(uint32_t bits) : mask(bits) {
    if (bits == 0) return;
    shift = std::countr_zero(bits);
    highest = bits >> shift;
  }
  // Rounded down, as Pillow does.
  uint8_t operator()(uint32_t pixel) const {
    const uint64_t value = (pixel & mask) >> shift;
    if (highest == 255) return static_cast<uint8_t>(value);
    return highest == 0 ? 0 : static_cast<uint8_t>(value * 255 / highest);
  }
};

struct Bmp {
  Header header;
  bool top_down = false;
  uint32_t bits = 0;
  Packing packing = Packing::none;
  size_t pixels_at = 0;
  std::array<Colour, 256> palette{};  // what the file does not give is black
  Channel red, green, blue, alpha;
};

// BI_BITFIELDS and BI_ALPHABITFIELDS; returns the bytes of masks between header and palette.
size_t read_masks(Bmp& bmp, Bytes bytes, size_t info, bool with_alpha, const std::string& name) {
  const size_t between = info >= 52 ? 0 : with_alpha ? 16 : 12;
  if (bytes.size() < 14 + info + between) cut("BMP", bytes, name);
  std::array<uint32_t, 4> masks{};
  const size_t count = info >= 56 || between == 16 ? 4 : 3;
  for (size_t i = 0; i < count; ++i) masks[i] = little32(bytes, 54 + 4 * i);
  if (bmp.bits == 32 && masks == std::array<uint32_t, 4>{}) masks = {0xFF0000, 0xFF00, 0xFF, 0xFF000000};
  // In the usual 16-bit pixels Pillow knows no alpha.
  const bool usual = masks[2] == 0x1F &&
                     ((masks[1] == 0x7E0 && masks[0] == 0xF800) || (masks[1] == 0x3E0 && masks[0] == 0x7C00));
  if (bmp.bits == 16 && usual && !with_alpha) masks[3] = 0;
  bmp.red = Channel(masks[0]), bmp.green = Channel(masks[1]), bmp.blue = Channel(masks[2]);
  bmp.alpha = Channel(masks[3]);
  return between;
}

// What the header means by `compression`; returns the bytes of masks behind it.
size_t read_packing(Bmp& bmp, Bytes bytes, size_t info, uint32_t compression, const std::string& name) {
  const bool os2 =
      info < 40 || (info > 40 && info < 52) || (info > 52 && info < 56) || (info > 56 && info <= 64);
  const uint32_t bits = bmp.bits;
  check(bits == 1 || bits == 2 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32,
        ErrorKind::data, "{}: a BMP of {} bits per pixel", name, bits);
  if (bits == 16)
    bmp.red = Channel(0x7C00), bmp.green = Channel(0x3E0), bmp.blue = Channel(0x1F);
  else
    bmp.red = Channel(0xFF0000), bmp.green = Channel(0xFF00), bmp.blue = Channel(0xFF);
  if (compression == 0) return 0;
  if (compression == 1 && bits == 8) return bmp.packing = Packing::rle8, 0;
  if (compression == 2 && bits == 4) return bmp.packing = Packing::rle4, 0;
  if (compression == 4 && bits == 24 && os2) return bmp.packing = Packing::rle24, 0;
  if ((compression == 3 || compression == 6) && bits >= 16 && !os2)
    return read_masks(bmp, bytes, info, compression == 6, name);
  fail(ErrorKind::data, "{}: a BMP of compression {} at {} bits per pixel cannot be read: save it without",
       name, compression, bits);
}

void read_palette(Bmp& bmp, Bytes bytes, size_t at, size_t entry, size_t count) {
  for (size_t i = 0; i < count; ++i, at += entry) {
    if (at > bytes.size() || bytes.size() - at < entry) return;
    bmp.palette[i] = {bytes[at + 2], bytes[at + 1], bytes[at]};
  }
}

Bmp read_headers(Bytes bytes, const std::string& name, const ImageLimits& limits) {
  if (bytes.size() < 26) cut("BMP", bytes, name);
  Bmp bmp;
  bmp.pixels_at = little32(bytes, 10);
  const size_t info = little32(bytes, 14), head_end = 14 + info;
  check(info == 12 || (info >= 16 && info <= 64) || info == 108 || info == 124, ErrorKind::data,
        "{}: a BMP header of {} bytes is of no known kind", name, info);
  if (bytes.size() < head_end) cut("BMP", bytes, name);
  // OS/2's may end anywhere: what is missing is 0.
  const auto field = [&](size_t at) { return at + 4 <= head_end ? little32(bytes, at) : 0; };
  uint32_t compression = 0, used = 0;
  if (info == 12) {
    bmp.header.width = little16(bytes, 18);
    bmp.header.height = little16(bytes, 20);
    bmp.bits = little16(bytes, 24);
  } else {
    bmp.header.width = static_cast<int32_t>(field(18));
    bmp.header.height = static_cast<int32_t>(field(22));
    bmp.top_down = bmp.header.height < 0;
    if (bmp.top_down) bmp.header.height = -bmp.header.height;
    bmp.bits = little16(bytes, 28);
    compression = field(30);
    used = field(46);
  }
  check_size(bmp.header, limits, name);
  const size_t palette_at = head_end + read_packing(bmp, bytes, info, compression, name);
  const size_t entry = info == 12 ? 3 : 4, all = bmp.bits <= 8 ? size_t{1} << bmp.bits : 0;
  const size_t colours = used == 0 ? all : used;
  // Some programs give no place of the pixels, or that of the palette.
  if (bmp.pixels_at == 0 || (all > 0 && bmp.pixels_at == palette_at))
    bmp.pixels_at = palette_at + entry * colours;
  check(bmp.pixels_at >= head_end, ErrorKind::data,
        "{}: damaged BMP: its pixels begin at byte {}, inside its header", name, bmp.pixels_at);
  const size_t room = bmp.pixels_at > palette_at ? (bmp.pixels_at - palette_at) / entry : 0;
  read_palette(bmp, bytes, palette_at, entry, std::min({colours, all, room}));
  return bmp;
}

void put_row(const Bmp& bmp, const uint8_t* row, uint8_t* to) {
  const uint32_t bits = bmp.bits;
  const auto width = static_cast<size_t>(bmp.header.width);
  for (size_t x = 0; x < width; ++x, to += 3) {
    if (bits <= 8) {
      const uint32_t shift = 8 - bits - x * bits % 8;
      const Colour& colour = bmp.palette[row[x * bits / 8] >> shift & ((1u << bits) - 1)];
      to[0] = colour[0], to[1] = colour[1], to[2] = colour[2];
      continue;
    }
    uint32_t pixel = 0;
    for (uint32_t i = 0; i < bits / 8; ++i) pixel |= uint32_t{*row++} << 8 * i;
    to[0] = bmp.red(pixel), to[1] = bmp.green(pixel), to[2] = bmp.blue(pixel);
    if (bmp.alpha.mask == 0) continue;
    const int alpha = bmp.alpha(pixel);
    for (int c = 0; c < 3; ++c) to[c] = over_white(to[c], alpha);
  }
}

// Runs of equal pixels, pixels as they are, and jumps: what is jumped over has the palette's first colour.
void put_runs(const Bmp& bmp, Bytes bytes, Image& image, const std::string& name) {
  const int64_t width = image.width, height = image.height;
  const bool rle4 = bmp.packing == Packing::rle4, rle24 = bmp.packing == Packing::rle24;
  const size_t pixel_bytes = rle24 ? 3 : 1;
  const Colour skipped = rle24 ? Colour{} : bmp.palette[0];
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = skipped[i % 3];
  int64_t x = 0, y = 0;
  size_t at = bmp.pixels_at;
  const auto need = [&](size_t count) {
    if (at > bytes.size() || bytes.size() - at < count) cut("BMP", bytes, name);
  };
  // The pixel number `i` of those that begin at `at`.
  const auto put = [&](size_t i) {
    if (x >= width) return;
    const uint8_t* from = bytes.data() + at + (rle4 ? i / 2 : i * pixel_bytes);
    const Colour colour = rle24  ? Colour{from[2], from[1], from[0]}
                          : rle4 ? bmp.palette[i % 2 == 0 ? *from >> 4 : *from & 15]
                                 : bmp.palette[*from];
    std::copy(colour.begin(), colour.end(), image.row(bmp.top_down ? y : height - 1 - y) + 3 * x++);
  };
  while (y < height) {
    if (y == height - 1 && x >= width && at >= bytes.size() - 1) return;  // all there but the end mark
    need(2);
    const size_t count = bytes[at++], escape = bytes[at];
    if (count > 0) {
      need(pixel_bytes);
      for (size_t i = 0; i < count; ++i) put(rle4 ? i % 2 : 0);
      at += pixel_bytes;
      continue;
    }
    ++at;
    if (escape == 0) {
      x = 0;
      ++y;
    } else if (escape == 1) {
      return;
    } else if (escape == 2) {
      need(2);
      x += bytes[at];
      y += bytes[at + 1];
      at += 2;
    } else {
      const size_t length = rle4 ? (escape + 1) / 2 : escape * pixel_bytes;
      need(length);
      for (size_t i = 0; i < escape; ++i) put(i);
      at += length + length % 2;
    }
  }
}

}  // namespace

Image decode_bmp(Bytes bytes, const std::string& name, const ImageLimits& limits) {
  const Bmp bmp = read_headers(bytes, name, limits);
  const int64_t width = bmp.header.width, height = bmp.header.height;
  if (bmp.packing != Packing::none) {
    check(bmp.pixels_at < bytes.size(), ErrorKind::data,
          "{}: the BMP is cut short: its pixels begin at byte {}, the file has {}", name, bmp.pixels_at,
          bytes.size());
    Image image(height, width);
    put_runs(bmp, bytes, image, name);
    return image;
  }
  // The size has been limited, so this fits. The last row needs no padding.
  const int64_t bits = width * bmp.bits, stride = (bits + 31) / 32 * 4;
  const auto needed = static_cast<uint64_t>(stride * (height - 1) + (bits + 7) / 8);
  check(bmp.pixels_at <= bytes.size() && bytes.size() - bmp.pixels_at >= needed, ErrorKind::data,
        "{}: the BMP is cut short: {} x {} pixels of {} bits need {} bytes from byte {} on, the file has {}",
        name, width, height, bmp.bits, needed, bmp.pixels_at, bytes.size());
  Image image(height, width);
  for (int64_t y = 0; y < height; ++y)
    put_row(bmp, bytes.data() + bmp.pixels_at + stride * y, image.row(bmp.top_down ? y : height - 1 - y));
  return image;
}

}  // namespace imgcap::codecs
