// A walk over a JPEG's markers: size, orientation, and whether the picture has an end, all before decoding.
#include <algorithm>
#include <array>
#include <map>

#include "imgcap/data/image_codecs.h"
#include "imgcap/data/orientation.h"
#include "tensor/error.h"

namespace imgcap::codecs {
namespace {

using tensor::check;
using tensor::ErrorKind;

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

// Which coefficients of the frame's components the scans have brought so far.
class Coverage {
 public:
  // `frame` is a SOF segment.
  Coverage(int marker, Bytes frame) : progressive_((marker & 3) == 2), huffman_(marker < 0xC8) {
    for (size_t i = 0; i < frame[5] && 6 + 3 * i < frame.size(); ++i) missing_[frame[6 + 3 * i]].fill(kAll);
  }
  // `scan` is a SOS segment: components, then first and last coefficient, then the bits before and after it.
  void add(Bytes scan) {
    if (scan.empty() || scan.size() < size_t{4} + 2 * scan[0]) return;
    const Bytes range = scan.subspan(size_t{1} + 2 * scan[0]);
    const size_t first = progressive_ ? range[0] : 0,
                 last = progressive_ ? std::min<size_t>(range[1], 63) : 63;
    for (size_t i = 0; i < scan[0]; ++i) {
      const auto component = missing_.find(scan[1 + 2 * i]);
      if (component == missing_.end()) continue;
      for (size_t k = first; k <= last; ++k) component->second[k] = progressive_ ? range[2] & 15 : 0;
    }
  }
  // Arithmetic codes may end early, so that nobody can tell whether all are there.
  bool whole() const {
    return huffman_ && !missing_.empty() && std::ranges::all_of(missing_, [](const auto& component) {
             return std::ranges::all_of(component.second, [](uint8_t bits) { return bits == 0; });
           });
  }

 private:
  static constexpr uint8_t kAll = 255;
  bool progressive_, huffman_;
  std::map<uint8_t, std::array<uint8_t, 64>> missing_;  // how many low bits, of each component's coefficients
};

// Where the data of a scan end when nothing but repetitions of one byte follow. Of FF none can be data; of
// others two stay: zeros belong to the data behind FF, and data may end in them.
size_t without_padding(Bytes bytes) {
  size_t end = bytes.size();
  while (end > 0 && bytes[end - 1] == bytes.back()) --end;
  return bytes.back() == 0xFF ? end : std::min(bytes.size(), end + 2);
}

}  // namespace

Header check_jpeg(Bytes bytes, const std::string& name, const ImageLimits& limits) {
  Header header;
  std::optional<Coverage> coverage;
  Bytes exif;
  std::string_view xmp;
  bool scan = false;
  size_t at = 2, after = 0;  // `after`: the first marker behind the last scan that was needed
  // The end of the file before that of the picture.
  const auto end_early = [&] {
    if (!scan || !coverage || !coverage->whole()) cut("JPEG", bytes, name);
    header.data_end = without_padding(after > 0 ? bytes.first(after) : bytes);
  };
  for (;;) {
    // Between segments only padding is legal; decoders skip stray bytes, and so does this walk.
    while (at < bytes.size() && bytes[at] != 0xFF) ++at;
    while (at < bytes.size() && bytes[at] == 0xFF) ++at;
    if (at >= bytes.size()) {
      end_early();
      break;
    }
    const int marker = bytes[at++];
    const bool whole = scan && coverage && coverage->whole();
    if (marker == 0x00 || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7))
      continue;  // no segment follows
    if (marker == 0xD9) break;
    if (whole && after == 0) after = at - 2;
    if (marker == 0xD8) continue;
    const size_t length = bytes.size() - at < 2 ? SIZE_MAX : big16(bytes, at);
    if (length > bytes.size() - at || (whole && length < 2)) {
      end_early();
      break;
    }
    check(length >= 2, ErrorKind::data, "{}: the JPEG segment at byte {} has the length {}", name, at - 2,
          length);
    const Bytes segment = bytes.subspan(at + 2, length - 2);
    if (is_frame(marker) && !coverage) {
      check(segment.size() >= 6, ErrorKind::data, "{}: the JPEG's frame header is too short", name);
      header.height = big16(segment, 1);
      header.width = big16(segment, 3);
      header.components = segment[5];
      coverage.emplace(marker, segment);
      choose_reduction(header, limits, name);
    } else if (marker == 0xE1 && !scan) {
      const std::string_view text = text_of(segment);
      if (text.starts_with(kExifBegin) && text.size() > kExifBegin.size() && exif.empty()) exif = segment;
      if (text.starts_with(kXmpBegin)) xmp = text.substr(kXmpBegin.size());
    } else if (marker == 0xC4) {
      check(huffman_tables_fit(segment), ErrorKind::data, "{}: damaged JPEG: the Huffman tables at byte {}",
            name, at - 2);
    } else if (marker == 0xDA) {
      scan = true;
      if (coverage) coverage->add(segment);
    }
    at += length;
  }
  check(coverage && scan, ErrorKind::data, "{}: the JPEG holds no picture", name);
  header.orientation = orientation_of(exif, xmp);
  return header;
}

Image decode_endless_jpeg(Bytes bytes, const Header& header, const std::string& name) {
  // libjpeg says when it misses data. stb_image doesn't: but a picture that is all there is the same whatever
  // follows its data.
  Image image;
  for (const int padding : {-1, 0x55, 0xAA}) {
    if (padding >= 0 && jpeg_is_turbo()) break;
    std::vector<uint8_t> file(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(header.data_end));
    if (padding >= 0) file.resize(file.size() + 4096, static_cast<uint8_t>(padding));
    file.insert(file.end(), {0xFF, 0xD9});
    try {
      Image next = decode_jpeg(file, header, name);
      if (padding >= 0 && next.pixels != image.pixels) cut("JPEG", bytes, name);
      image = std::move(next);
    } catch (const tensor::Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      cut("JPEG", bytes, name);
    }
  }
  image.warning = "the JPEG has no end mark; its picture is whole";
  return image;
}

}  // namespace imgcap::codecs
