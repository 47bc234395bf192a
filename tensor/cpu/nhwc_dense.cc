#include <algorithm>
#include <utility>
#include <vector>

#include "tensor/cpu/dense_tile.h"
#include "tensor/cpu/nhwc_conv.h"
#include "tensor/cpu/onednn_conv.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

using namespace dense;

Runs window_runs(const NhwcBatch& x, int64_t kh, int64_t kw, const Conv2dOptions& o) {
  Runs runs;
  const bool whole_rows = o.dilation_w == 1;
  for (int64_t i = 0; i < kh; ++i) {
    const int64_t row = i * o.dilation_h * x.row_stride();
    if (whole_rows) runs.offsets.push_back(row);
    for (int64_t j = 0; !whole_rows && j < kw; ++j) runs.offsets.push_back(row + j * o.dilation_w * x.c());
  }
  runs.length = whole_rows ? kw * x.c() : x.c();
  return runs;
}

}  // namespace

void conv2d_dense(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& packed, const Conv2dOptions& o,
                  const NhwcBatch* residual, Activation activation) {
  const Shape& shape = packed.weight_shape;
  const Runs runs = window_runs(x, shape[2], shape[3], o);
  const int64_t panels = packed.bias.numel() / kPanel,
                panel_size = packed.weight.numel() / std::max<int64_t>(1, panels);
  const int64_t pixels = out.n() * out.h() * out.w();
  // A job's input should stay in the second-level cache while panel after panel passes over it; the number of
  // jobs should suffice for several threads.
  const int64_t block = std::clamp<int64_t>(32768 / std::max<int64_t>(1, x.c()), 8 * kTile, 512);
  const int64_t blocks = (pixels + block - 1) / block;
  const int64_t group = std::clamp<int64_t>(panels * blocks / 16, 1, panels);
  const int64_t groups = (panels + group - 1) / group;
  const float *weights = packed.weight.device_data<float>(), *bias = packed.bias.device_data<float>();
  parallel_for(blocks * groups, 1, [&](int64_t begin, int64_t end) {
    std::vector<const float*> in, add;
    std::vector<float*> to;
    for (int64_t job = begin; job < end; ++job) {
      const int64_t first = job % blocks * block, count = std::min(block, pixels - first);
      in.clear(), add.clear(), to.clear();
      for (int64_t p = first; p < first + count; ++p) {
        const int64_t column = p % out.w(), row = p / out.w() % out.h(), image = p / out.w() / out.h();
        in.push_back(x.pixel(image, row * o.stride_h - o.pad_top, column * o.stride_w - o.pad_left));
        to.push_back(out.pixel(image, row, column));
        if (residual != nullptr) add.push_back(residual->pixel(image, row, column));
      }
      const int64_t last = std::min(panels, (job / blocks + 1) * group);
      for (int64_t panel = job / blocks * group; panel < last; ++panel) {
        const Epilogue epilogue{bias + panel * kPanel, activation,
                                std::min<int64_t>(kPanel, shape[0] - panel * kPanel)};
        dense_rows(count, in.data(), runs, weights + panel * panel_size,
                   residual != nullptr ? add.data() : nullptr, to.data(), panel * kPanel, epilogue);
      }
    }
  });
}

void pack_conv2d(PackedConv2d& out, const Tensor& weight, const std::vector<double>& scale,
                 const std::vector<double>& bias) {
  const Shape& shape = weight.shape();
  const int64_t o = shape[0], c = shape[1], taps = shape[2] * shape[3];
  const int64_t width = out.depthwise() ? o : kPanel,
                panels = out.depthwise() ? 1 : (o + kPanel - 1) / kPanel;
  out.weight = Tensor::zeros({panels, shape[2], shape[3], c, width}, DType::f32, weight.device());
  out.onednn = make_onednn_conv();
  out.bias = Tensor::zeros({panels * width}, DType::f32, weight.device());
  std::transform(bias.begin(), bias.end(), out.bias.mutable_device_data<float>(),
                 [](double b) { return static_cast<float>(b); });
  float* to = out.weight.mutable_device_data<float>();
  const auto rounded = [&](double value) {
    return out.dtype == DType::bf16 ? static_cast<float>(bf16(value)) : static_cast<float>(value);
  };
  const Tensor source = weight.contiguous();
  dispatch_float(weight.dtype(), "packed conv2d", [&]<class T>() {
    const T* w = source.device_data<T>();
    parallel_for(panels, 1, [&](int64_t begin, int64_t end) {
      for (int64_t m = begin * width; m < std::min(o, end * width); ++m) {
        const double factor = scale[static_cast<size_t>(m)];
        for (int64_t k = 0; k < c; ++k)
          for (int64_t tap = 0; tap < taps; ++tap)
            to[((m / width * taps + tap) * c + k) * width + m % width] =
                rounded(static_cast<double>(w[(m * c + k) * taps + tap]) * factor);
      }
    });
  });
}

}  // namespace tensor::cpu
