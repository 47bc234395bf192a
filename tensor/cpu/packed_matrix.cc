#include <algorithm>
#include <vector>

#include "tensor/cpu/bf16_gemm.h"
#include "tensor/cpu/dense_tile.h"
#include "tensor/cpu/onednn.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

using namespace dense;

// Rows of b a block: a panel of it stays in the first-level cache while all rows of a pass over it.
constexpr int64_t kBlock = 256;

int64_t panels_of(int64_t n) { return (n + kPanel - 1) / kPanel; }

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
      for (int64_t first = 0; first < k; first += kBlock) {
        const int64_t length = std::min(kBlock, k - first);
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
    for (int64_t first = 0; first < k; first += kBlock) {
      const int64_t rows = std::min(kBlock, k - first);
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

}  // namespace

void pack_matrix(Tensor& packed, const Tensor& b) {
  if (b.dtype() != DType::bf16 || !has_bf16_products())
    return pack_panels(packed, tensor::internal::widen(b));
  const int64_t k = b.size(0), n = b.size(1);
  packed = Tensor::empty({bf16_packed_size(k, n)}, DType::bf16, b.device());
  pack_bf16(packed.mutable_device_data<bf16>(), k, n,
            {b.device_data<bf16>(), b.strides()[0], b.strides()[1]});
}

void packed_matmul(Tensor& out, const Tensor& a, const Tensor& packed, bool accumulate) {
  const int64_t m = a.size(0), n = out.size(1), k = a.size(1);
  const bool native = packed.dtype() == DType::bf16;
  check(packed.numel() == (native ? bf16_packed_size(k, n) : k * panels_of(n) * kPanel), ErrorKind::shape,
        "packed_matmul: {} by another packed matrix into {}", describe(a), describe(out));
  if (m == 0) return;
  if (native && out.dtype() != DType::f16) {
    const Tensor rows = a.to(DType::bf16).contiguous();
    return multiply_packed_bf16({m, n, k, rows.device_data<bf16>(), packed.device_data<bf16>(),
                                 out.mutable_device_raw(), out.dtype(), out.strides()[0], accumulate});
  }
  if (!is_half(out.dtype())) return multiply_panels(out, tensor::internal::widen(a), packed, accumulate);
  Tensor wide = out.to(DType::f32);
  packed_matmul(wide, a, packed, accumulate);
  out.copy_(wide);
}

}  // namespace tensor::cpu
