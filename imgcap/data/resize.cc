#include "imgcap/data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "imgcap/data/exact.h"
#include "tensor/error.h"

namespace imgcap {
namespace {

constexpr int kBits = 22;  // 32 - 8 bits of a pixel - 2 bits of head room
constexpr int32_t kHalf = 1 << (kBits - 1);

// Output i is the sum of weights[i * stride + t] * input[first[i] + t], t < count[i].
struct Filter {
  int64_t stride = 0;
  std::vector<int64_t> first, count;
  std::vector<int32_t> weights;
};

Filter triangle(int64_t in, int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double support = std::max(scale, 1.0), inverse = 1.0 / support;
  Filter filter;
  filter.stride = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  filter.first.resize(static_cast<size_t>(out));
  filter.count.resize(static_cast<size_t>(out));
  filter.weights.resize(static_cast<size_t>(out * filter.stride));
  std::vector<double> raw(static_cast<size_t>(filter.stride));
  for (int64_t i = 0; i < out; ++i) {
    const double center = rounded((static_cast<double>(i) + 0.5) * scale);
    const int64_t begin = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t end = std::min<int64_t>(static_cast<int64_t>(center + support + 0.5), in);
    double total = 0;
    for (int64_t t = 0; t < end - begin; ++t) {
      const double distance = std::abs(rounded((static_cast<double>(t + begin) - center + 0.5) * inverse));
      const double weight = distance < 1.0 ? 1.0 - distance : 0.0;
      raw[static_cast<size_t>(t)] = weight;
      total += weight;
    }
    int32_t* weights = filter.weights.data() + i * filter.stride;
    for (int64_t t = 0; t < end - begin; ++t) {
      const double weight = total != 0 ? raw[static_cast<size_t>(t)] / total : 0.0;
      weights[t] = static_cast<int32_t>(0.5 + weight * (1 << kBits));
    }
    filter.first[static_cast<size_t>(i)] = begin;
    filter.count[static_cast<size_t>(i)] = end - begin;
  }
  return filter;
}

uint8_t to_byte(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kBits, 0, 255)); }

// Two rows at a time, widened to [row 0: r g b 0, row 1: r g b 0] a column, so that a tap is one vector.
Image resize_columns(const Image& image, int64_t width) {
  constexpr int kLanes = 8;
  const Filter filter = triangle(image.width, width);
  Image out(image.height, width);
  std::vector<int32_t> wide(static_cast<size_t>(image.width * kLanes));
  for (int64_t y = 0; y < image.height; y += 2) {
    const int64_t rows = std::min<int64_t>(2, image.height - y);
    for (int64_t r = 0; r < rows; ++r) {
      const uint8_t* from = image.row(y + r);
      int32_t* to = wide.data() + r * 4;
      for (int64_t x = 0; x < image.width; ++x, from += 3, to += kLanes)
        to[0] = from[0], to[1] = from[1], to[2] = from[2];
    }
    uint8_t* row0 = out.row(y);
    uint8_t* row1 = rows == 2 ? out.row(y + 1) : nullptr;
    for (int64_t x = 0; x < width; ++x) {
      const int32_t* weights = filter.weights.data() + x * filter.stride;
      const int32_t* taps = wide.data() + filter.first[static_cast<size_t>(x)] * kLanes;
      const int64_t count = filter.count[static_cast<size_t>(x)];
      int32_t sum[kLanes];
      for (int32_t& s : sum) s = kHalf;
      for (int64_t t = 0; t < count; ++t, taps += kLanes) {
        for (int j = 0; j < kLanes; ++j) sum[j] += taps[j] * weights[t];
      }
      for (int c = 0; c < 3; ++c) row0[x * 3 + c] = to_byte(sum[c]);
      if (row1 != nullptr) {
        for (int c = 0; c < 3; ++c) row1[x * 3 + c] = to_byte(sum[4 + c]);
      }
    }
  }
  return out;
}

Image resize_rows(const Image& image, int64_t height) {
  const Filter filter = triangle(image.height, height);
  Image out(height, image.width);
  const int64_t length = image.width * 3;
  std::vector<int32_t> sums(static_cast<size_t>(length));
  for (int64_t y = 0; y < height; ++y) {
    int32_t* sum = sums.data();
    std::fill(sums.begin(), sums.end(), kHalf);
    for (int64_t t = 0; t < filter.count[static_cast<size_t>(y)]; ++t) {
      const int32_t weight = filter.weights[static_cast<size_t>(y * filter.stride + t)];
      const uint8_t* from = image.row(filter.first[static_cast<size_t>(y)] + t);
      for (int64_t x = 0; x < length; ++x) sum[x] += from[x] * weight;
    }
    uint8_t* to = out.row(y);
    for (int64_t x = 0; x < length; ++x) to[x] = to_byte(sum[x]);
  }
  return out;
}

}  // namespace

Image resize(const Image& image, int64_t height, int64_t width) {
  tensor::check(height > 0 && width > 0 && image.height > 0 && image.width > 0, tensor::ErrorKind::argument,
                "resize: {} x {} to {} x {}: every side has to be 1 or more", image.width, image.height,
                width, height);
  if (width == image.width) return height == image.height ? image : resize_rows(image, height);
  if (height == image.height) return resize_columns(image, width);
  // Pillow's choice since version 13, found by comparing: rounding in between makes the order visible.
  const bool rows_first = height < image.height && 2 * (image.width - width) < image.height - height;
  return rows_first ? resize_columns(resize_rows(image, height), width)
                    : resize_rows(resize_columns(image, width), height);
}

Image at_most(const Image& image, int64_t side) {
  const int64_t longer = std::max(image.height, image.width);
  if (longer <= side) return image;
  return resize(image, std::max<int64_t>(1, image.height * side / longer),
                std::max<int64_t>(1, image.width * side / longer));
}

}  // namespace imgcap
