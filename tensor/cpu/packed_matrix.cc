#include <algorithm>
#include <vector>

#include "tensor/cpu/dense_tile.h"
#include "tensor/cpu/packed_gemm.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

using namespace dense;

// Rows of `a` that are laid out at a time, so that a block of them stays in the second-level cache.
constexpr int64_t kRows = 256;
// Below these many panels laying them out costs more than it saves.
constexpr int64_t kFewPanels = 8;

struct Product {
  const float* x;
  int64_t x_row;
  const float* packed;
  float* y;
  int64_t y_row;
  int64_t m, n, k;
  bool accumulate;

  Epilogue epilogue(int64_t panel) const {
    static constexpr float kZeros[kPanel] = {};
    return {kZeros, Activation::none, std::min<int64_t>(kPanel, n - panel * kPanel)};
  }
  // multiply(panel, first, length, weights) for each panel and block of k. Small products stay on one thread.
  template <class Multiply>
  void for_each_panel(const Multiply& multiply) const {
    const int64_t panels = panels_of(n);
    parallel_for(panels, (int64_t{1} << 19) / (m * k * kPanel + 1), [&](int64_t begin, int64_t end) {
      for (int64_t first = 0; first < k; first += kSumBlock) {
        const int64_t length = std::min(kSumBlock, k - first);
        for (int64_t panel = begin; panel < end; ++panel)
          multiply(panel, first, length, packed + (first * panels + panel * length) * kPanel);
      }
    });
  }
};

void multiply_in_place(const Product& p) {
  std::vector<const float*> from(static_cast<size_t>(p.m));
  std::vector<float*> to(static_cast<size_t>(p.m));
  for (int64_t r = 0; r < p.m; ++r)
    from[static_cast<size_t>(r)] = p.x + r * p.x_row, to[static_cast<size_t>(r)] = p.y + r * p.y_row;
  p.for_each_panel([&](int64_t panel, int64_t first, int64_t length, const float* weights) {
    dense_rows(p.m, from.data(), {{first}, length}, weights, p.accumulate || first > 0 ? to.data() : nullptr,
               to.data(), panel * kPanel, p.epilogue(panel));
  });
}

// `in`: room for m x k numbers.
void multiply_laid_out(const Product& p, float* in) {
  const Tiles tiles(p.m);
  // Each tile as (k, rows).
  parallel_each(tiles.count, 32768 / (p.k * kTile + 1), [&](int64_t tile) {
    const float* from = p.x + tiles.first(tile) * p.x_row;
    float* to = in + tiles.first(tile) * p.k;
    for (int64_t i = 0; i < p.k; ++i)
      for (int64_t r = 0; r < tiles.rows(tile); ++r) *to++ = from[r * p.x_row + i];
  });
  p.for_each_panel([&](int64_t panel, int64_t first, int64_t length, const float* weights) {
    for (int64_t tile = 0; tile < tiles.count; ++tile) {
      const int64_t rows = tiles.rows(tile);
      float* to[kTile];
      for (int64_t r = 0; r < rows; ++r) to[r] = p.y + (tiles.first(tile) + r) * p.y_row;
      kPackedTiles[static_cast<size_t>(rows - 1)](in + tiles.first(tile) * p.k + first * rows, length,
                                                  weights, p.accumulate || first > 0 ? to : nullptr, to,
                                                  panel * kPanel, p.epilogue(panel));
    }
  });
}

// Into (blocks of k, panels, k in the block, panel width), zeros past n.
void pack_panels(Tensor& packed, const Tensor& b) {
  const int64_t k = b.size(0), n = b.size(1), panels = panels_of(n), row = b.strides()[0],
                col = b.strides()[1];
  packed = Tensor::empty({k * panels * kPanel}, DType::f32, b.device());
  float* to = packed.mutable_device_data<float>();
  const float* from = b.device_data<float>();
  parallel_each(panels, 1, [&](int64_t panel) {
    const int64_t width = std::min<int64_t>(kPanel, n - panel * kPanel);
    for (int64_t first = 0; first < k; first += kSumBlock) {
      const int64_t rows = std::min(kSumBlock, k - first);
      float* out = to + (first * panels + panel * rows) * kPanel;
      const float* in = from + first * row + panel * kPanel * col;
      // The inner loop goes along memory; a transposed weight has its unit stride in k.
      if (row == 1) {
        for (int64_t j = 0; j < kPanel; ++j)
          for (int64_t i = 0; i < rows; ++i) out[i * kPanel + j] = j < width ? in[i + j * col] : 0;
      } else {
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < kPanel; ++j) out[i * kPanel + j] = j < width ? in[i * row + j * col] : 0;
      }
    }
  });
}

void multiply_panels(Tensor& out, const Tensor& a, const Tensor& packed, bool accumulate) {
  Product p{a.device_data<float>(),
            a.strides()[0],
            packed.device_data<float>(),
            nullptr,
            out.strides()[0],
            a.size(0),
            out.size(1),
            a.size(1),
            accumulate};
  p.y = out.mutable_device_data<float>();
  if (panels_of(p.n) < kFewPanels) return multiply_in_place(p);
  Tensor laid_out = Tensor::empty({std::min(p.m, kRows) * p.k}, DType::f32, a.device());
  const int64_t rows = p.m;
  for (int64_t first = 0; first < rows; first += kRows) {
    p.m = std::min(kRows, rows - first);
    multiply_laid_out(p, laid_out.mutable_device_data<float>());
    p.x += kRows * p.x_row, p.y += kRows * p.y_row;
  }
}

// Of 16-bit operands and of many rows; how others are packed is this file's.
template <class T>
void pack_blocks(Tensor& packed, const Tensor& b) {
  const int64_t k = b.size(0), n = b.size(1);
  packed = Tensor::empty({packed_size<T>(k, n)}, dtype_of<T>::value, b.device());
  pack<T>(packed.mutable_device_data<T>(), k, n, {b.device_data<T>(), b.strides()[0], b.strides()[1]});
}

template <class T>
void multiply_blocks(Tensor& out, const Tensor& a, const Tensor& packed, bool accumulate) {
  const Tensor rows = a.contiguous();
  multiply_packed<T>({a.size(0), out.size(1), a.size(1), rows.device_data<T>(), packed.device_data<T>(),
                      out.mutable_device_raw(), out.dtype(), out.strides()[0], 1, accumulate ? 1.0f : 0.0f});
}

bool has_blocks(DType type, PackedFor use) {
  return type == DType::bf16 ? has_packed_gemm<bf16>()
                             : use == PackedFor::many_rows && has_packed_gemm<float>();
}

}  // namespace

void pack_matrix(Tensor& packed, const Tensor& b, PackedFor use) {
  if (!has_blocks(b.dtype(), use)) return pack_panels(packed, tensor::internal::widen(b));
  if (b.dtype() == DType::bf16) return pack_blocks<bf16>(packed, b);
  pack_blocks<float>(packed, tensor::internal::widen(b));
}

void packed_matmul(Tensor& out, const Tensor& a, const Tensor& packed, PackedFor use, bool accumulate) {
  const int64_t n = out.size(1), k = a.size(1);
  const bool native = packed.dtype() == DType::bf16, blocks = native || has_blocks(DType::f32, use);
  check(packed.numel() == (native   ? packed_size<bf16>(k, n)
                           : blocks ? packed_size<float>(k, n)
                                    : k * panels_of(n) * kPanel),
        ErrorKind::shape, "packed_matmul: {} by another packed matrix into {}", describe(a), describe(out));
  if (a.size(0) == 0) return;
  if (native && out.dtype() != DType::f16)
    return multiply_blocks<bf16>(out, a.to(DType::bf16), packed, accumulate);
  if (is_half(out.dtype())) {
    Tensor wide = out.to(DType::f32);
    packed_matmul(wide, a, packed, use, accumulate);
    out.copy_(wide);
    return;
  }
  const Tensor rows = tensor::internal::widen(a);
  blocks ? multiply_blocks<float>(out, rows, packed, accumulate)
         : multiply_panels(out, rows, packed, accumulate);
}

}  // namespace tensor::cpu
