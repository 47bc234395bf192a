// The inner kernels of dense products: a few rows times a panel of packed weights, all sums in registers. For
// convolutions with channels last (nhwc.cc), whose rows are where the pixels are, and for products with a
// packed matrix (panel_gemm.cc), whose rows are laid out for it, too.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "tensor/cpu/panel.h"

namespace tensor::cpu {
namespace dense {

// Rows pixels x one panel. `in`, `out` and `residual` (may be null) hold one pointer per row.
template <int Rows>
void dense_tile(const float* const* in, const Runs& runs, const float* weights, const float* const* residual,
                float* const* out, int64_t channel, const Epilogue& epilogue) {
  Vector sums[Rows][2] = {};
  for (const int64_t offset : runs.offsets) {
    const float* from[Rows];
    for (int m = 0; m < Rows; ++m) from[m] = in[m] + offset;
    IMGCAP_UNROLL(4)
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
  IMGCAP_UNROLL(4)
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
