// WebP by libwebp: lossy, lossless, with alpha; of an animation the first frame on its canvas.
#include "imgcap/data/image_codecs.h"
#include "imgcap/data/orientation.h"
#include "tensor/error.h"

#ifdef IMGCAP_HAVE_WEBP
#include <webp/decode.h>

#include <cstring>
#include <string_view>

namespace imgcap::codecs {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::fail;

uint32_t number24(Bytes bytes, size_t at) {
  return uint32_t{bytes[at]} | uint32_t{bytes[at + 1]} << 8 | uint32_t{bytes[at + 2]} << 16;
}
uint32_t number32(Bytes bytes, size_t at) { return number24(bytes, at) | uint32_t{bytes[at + 3]} << 24; }

// What the RIFF chunks say. `picture` is what libwebp decodes: an optional ALPH chunk, then VP8 or VP8L.
struct Chunks {
  Bytes extended, frame, picture, exif, xmp;
};

// One walk over chunks that lie behind each other; the first of a kind counts.
Chunks walk(Bytes bytes, const std::string& name) {
  Chunks found;
  for (size_t at = 0; bytes.size() - at >= 8;) {
    const std::string_view tag = text_of(bytes.subspan(at, 4));
    const size_t length = number32(bytes, at + 4);
    check(length <= bytes.size() - at - 8, ErrorKind::data,
          "{}: damaged WebP: its part at byte {} is longer than what holds it", name, at);
    const Bytes content = bytes.subspan(at + 8, length);
    const auto keep = [&](Bytes& place) {
      if (place.empty()) place = content;
    };
    if (tag == "VP8X") keep(found.extended);
    if (tag == "ANMF") keep(found.frame);
    if (tag == "EXIF") keep(found.exif);
    if (tag == "XMP ") keep(found.xmp);
    if (tag == "ALPH" || tag == "VP8 " || tag == "VP8L")
      if (found.picture.empty()) found.picture = bytes.subspan(at);
    at += std::min(8 + length + length % 2, bytes.size() - at);
  }
  return found;
}

WebPBitstreamFeatures features_of(Bytes picture, const std::string& name) {
  WebPBitstreamFeatures features;
  const VP8StatusCode status = WebPGetFeatures(picture.data(), picture.size(), &features);
  check(status != VP8_STATUS_NOT_ENOUGH_DATA, ErrorKind::data, "{}: the WebP is cut short", name);
  check(status == VP8_STATUS_OK, ErrorKind::data, "{}: damaged WebP: its picture's header", name);
  return features;
}

// Decodes `picture` of the given size to rows of `stride` bytes.
void decode(Bytes picture, VP8StatusCode (*decoder)(Bytes, uint8_t*, size_t, int), uint8_t* out, size_t size,
            int stride, const std::string& name) {
  const VP8StatusCode status = decoder(picture, out, size, stride);
  check(status != VP8_STATUS_OUT_OF_MEMORY, ErrorKind::data, "{}: not enough memory for the WebP", name);
  check(status == VP8_STATUS_OK, ErrorKind::data, "{}: damaged WebP: its picture cannot be decoded", name);
}

template <WEBP_CSP_MODE mode>
VP8StatusCode run(Bytes picture, uint8_t* out, size_t size, int stride) {
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0) return VP8_STATUS_INVALID_PARAM;
  config.output.colorspace = mode;
  config.output.u.RGBA = {out, stride, size};
  config.output.is_external_memory = 1;
  const VP8StatusCode status = WebPDecode(picture.data(), picture.size(), &config);
  WebPFreeDecBuffer(&config.output);
  return status;
}

}  // namespace

Image decode_webp(Bytes bytes, const std::string& name, const ImageLimits& limits) {
  check(bytes.size() >= 20, ErrorKind::data, "{}: the WebP is cut short after {} bytes", name, bytes.size());
  // The RIFF's size counts from byte 8 on; bytes behind it are somebody else's.
  const size_t size = number32(bytes, 4);
  check(size <= bytes.size() - 8, ErrorKind::data, "{}: the WebP is cut short: it has {} bytes of {}", name,
        bytes.size(), size + 8);
  check(size >= 12, ErrorKind::data, "{}: damaged WebP: a size of {} bytes", name, size);
  const Chunks chunks = walk(bytes.subspan(12, size - 4), name);

  Header header;
  Bytes picture = chunks.picture;
  int64_t left = 0, top = 0;
  bool animated = false, transparent = false;
  if (!chunks.extended.empty()) {
    check(chunks.extended.size() >= 10, ErrorKind::data, "{}: damaged WebP: its header is too short", name);
    animated = (chunks.extended[0] & 2) != 0;
    transparent = (chunks.extended[0] & 16) != 0;
    header.width = int64_t{number24(chunks.extended, 4)} + 1;
    header.height = int64_t{number24(chunks.extended, 7)} + 1;
    check_size(header, limits, name);
  }
  if (animated) {
    check(chunks.frame.size() >= 16, ErrorKind::data, "{}: the WebP holds no picture", name);
    left = int64_t{number24(chunks.frame, 0)} * 2;
    top = int64_t{number24(chunks.frame, 3)} * 2;
    picture = walk(chunks.frame.subspan(16), name).picture;
  }
  check(!picture.empty(), ErrorKind::data, "{}: the WebP holds no picture", name);
  const WebPBitstreamFeatures features = features_of(picture, name);
  if (chunks.extended.empty()) {
    header.width = features.width;
    header.height = features.height;
    check_size(header, limits, name);
  }
  check(animated ? left + features.width <= header.width && top + features.height <= header.height
                 : features.width == header.width && features.height == header.height,
        ErrorKind::data, "{}: damaged WebP: a frame of {} x {} in a picture of {} x {}", name, features.width,
        features.height, header.width, header.height);

  Image image(header.height, header.width);
  // What no frame covers is clear, and so white, or black in a file without alpha, as libwebp has it.
  const bool covered = features.width == header.width && features.height == header.height;
  if (!covered && transparent) std::fill(image.pixels.begin(), image.pixels.end(), uint8_t{255});
  const int64_t stride = header.width * 3;
  if (features.has_alpha == 0) {
    const auto from = static_cast<size_t>(top * stride + left * 3);
    decode(picture, run<MODE_RGB>, image.pixels.data() + from, image.pixels.size() - from,
           static_cast<int>(stride), name);
  } else {
    std::vector<uint8_t> colours(static_cast<size_t>(features.width) * static_cast<size_t>(features.height) *
                                 4);
    decode(picture, run<MODE_RGBA>, colours.data(), colours.size(), features.width * 4, name);
    const uint8_t* from = colours.data();
    for (int64_t y = 0; y < features.height; ++y) {
      uint8_t* to = image.row(top + y) + left * 3;
      for (int64_t x = 0; x < features.width; ++x, from += 4, to += 3) over_white(from, from[3], to);
    }
  }
  return upright(std::move(image), orientation_of(chunks.exif, text_of(chunks.xmp)));
}

}  // namespace imgcap::codecs

#else

namespace imgcap::codecs {
Image decode_webp(Bytes, const std::string& name, const ImageLimits&) {
  tensor::fail(tensor::ErrorKind::data,
               "{}: a WebP, which this build cannot read: build with libwebp (Debian: libwebp-dev, CMake: "
               "IMGCAP_WEBP=ON)",
               name);
}
}  // namespace imgcap::codecs

#endif
