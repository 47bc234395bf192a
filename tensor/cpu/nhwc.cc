#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "tensor/cpu/dense_tile.h"
#include "tensor/cpu/pack_conv2d.h"
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

// One row of a depthwise convolution for channels [c, c + width of V) and kPixels pixels at a time.
template <class V, auto Load, int kPixels>
void depthwise_pixels(const float* in, int64_t pixel_step, float* out, const float* residual, int64_t c,
                      const Runs& taps, const float* weights, const float* bias, int64_t channels,
                      Activation activation) {
  V sums[kPixels];
  for (int m = 0; m < kPixels; ++m) sums[m] = Load(bias + c);
  for (const int64_t offset : taps.offsets) {
    const V w = Load(weights + c);
    weights += channels;
#pragma GCC unroll 8
    for (int m = 0; m < kPixels; ++m) sums[m] += Load(in + offset + m * pixel_step + c) * w;
  }
  for (int m = 0; m < kPixels; ++m) {
    if (residual != nullptr) sums[m] += Load(residual + m * channels + c);
    sums[m] = activate(sums[m], activation);
    std::memcpy(out + m * channels + c, &sums[m], sizeof(V));
  }
}

void clear_border(NhwcBatch& out) {
  const Border& border = out.border();
  for (int64_t image = 0; image < out.n(); ++image) {
    for (int64_t y = -border.top; y < out.h() + border.bottom; ++y) {
      if (y < 0 || y >= out.h()) {
        std::fill_n(out.pixel(image, y, -border.left), out.row_stride(), 0.0f);
      } else {
        std::fill_n(out.pixel(image, y, -border.left), border.left * out.c(), 0.0f);
        std::fill_n(out.pixel(image, y, out.w()), border.right * out.c(), 0.0f);
      }
    }
  }
}

void run_dense(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& packed, const Conv2dOptions& o,
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

void run_depthwise(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& packed, const Conv2dOptions& o,
                   const NhwcBatch* residual, Activation activation) {
  const Shape& shape = packed.weight_shape;
  Runs taps;
  for (int64_t i = 0; i < shape[2]; ++i)
    for (int64_t j = 0; j < shape[3]; ++j)
      taps.offsets.push_back(i * o.dilation_h * x.row_stride() + j * o.dilation_w * x.c());
  const int64_t channels = x.c(), step = o.stride_w * channels, ow = out.w();
  const float *weights = packed.weight.device_data<float>(), *bias = packed.bias.device_data<float>();
  const int64_t work = ow * channels * static_cast<int64_t>(taps.offsets.size());
  parallel_each(out.n() * out.h(), 65536 / std::max<int64_t>(1, work), [&](int64_t row) {
    const int64_t image = row / out.h(), y = row % out.h();
    const float* in = x.pixel(image, y * o.stride_h - o.pad_top, -o.pad_left);
    const float* add = residual != nullptr ? residual->pixel(image, y, 0) : nullptr;
    float* to = out.pixel(image, y, 0);
    const auto run = [&]<int kPixels>(std::integral_constant<int, kPixels>, int64_t p) {
      const float* more = add != nullptr ? add + p * channels : nullptr;
      int64_t c = 0;
      for (; c + kLanes <= channels; c += kLanes)
        depthwise_pixels<Vector, load, kPixels>(in + p * step, step, to + p * channels, more, c, taps,
                                                weights, bias, channels, activation);
      for (; c < channels; ++c)
        depthwise_pixels<float, load_one, kPixels>(in + p * step, step, to + p * channels, more, c, taps,
                                                   weights, bias, channels, activation);
    };
    int64_t p = 0;
    for (; p + 4 <= ow; p += 4) run(std::integral_constant<int, 4>(), p);
    for (; p < ow; ++p) run(std::integral_constant<int, 1>(), p);
  });
}

}  // namespace

void nhwc_from_nchw(NhwcBatch& out, const Tensor& x) {
  clear_border(out);
  const float* from = x.device_data<float>();
  const Shape& s = x.strides();
  parallel_each(out.n() * out.h(), 16384 / std::max<int64_t>(1, out.w() * out.c()), [&](int64_t row) {
    const int64_t image = row / out.h(), y = row % out.h();
    float* to = out.pixel(image, y, 0);
    for (int64_t c = 0; c < out.c(); ++c) {
      const float* line = from + image * s[0] + c * s[1] + y * s[2];
      for (int64_t i = 0; i < out.w(); ++i) to[i * out.c() + c] = line[i * s[3]];
    }
  });
}

void pack_conv2d(PackedConv2d& out, const Tensor& weight, const std::vector<double>& scale,
                 const std::vector<double>& bias) {
  const Shape& shape = weight.shape();
  const int64_t o = shape[0], c = shape[1];
  const int64_t width = out.depthwise() ? o : kPanel,
                panels = out.depthwise() ? 1 : (o + kPanel - 1) / kPanel;
  out.weight = Tensor::empty({panels, shape[2], shape[3], c, width}, DType::f32, weight.device());
  out.bias = Tensor::zeros({panels * width}, DType::f32, weight.device());
  std::transform(bias.begin(), bias.end(), out.bias.mutable_device_data<float>(),
                 [](double b) { return static_cast<float>(b); });
  pack_conv_weight(out.weight.mutable_device_data<float>(), weight, scale, width);
}

void conv2d_nhwc(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& weight, const Conv2dOptions& options,
                 const NhwcBatch* residual, Activation activation) {
  clear_border(out);
  if (out.n() * out.h() * out.w() * out.c() == 0) return;
  (weight.depthwise() ? run_depthwise : run_dense)(out, x, weight, options, residual, activation);
}

void max_pool2d_nhwc(NhwcBatch& out, const NhwcBatch& x, const Pool2dOptions& o) {
  clear_border(out);
  const int64_t channels = x.c();
  parallel_each(out.n() * out.h(), 1, [&](int64_t row) {
    const int64_t image = row / out.h(), y = row % out.h();
    for (int64_t q = 0; q < out.w(); ++q) {
      float* to = out.pixel(image, y, q);
      std::fill_n(to, channels, -std::numeric_limits<float>::infinity());
      for (int64_t i = 0; i < o.kernel_h; ++i) {
        const int64_t iy = y * o.stride_h - o.pad_h + i * o.dilation_h;
        if (iy < 0 || iy >= x.h()) continue;
        for (int64_t j = 0; j < o.kernel_w; ++j) {
          const int64_t ix = q * o.stride_w - o.pad_w + j * o.dilation_w;
          if (ix < 0 || ix >= x.w()) continue;
          const float* from = x.pixel(image, iy, ix);
          for (int64_t c = 0; c < channels; ++c)
            to[c] = from[c] > to[c] || from[c] != from[c] ? from[c] : to[c];  // a NaN wins
        }
      }
    }
  });
}

}  // namespace tensor::cpu
