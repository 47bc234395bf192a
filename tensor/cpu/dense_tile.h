// The inner kernels of dense products: a few rows times a panel of packed weights, all sums in registers. For
// convolutions with channels last (nhwc.cc), whose rows are where the pixels are, and for products with a
// packed matrix (panel_gemm.cc), whose rows are laid out for it, too.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "tensor/kernel_options.h"

namespace tensor::cpu {
namespace dense {

// The inner kernel computes kTile pixels times kPanel output channels: on AVX2 12 sums, 2 weights and 1 input
// fill the 16 registers.
#if defined(__AVX512F__)
inline constexpr int kLanes = 16, kTile = 12;
#elif defined(__AVX__)
inline constexpr int kLanes = 8, kTile = 6;
#else
inline constexpr int kLanes = 4, kTile = 6;
#endif
inline constexpr int kPanel = 2 * kLanes;
inline int64_t panels_of(int64_t channels) { return (channels + kPanel - 1) / kPanel; }

// Products with matrices that are laid out are summed in blocks of so many: a block of a panel stays in the
// first-level cache while all rows pass over it. The same for every kind, so that their bits agree.
inline constexpr int64_t kSumBlock = 256;

using Vector [[gnu::vector_size(kLanes * sizeof(float))]] = float;

inline Vector load(const float* p) {
  Vector v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
inline void store(float* p, const Vector& v) { std::memcpy(p, &v, sizeof(v)); }
inline float load_one(const float* p) { return *p; }

// Like PyTorch's: a NaN stays one.
template <class V>
V activate(V v, Activation activation) {
  if (activation == Activation::none) return v;
  v = v < 0.0f ? V{} : v;
  if (activation == Activation::relu6) v = v > 6.0f ? V{} + 6.0f : v;
  return v;
}

// Where the runs of memory that a pixel's window covers begin, from the pixel's pointer.
struct Runs {
  std::vector<int64_t> offsets;
  int64_t length;
};

struct Epilogue {
  const float* bias;
  Activation activation;
  int64_t channels;  // of this panel that exist
};

// The sums of a tile to `out`. Inlined, since sums whose address is taken are not kept in registers.
template <int Rows>
[[gnu::always_inline]] inline void finish_tile(const Vector (&sums)[Rows][2], const float* const* residual,
                                               float* const* out, int64_t channel, const Epilogue& epilogue) {
  for (int m = 0; m < Rows; ++m) {
    float result[kPanel];
    const bool whole = epilogue.channels == kPanel;
    for (int half = 0; half < 2; ++half) {
      Vector v = sums[m][half] + load(epilogue.bias + half * kLanes);
      if (residual != nullptr) {
        if (whole) {
          v += load(residual[m] + channel + half * kLanes);
        } else {
          float part[kLanes] = {};
          for (int64_t l = 0; l < kLanes && half * kLanes + l < epilogue.channels; ++l)
            part[l] = residual[m][channel + half * kLanes + l];
          v += load(part);
        }
      }
      v = activate(v, epilogue.activation);
      store(whole ? out[m] + channel + half * kLanes : result + half * kLanes, v);
    }
    if (!whole) std::copy_n(result, epilogue.channels, out[m] + channel);
  }
}

// Rows pixels x one panel. `in`, `out` and `residual` (may be null) hold one pointer per row.
template <int Rows>
void dense_tile(const float* const* in, const Runs& runs, const float* weights, const float* const* residual,
                float* const* out, int64_t channel, const Epilogue& epilogue) {
  Vector sums[Rows][2] = {};
  for (const int64_t offset : runs.offsets) {
    const float* from[Rows];
    for (int m = 0; m < Rows; ++m) from[m] = in[m] + offset;
#pragma GCC unroll 4
    for (int64_t k = 0; k < runs.length; ++k) {
      const Vector w0 = load(weights), w1 = load(weights + kLanes);
      weights += kPanel;
#pragma GCC unroll 12
      for (int m = 0; m < Rows; ++m) {
        sums[m][0] += from[m][k] * w0;
        sums[m][1] += from[m][k] * w1;
      }
    }
  }
  finish_tile<Rows>(sums, residual, out, channel, epilogue);
}

// The same where `in` is laid out as (length, Rows): one pointer in place of twelve, and rows that are a power
// of two apart do not throw each other out of the first-level cache.
template <int Rows>
void packed_tile(const float* in, int64_t length, const float* weights, const float* const* residual,
                 float* const* out, int64_t channel, const Epilogue& epilogue) {
  Vector sums[Rows][2] = {};
  // The sums are wanted when the loop is over, and lie where the block before left them.
  for (int m = 0; m < Rows; ++m) __builtin_prefetch(out[m] + channel, 1);
#pragma GCC unroll 4
  for (int64_t k = 0; k < length; ++k) {
    const Vector w0 = load(weights), w1 = load(weights + kLanes);
    weights += kPanel;
#pragma GCC unroll 12
    for (int m = 0; m < Rows; ++m) {
      sums[m][0] += in[m] * w0;
      sums[m][1] += in[m] * w1;
    }
    in += Rows;
  }
  finish_tile<Rows>(sums, residual, out, channel, epilogue);
}

// Either kernel for each number of rows, by that number less one.
template <int... Rows>
constexpr auto dense_tiles(std::integer_sequence<int, Rows...>) {
  return std::array{dense_tile<Rows + 1>...};
}
template <int... Rows>
constexpr auto packed_tiles(std::integer_sequence<int, Rows...>) {
  return std::array{packed_tile<Rows + 1>...};
}
inline constexpr auto kDenseTiles = dense_tiles(std::make_integer_sequence<int, kTile>{});
inline constexpr auto kPackedTiles = packed_tiles(std::make_integer_sequence<int, kTile>{});

// `count` rows in tiles of nearly equal size: a last tile of one row would take as long as one of three.
struct Tiles {
  explicit Tiles(int64_t rows)
      : count((rows + kTile - 1) / kTile), least(rows / count), larger(rows % count) {}
  int64_t first(int64_t tile) const { return tile * least + std::min(tile, larger); }
  int64_t rows(int64_t tile) const { return least + (tile < larger ? 1 : 0); }

  int64_t count, least, larger;
};

// `count` pixels x one panel.
inline void dense_rows(int64_t count, const float* const* in, const Runs& runs, const float* weights,
                       const float* const* residual, float* const* out, int64_t channel,
                       const Epilogue& epilogue) {
  const Tiles tiles(count);
  for (int64_t tile = 0; tile < tiles.count; ++tile) {
    const int64_t at = tiles.first(tile);
    kDenseTiles[static_cast<size_t>(tiles.rows(tile) - 1)](
        in + at, runs, weights, residual != nullptr ? residual + at : nullptr, out + at, channel, epilogue);
  }
}

}  // namespace dense
}  // namespace tensor::cpu
