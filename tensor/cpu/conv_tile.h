// The inner kernel of our own dense convolutions: a few pixels times a few vectors of output channels, all sums in
// registers. And what activations are for our own convolutions.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include "tensor/cpu/panel.h"

namespace tensor::cpu::conv {

using dense::kLanes;
using dense::kPanel;
using dense::Runs;
using dense::Vector;

// On AVX-512 24 sums, 4 weights and 1 input fill most of the 32 registers, on AVX2 12 sums, 2 weights and 1 input
// the 16. Many vectors and few pixels are best: pixels that are a power of two apart throw each other out of the
// first-level cache.
#if defined(__AVX512F__)
inline constexpr int kMostVectors = 4, kSums = 24;
#else
inline constexpr int kMostVectors = 2, kSums = 12;
#endif
inline constexpr int kMostPixels = 12;
constexpr int pixels_of(int vectors) { return std::min(kMostPixels, kSums / vectors); }

// An activation as the bounds of its result: no branches in the kernels. A NaN stays one.
struct Bounds {
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();

  explicit Bounds(Activation activation) {
    if (activation != Activation::none) low = 0;
    if (activation == Activation::relu6) high = 6;
  }
  template <class V>
  V operator()(V v) const {
    const V least = V{} + low, greatest = V{} + high;
    v = least > v ? least : v;
    return greatest < v ? greatest : v;
  }
};

// The output channels [channel, channel + channels), which begin a vector.
struct Group {
  const float* weights[kMostVectors];  // of each vector, a panel's width apart from input to input
  const float* bias;
  int64_t channel, channels;
  Bounds bounds;
};

// The first `count` numbers; half a vector is the common case of less than a whole one.
inline void store_some(float* to, const Vector& v, int64_t count) {
  if (count >= kLanes) return dense::store(to, v);
  if (count == kLanes / 2) {
    std::memcpy(to, &v, sizeof(v) / 2);
    return;
  }
  for (int64_t l = 0; l < count; ++l) to[l] = v[l];
}
inline Vector load_some(const float* from, int64_t count) {
  if (count >= kLanes) return dense::load(from);
  float part[kLanes] = {};
  std::copy_n(from, count, part);
  return dense::load(part);
}

// `in`, `out` and `residual` (may be null) hold one pointer per pixel.
template <int Pixels, int Vectors>
void tile(const float* const* in, const Runs& runs, const Group& group, const float* const* residual,
          float* const* out) {
  Vector sums[Pixels][Vectors] = {};
  const float* weights[Vectors];
  for (int v = 0; v < Vectors; ++v) weights[v] = group.weights[v];
  for (const int64_t offset : runs.offsets) {
    const float* from[Pixels];
    for (int m = 0; m < Pixels; ++m) from[m] = in[m] + offset;
    IMGCAP_UNROLL(2)
    for (int64_t k = 0; k < runs.length; ++k) {
      Vector w[Vectors];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) w[v] = dense::load(weights[v]), weights[v] += kPanel;
#pragma GCC unroll 12
      for (int m = 0; m < Pixels; ++m)
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sums[m][v] += from[m][k] * w[v];
    }
  }
#pragma GCC unroll 12
  for (int m = 0; m < Pixels; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      const int64_t at = group.channel + v * kLanes, count = group.channels - v * kLanes;
      Vector sum = sums[m][v] + dense::load(group.bias + v * kLanes);
      if (residual != nullptr) sum += load_some(residual[m] + at, count);
      store_some(out[m] + at, group.bounds(sum), count);
    }
}

using Tile = void (*)(const float* const*, const Runs&, const Group&, const float* const*, float* const*);

// By the number of pixels less one.
template <int Vectors, int... Pixels>
constexpr std::array<Tile, kMostPixels> tiles(std::integer_sequence<int, Pixels...>) {
  return {
      (Pixels < pixels_of(Vectors) ? &tile<std::min(Pixels + 1, pixels_of(Vectors)), Vectors> : nullptr)...};
}
template <int... Vectors>
constexpr std::array<std::array<Tile, kMostPixels>, sizeof...(Vectors)> all_tiles(
    std::integer_sequence<int, Vectors...>) {
  return {tiles<Vectors + 1>(std::make_integer_sequence<int, kMostPixels>{})...};
}
inline constexpr auto kTiles = all_tiles(std::make_integer_sequence<int, kMostVectors>{});

}  // namespace tensor::cpu::conv
