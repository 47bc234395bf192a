// GIF's first frame, as browsers show it: on its canvas, which is white where the frame is not.
#include <algorithm>
#include <array>
#include <utility>

#include "imgcap/data/image_codecs.h"
#include "tensor/error.h"

namespace imgcap::codecs {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::fail;

struct Frame {
  int64_t left = 0, top = 0, width = 0, height = 0;
  bool interlaced = false;
  int transparent = -1;
  std::array<uint8_t, 768> palette{};
  size_t data_at = 0;  // the code size, then blocks
};

// The codes of a frame's blocks.
class Codes {
 public:
  Codes(Bytes bytes, size_t at) : bytes_(bytes), at_(at) {}
  // -1 when there are no more.
  int next(int width) {
    for (; bits_ < width; bits_ += 8) {
      const int byte = next_byte();
      if (byte < 0) return -1;
      buffer_ |= static_cast<uint32_t>(byte) << bits_;
    }
    const uint32_t code = buffer_ & ((1u << width) - 1);
    buffer_ >>= width;
    bits_ -= width;
    return static_cast<int>(code);
  }
  // Goes to the end of the blocks; false when the file ends before.
  bool skip() {
    while (next_byte() >= 0) at_ += std::exchange(left_, 0);
    return !cut_;
  }

 private:
  int next_byte() {
    if (done_) return -1;
    if (left_ == 0) {
      cut_ = at_ >= bytes_.size();
      left_ = cut_ ? 0 : bytes_[at_++];
      done_ = left_ == 0;
      if (done_) return -1;
    }
    if (at_ >= bytes_.size()) {
      cut_ = done_ = true;
      return -1;
    }
    --left_;
    return bytes_[at_++];
  }

  Bytes bytes_;
  size_t at_, left_ = 0;
  uint32_t buffer_ = 0;
  int bits_ = 0;
  bool done_ = false, cut_ = false;
};

// Puts the frame's pixels where they belong, in the order in which they are stored.
class Pen {
 public:
  Pen(const Frame& frame, Image& canvas) : frame_(frame), canvas_(canvas) {}
  bool done() const { return y_ >= frame_.height; }
  void put(uint8_t index) {
    if (done()) return;
    if (index != frame_.transparent) {
      const uint8_t* colour = &frame_.palette[size_t{3} * index];
      std::copy(colour, colour + 3, canvas_.row(frame_.top + y_) + 3 * (frame_.left + x_));
    }
    if (++x_ < frame_.width) return;
    x_ = 0;
    if (!frame_.interlaced) {
      ++y_;
      return;
    }
    // Rows 0, 8, ..; then 4, 12, ..; then 2, 6, ..; then the odd ones.
    y_ += pass_ == 0 ? 8 : 16 >> pass_;
    while (y_ >= frame_.height && pass_ < 3) y_ = 8 >> ++pass_;
  }

 private:
  const Frame& frame_;
  Image& canvas_;
  int64_t x_ = 0, y_ = 0;
  int pass_ = 0;
};

// What the codes stand for. Errors: data.
void unpack(Codes& codes, int size, Pen& pen, const std::string& name) {
  constexpr int kMost = 4096;
  std::array<uint16_t, kMost> before;  // a code's string without its last pixel, as a code
  std::array<uint8_t, kMost> last, first;
  std::array<uint8_t, kMost> string;
  const int clear = 1 << size, end = clear + 1;
  for (int i = 0; i < clear; ++i) last[i] = first[i] = static_cast<uint8_t>(i);
  int next = end + 1, width = size + 1, previous = -1;
  while (!pen.done()) {
    const int code = codes.next(width);
    if (code < 0 || code == end) return;
    if (code == clear) {
      next = end + 1, width = size + 1, previous = -1;
      continue;
    }
    const bool known = code < (previous < 0 ? clear : next);
    check(known || (previous >= 0 && code == next && next < kMost), ErrorKind::data,
          "{}: damaged GIF: a code without a meaning", name);
    if (previous >= 0 && next < kMost) {  // a full table stays as it is until it is cleared
      before[next] = static_cast<uint16_t>(previous);
      first[next] = first[previous];
      last[next] = first[known ? code : previous];
      ++next;
    }
    if (next >= 1 << width && width < 12) ++width;
    size_t length = 0;
    int rest = code;
    for (; rest > end; rest = before[rest]) string[length++] = last[rest];
    pen.put(last[rest]);
    while (length > 0) pen.put(string[--length]);
    previous = code;
  }
}

// Finds the first frame; the canvas grows until the frame fits. Errors: data.
Frame read_blocks(Bytes bytes, Header& canvas, const std::string& name) {
  if (bytes.size() < 13) cut("GIF", bytes, name);
  canvas.width = little16(bytes, 6);
  canvas.height = little16(bytes, 8);
  Frame frame;
  // Without a palette the numbers are shades of grey.
  for (size_t i = 0; i < frame.palette.size(); ++i) frame.palette[i] = static_cast<uint8_t>(i / 3);
  size_t at = 13;
  const auto palette = [&](uint8_t flags) {
    if ((flags & 0x80) == 0) return;
    const size_t size = size_t{6} << (flags & 7);
    if (at > bytes.size() || bytes.size() - at < size) cut("GIF", bytes, name);
    frame.palette = {};
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), size, frame.palette.begin());
    at += size;
  };
  palette(bytes[10]);
  for (;;) {
    if (at >= bytes.size()) cut("GIF", bytes, name);
    const uint8_t tag = bytes[at];
    if (tag == 0x00) {  // some programs leave one between blocks
      ++at;
    } else if (tag == 0x21) {
      if (bytes.size() - at < 3) cut("GIF", bytes, name);
      if (bytes[at + 1] == 0xF9 && bytes[at + 2] >= 4 && bytes.size() - at >= 7 && (bytes[at + 3] & 1) != 0)
        frame.transparent = bytes[at + 6];
      at += 2;
      for (size_t length = 1; length > 0; at += length + 1) {
        if (at >= bytes.size()) cut("GIF", bytes, name);
        length = bytes[at];
      }
    } else if (tag == 0x2C) {
      if (bytes.size() - at < 11) cut("GIF", bytes, name);
      frame.left = little16(bytes, at + 1), frame.top = little16(bytes, at + 3);
      frame.width = little16(bytes, at + 5), frame.height = little16(bytes, at + 7);
      const uint8_t flags = bytes[at + 9];
      frame.interlaced = (flags & 0x40) != 0;
      at += 10;
      palette(flags);
      if (at >= bytes.size()) cut("GIF", bytes, name);
      frame.data_at = at;
      break;
    } else {
      fail(ErrorKind::data, "{}: {} at byte {}", name,
           tag == 0x3B ? "the GIF holds no picture" : "damaged GIF: an unknown block", at);
    }
  }
  check(frame.width > 0 && frame.height > 0, ErrorKind::data, "{}: the GIF's first frame has no pixels",
        name);
  canvas.width = std::max(canvas.width, frame.left + frame.width);
  canvas.height = std::max(canvas.height, frame.top + frame.height);
  return frame;
}

}  // namespace

Image decode_gif(Bytes bytes, const std::string& name, const ImageLimits& limits) {
  Header canvas;
  const Frame frame = read_blocks(bytes, canvas, name);
  check_size(canvas, limits, name);
  const int size = bytes[frame.data_at];
  check(size >= 1 && size <= 11, ErrorKind::data, "{}: damaged GIF: codes of {} bits", name, size);
  Image image(canvas.height, canvas.width);
  std::ranges::fill(image.pixels, uint8_t{255});
  Codes codes(bytes, frame.data_at + 1);
  Pen pen(frame, image);
  unpack(codes, size, pen, name);
  const bool ended = codes.skip();
  if (!pen.done() && !ended) cut("GIF", bytes, name);
  check(pen.done(), ErrorKind::data,
        "{}: the GIF's data end before its first frame of {} x {} pixels is full", name, frame.width,
        frame.height);
  if (!ended) image.warning = "the GIF has no end; its first frame is whole";
  return image;
}

}  // namespace imgcap::codecs
