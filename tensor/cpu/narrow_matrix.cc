// Products of a few rows with weights that are kept in 16 or 8 bits and widened in registers.
#include <algorithm>
#include <bit>
#include <cstring>

#include "tensor/cpu/panel.h"
#include "tensor/cpu/widen_lanes.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

using namespace dense;

struct Product {
  const float* x;
  int64_t x_row;
  float* y;
  int64_t y_row;
  const float* scales;
  int64_t m, n, k;
  bool accumulate;
};

// Rows of x times one panel.
template <int Rows, class T>
void narrow_tile(const Product& p, int64_t first_row, int64_t panel, const T* weights) {
  static constexpr float kZeros[kPanel] = {};
  const Epilogue epilogue{kZeros, Activation::none, std::min<int64_t>(kPanel, p.n - panel * kPanel)};
  const float* in[Rows];
  float* out[Rows];
  for (int m = 0; m < Rows; ++m)
    in[m] = p.x + (first_row + m) * p.x_row, out[m] = p.y + (first_row + m) * p.y_row;
  // Of 16 and 8 bits few lines are read between two multiply-adds, and the processor asks for them too late.
  constexpr int64_t kAhead = sizeof(*weights) < 4 ? 2048 / sizeof(*weights) : 0;
  // (q - 128) s as q s - 128 s, in one multiply-add: all three are exact.
  constexpr bool scaled = std::is_same_v<T, uint8_t>;
  [[maybe_unused]] Vector s0{}, s1{}, less0{}, less1{};
  if constexpr (scaled) {
    s0 = load(p.scales + panel * kPanel), s1 = load(p.scales + panel * kPanel + kLanes);
    less0 = s0 * -128.0f, less1 = s1 * -128.0f;
  }
  int64_t i = 0;
  do {
    Vector sums[Rows][2] = {};
    const bool add = p.accumulate || i > 0;
    for (const int64_t end = std::min(p.k, i + kSumBlock); i < end; ++i) {
      if constexpr (kAhead > 0) __builtin_prefetch(weights + kAhead);
      Vector w0 = widen_lanes(weights), w1 = widen_lanes(weights + kLanes);
      if constexpr (scaled) w0 = w0 * s0 + less0, w1 = w1 * s1 + less1;
      weights += kPanel;
#pragma GCC unroll 12
      for (int m = 0; m < Rows; ++m) {
        sums[m][0] += in[m][i] * w0;
        sums[m][1] += in[m][i] * w1;
      }
    }
    finish_tile<Rows>(sums, add ? out : nullptr, out, panel * kPanel, epilogue);
  } while (i < p.k);
}

template <class T, int... Rows>
constexpr auto narrow_tiles(std::integer_sequence<int, Rows...>) {
  return std::array{narrow_tile<Rows + 1, T>...};
}

template <class T>
void multiply(const Product& p, const Tensor& packed) {
  static constexpr auto kTiles = narrow_tiles<T>(std::make_integer_sequence<int, kTile>{});
  const T* weights = packed.device_data<T>();
  const Tiles tiles(p.m);
  // Small products stay on one thread.
  parallel_each(panels_of(p.n), (int64_t{1} << 17) / (p.m * p.k * kPanel + 1), [&](int64_t panel) {
    for (int64_t tile = 0; tile < tiles.count; ++tile)
      kTiles[static_cast<size_t>(tiles.rows(tile) - 1)](p, tiles.first(tile), panel,
                                                        weights + panel * p.k * kPanel);
  });
}

// The 8 x 8 bytes of eight words, one side for the other: blocks of four, of two and of one change places.
void transpose_bytes(uint64_t (&x)[8]) {
  const auto swap = [&](int distance, int shift, uint64_t low) {
    for (int i = 0; i < 8; ++i)
      if ((i & distance) == 0) {
        const uint64_t t = (x[i] >> shift ^ x[i + distance]) & low;
        x[i + distance] ^= t;
        x[i] ^= t << shift;
      }
  };
  swap(4, 32, 0x00000000ffffffff);
  swap(2, 16, 0x0000ffff0000ffff);
  swap(1, 8, 0x00ff00ff00ff00ff);
}

// Columns [0, 8 * (n / 8)) of eight rows, `row` bytes apart, into rows of a panel.
int64_t pack_eight(uint8_t* out, const uint8_t* in, int64_t row, int64_t n) {
  static_assert(std::endian::native == std::endian::little);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t x[8];
    for (int j = 0; j < 8; ++j) std::memcpy(&x[j], in + j * row + i, 8);
    transpose_bytes(x);
    for (int j = 0; j < 8; ++j) std::memcpy(out + (i + j) * kPanel, &x[j], 8);
  }
  return i;
}

// (n, k) of any strides into (panels, k, panel width), zeros past n. Squares of it at a time, so that both
// sides stay in the first-level cache.
template <class T>
void pack(Tensor& packed, const Tensor& weight) {
  constexpr int64_t kSquare = 64;
  const int64_t n = weight.size(0), k = weight.size(1), row = weight.strides()[0], col = weight.strides()[1];
  const T* from = weight.device_data<T>();
  T* to = packed.mutable_device_data<T>();
  parallel_each(panels_of(n), (int64_t{1} << 16) / (k * kPanel + 1), [&](int64_t panel) {
    const int64_t width = std::min<int64_t>(kPanel, n - panel * kPanel);
    T* out = to + panel * k * kPanel;
    if (width < kPanel) std::memset(out, 0, static_cast<size_t>(k * kPanel) * sizeof(T));
    for (int64_t first = 0; first < k; first += kSquare) {
      const int64_t end = std::min(k, first + kSquare);
      for (int64_t j = 0; j < width;) {
        const T* in = from + (panel * kPanel + j) * row;
        int64_t i = first, rows = 1;
        if constexpr (sizeof(T) == 1)
          if (col == 1 && j + 8 <= width)
            i += pack_eight(out + first * kPanel + j, in + first, row, end - first), rows = 8;
        for (; i < end; ++i)
          for (int64_t r = 0; r < rows; ++r) out[i * kPanel + j + r] = in[r * row + i * col];
        j += rows;
      }
    }
  });
}

// f.template operator()<T>() for the weights' type.
template <class F>
void dispatch_stored(DType dtype, const F& f) {
  switch (dtype) {
    case DType::f16:
      return f.template operator()<f16>();
    case DType::bf16:
      return f.template operator()<bf16>();
    case DType::u8:
      return f.template operator()<uint8_t>();
    default:
      return f.template operator()<float>();
  }
}

}  // namespace

void pack_narrow(Tensor& packed, Tensor& packed_scales, const Tensor& weight, const Tensor& scales) {
  const int64_t padded = panels_of(weight.size(0)) * kPanel;
  packed = Tensor::empty({padded * weight.size(1)}, weight.dtype(), weight.device());
  dispatch_stored(weight.dtype(), [&]<class T>() { pack<T>(packed, weight); });
  packed_scales = {};
  if (!scales.defined()) return;
  packed_scales = Tensor::zeros({padded}, DType::f32, weight.device());
  packed_scales.slice(0, 0, weight.size(0)).copy_(scales);
}

void narrow_matmul(Tensor& out, const Tensor& a, const Tensor& packed, const Tensor& scales,
                   bool accumulate) {
  Product p{a.device_data<float>(),
            a.strides()[0],
            nullptr,
            out.strides()[0],
            scales.defined() ? scales.device_data<float>() : nullptr,
            a.size(0),
            out.size(1),
            a.size(1),
            accumulate};
  check(packed.numel() == p.k * panels_of(p.n) * kPanel, ErrorKind::shape,
        "narrow_matmul: {} by another packed matrix into {}", describe(a), describe(out));
  if (p.m == 0 || p.n == 0) return;
  p.y = out.mutable_device_data<float>();
  dispatch_stored(packed.dtype(), [&]<class T>() { multiply<T>(p, packed); });
}

void stored_rows(Tensor& out, const Tensor& values, const Tensor& scales, const Tensor& ids) {
  const int64_t width = values.size(1), n = values.size(0), row = values.strides()[0],
                col = values.strides()[1], out_row = out.strides()[0];
  const Tensor dense_ids = ids.contiguous(), dense_scales = scales.defined() ? scales.contiguous() : scales;
  const int64_t* id = dense_ids.device_data<int64_t>();
  for (int64_t i = 0; i < ids.size(0); ++i)
    check(id[i] >= 0 && id[i] < n, ErrorKind::index, "stored_rows: row {} of {}", id[i], n);
  float* to = out.mutable_device_data<float>();
  dispatch_stored(values.dtype(), [&]<class T>() {
    const T* from = values.device_data<T>();
    const f16* scale = dense_scales.defined() ? dense_scales.device_data<f16>() : nullptr;
    parallel_each(ids.size(0), 32768 / (width + 1), [&](int64_t i) {
      const T* in = from + id[i] * row;
      float* y = to + i * out_row;
      if constexpr (std::is_same_v<T, uint8_t>) {
        const auto s = static_cast<float>(scale[id[i]]);
        for (int64_t j = 0; j < width; ++j)
          y[j] = s * static_cast<float>(static_cast<int>(in[j * col]) - 128);
      } else {
        for (int64_t j = 0; j < width; ++j) y[j] = static_cast<float>(in[j * col]);
      }
    });
  });
}

}  // namespace tensor::cpu
