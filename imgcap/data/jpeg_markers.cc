// A walk over a JPEG's markers: size, EXIF orientation, and whether the picture has an end, all before
// decoding.
#include <cstring>

#include "imgcap/data/image_codecs.h"
#include "tensor/error.h"

namespace imgcap::codecs {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::fail;

int64_t big16(Bytes bytes, size_t at) { return bytes[at] << 8 | bytes[at + 1]; }

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

bool is_frame(int marker) {  // SOF0..SOF15 without DHT, JPG and DAC
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

// stb_image believes the counts of a Huffman table, and writes past its own when they add up to more than
// 256.
bool huffman_tables_fit(Bytes segment) {
  while (!segment.empty()) {
    if (segment.size() < 17) return false;
    size_t symbols = 0;
    for (size_t i = 1; i <= 16; ++i) symbols += segment[i];
    if (symbols > 256 || segment.size() < 17 + symbols) return false;
    segment = segment.subspan(17 + symbols);
  }
  return true;
}

// Chooses how large a very large picture is decoded.
void choose_reduction(Header& header, const ImageLimits& limits, const std::string& name) {
  const Header whole = header;
  const int64_t pixels = whole.width * whole.height;
  if (pixels <= limits.pixels || pixels > limits.jpeg_pixels) {
    ImageLimits larger = limits;
    if (jpeg_is_turbo()) larger.pixels = std::max(limits.pixels, limits.jpeg_pixels);
    return check_size(header, larger, name);
  }
  check(jpeg_is_turbo(), ErrorKind::data,
        "{}: a picture of {} x {} has {} pixels, the limit is {}: up to {} are read, at a reduced size, by a "
        "build with libjpeg-turbo (Debian: libjpeg62-turbo-dev, CMake: IMGCAP_JPEG=ON), which this is not",
        name, whole.width, whole.height, pixels, limits.pixels, limits.jpeg_pixels);
  while (header.width * header.height > limits.pixels) {
    if (header.reduction == 8) check_size(whole, limits, name);
    header.reduction *= 2;
    header.width = (whole.width + header.reduction - 1) / header.reduction;
    header.height = (whole.height + header.reduction - 1) / header.reduction;
  }
}

}  // namespace

int exif_orientation(Bytes bytes) {
  if (bytes.size() < 8) return 1;
  const bool little = bytes[0] == 'I' && bytes[1] == 'I';
  if (!little && !(bytes[0] == 'M' && bytes[1] == 'M')) return 1;
  const Tiff tiff{bytes, little};
  if (tiff.u16(2) != 42) return 1;
  const size_t directory = tiff.u32(4);
  if (directory < 8 || directory > bytes.size() - 2) return 1;
  const uint32_t entries = tiff.u16(directory);
  for (uint32_t i = 0; i < entries; ++i) {
    const size_t at = directory + 2 + size_t{12} * i;
    if (at + 12 > bytes.size()) return 1;
    if (tiff.u16(at) != 0x0112) continue;
    const uint32_t type = tiff.u16(at + 2), count = tiff.u32(at + 4);
    if ((type != 3 && type != 4) || count != 1) return 1;
    const uint32_t value = type == 3 ? tiff.u16(at + 8) : tiff.u32(at + 8);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Header check_jpeg(Bytes bytes, const std::string& name, const ImageLimits& limits) {
  Header header;
  bool frame = false, scan = false, exif = false;
  size_t at = 2;
  const auto cut = [&] {
    fail(ErrorKind::data, "{}: the JPEG is cut short after {} bytes", name, bytes.size());
  };
  for (;;) {
    // Between segments only padding is legal; decoders skip stray bytes, and so does this walk.
    while (at < bytes.size() && bytes[at] != 0xFF) ++at;
    while (at < bytes.size() && bytes[at] == 0xFF) ++at;
    if (at >= bytes.size()) cut();
    const int marker = bytes[at++];
    if (marker == 0x00 || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8))
      continue;  // no segment follows
    if (marker == 0xD9) break;
    if (bytes.size() - at < 2) cut();
    const auto length = static_cast<size_t>(big16(bytes, at));
    check(length >= 2, ErrorKind::data, "{}: the JPEG segment at byte {} has the length {}", name, at - 2,
          length);
    if (bytes.size() - at < length) cut();
    const Bytes segment = bytes.subspan(at + 2, length - 2);
    if (is_frame(marker) && !frame) {
      check(segment.size() >= 6, ErrorKind::data, "{}: the JPEG's frame header is too short", name);
      header.height = big16(segment, 1);
      header.width = big16(segment, 3);
      header.components = segment[5];
      frame = true;
      choose_reduction(header, limits, name);
    } else if (marker == 0xE1 && !exif && segment.size() > 6 &&
               std::memcmp(segment.data(), "Exif\0", 6) == 0) {
      header.orientation = exif_orientation(segment.subspan(6));
      exif = true;
    } else if (marker == 0xC4) {
      check(huffman_tables_fit(segment), ErrorKind::data, "{}: damaged JPEG: the Huffman tables at byte {}",
            name, at - 2);
    } else if (marker == 0xDA) {
      scan = true;
    }
    at += length;
  }
  check(frame && scan, ErrorKind::data, "{}: the JPEG holds no picture", name);
  return header;
}

}  // namespace imgcap::codecs
