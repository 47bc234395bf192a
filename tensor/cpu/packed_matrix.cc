#include <algorithm>
#include <vector>

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

void packed_matmul(Tensor& out, const Tensor& a, const Tensor& packed, bool accumulate) {
  const int64_t m = a.size(0), k = a.size(1), n = out.size(1), panels = panels_of(n);
  check(packed.numel() == k * panels * kPanel, ErrorKind::shape,
        "packed_matmul: {} by another packed matrix into {}", describe(a), describe(out));
  if (m == 0) return;
  const float *x = a.device_data<float>(), *b = packed.device_data<float>();
  float* y = out.mutable_device_data<float>();
  const int64_t x_row = a.strides()[0], y_row = out.strides()[0];
  const float zeros[kPanel] = {};
  // Small products stay on one thread.
  const int64_t grain = (int64_t{1} << 19) / (m * k * kPanel);
  parallel_for(panels, grain, [&](int64_t begin, int64_t end) {
    std::vector<const float*> in(static_cast<size_t>(m)), add(static_cast<size_t>(m));
    std::vector<float*> to(static_cast<size_t>(m));
    for (int64_t r = 0; r < m; ++r) add[static_cast<size_t>(r)] = to[static_cast<size_t>(r)] = y + r * y_row;
    Runs runs{{0}, 0};
    for (int64_t first = 0; first < k; first += kBlock) {
      runs.length = std::min(kBlock, k - first);
      for (int64_t r = 0; r < m; ++r) in[static_cast<size_t>(r)] = x + r * x_row + first;
      const bool add_old = accumulate || first > 0;
      for (int64_t panel = begin; panel < end; ++panel) {
        const Epilogue epilogue{zeros, Activation::none, std::min<int64_t>(kPanel, n - panel * kPanel)};
        const float* weights = b + (first * panels + panel * runs.length) * kPanel;
        dense_rows(m, in.data(), runs, weights, add_old ? add.data() : nullptr, to.data(), panel * kPanel,
                   epilogue);
      }
    }
  });
}

}  // namespace tensor::cpu
