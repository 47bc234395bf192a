#include <algorithm>

#include "tensor/cpu/dense_tile.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

using namespace dense;

// Rows of b a block: a panel of it stays in the first-level cache while all rows of a pass over it.
constexpr int64_t kBlock = 256;

int64_t panels_of(int64_t n) { return (n + kPanel - 1) / kPanel; }

}  // namespace

// Into (blocks of k, panels, k in the block, panel width), zeros past n.
void pack_matrix(Tensor& packed, const Tensor& b) {
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

// Rows of `a` that are laid out at a time, so that a block of them stays in the second-level cache.
constexpr int64_t kRows = 256;

void packed_matmul(Tensor& out, const Tensor& a, const Tensor& packed, bool accumulate) {
  const int64_t k = a.size(1), n = out.size(1), panels = panels_of(n);
  check(packed.numel() == k * panels * kPanel, ErrorKind::shape,
        "packed_matmul: {} by another packed matrix into {}", describe(a), describe(out));
  const float* b = packed.device_data<float>();
  const int64_t x_row = a.strides()[0], y_row = out.strides()[0];
  const float zeros[kPanel] = {};
  Tensor laid_out = Tensor::empty({std::min(a.size(0), kRows) * k}, DType::f32, a.device());
  float* in = laid_out.mutable_device_data<float>();
  for (int64_t first_row = 0; first_row < a.size(0); first_row += kRows) {
    const int64_t m = std::min(kRows, a.size(0) - first_row);
    const float* x = a.device_data<float>() + first_row * x_row;
    float* y = out.mutable_device_data<float>() + first_row * y_row;
    const Tiles tiles(m);
    // Each tile as (k, rows).
    parallel_each(tiles.count, 32768 / (k * kTile + 1), [&](int64_t tile) {
      const float* from = x + tiles.first(tile) * x_row;
      float* to = in + tiles.first(tile) * k;
      for (int64_t i = 0; i < k; ++i)
        for (int64_t r = 0; r < tiles.rows(tile); ++r) *to++ = from[r * x_row + i];
    });
    // Small products stay on one thread.
    const int64_t grain = (int64_t{1} << 19) / (m * k * kPanel + 1);
    parallel_for(panels, grain, [&](int64_t begin, int64_t end) {
      for (int64_t first = 0; first < k; first += kBlock) {
        const int64_t length = std::min(kBlock, k - first);
        for (int64_t panel = begin; panel < end; ++panel) {
          const Epilogue epilogue{zeros, Activation::none, std::min<int64_t>(kPanel, n - panel * kPanel)};
          const float* weights = b + (first * panels + panel * length) * kPanel;
          for (int64_t tile = 0; tile < tiles.count; ++tile) {
            const int64_t rows = tiles.rows(tile);
            float* to[kTile];
            for (int64_t r = 0; r < rows; ++r) to[r] = y + (tiles.first(tile) + r) * y_row;
            kPackedTiles[static_cast<size_t>(rows - 1)](in + tiles.first(tile) * k + first * rows, length,
                                                        weights, accumulate || first > 0 ? to : nullptr, to,
                                                        panel * kPanel, epilogue);
          }
        }
      }
    });
  }
}

}  // namespace tensor::cpu
