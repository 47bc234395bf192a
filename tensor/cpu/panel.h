// Panels of packed weights, as wide as two registers, and what the inner kernels that multiply by them share. A header
// without those kernels: each file that sees them compiles two dozen.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tensor/kernel_options.h"

// Before a loop over the length of a sum. Instrumented code gains nothing by it and compiles ten times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IMGCAP_UNROLL(times)
#else
#define IMGCAP_UNROLL(times) _Pragma(IMGCAP_UNROLL_TEXT(GCC unroll times))
#define IMGCAP_UNROLL_TEXT(text) #text
#endif

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

// `count` rows in tiles of nearly equal size: a last tile of one row would take as long as one of three.
struct Tiles {
  explicit Tiles(int64_t rows)
      : count((rows + kTile - 1) / kTile), least(rows / count), larger(rows % count) {}
  int64_t first(int64_t tile) const { return tile * least + std::min(tile, larger); }
  int64_t rows(int64_t tile) const { return least + (tile < larger ? 1 : 0); }

  int64_t count, least, larger;
};

}  // namespace dense
}  // namespace tensor::cpu
