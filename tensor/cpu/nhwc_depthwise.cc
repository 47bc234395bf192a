#include <algorithm>
#include <cstring>
#include <utility>

#include "tensor/cpu/dense_tile.h"
#include "tensor/cpu/nhwc_conv.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

using namespace dense;

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

}  // namespace

void conv2d_depthwise(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& packed, const Conv2dOptions& o,
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

}  // namespace tensor::cpu
