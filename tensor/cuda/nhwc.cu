#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/nhwc_conv.h"
#include "tensor/kernels.h"

namespace tensor::cuda {
namespace {

// A pack of channels of a pixel a thread. Bytes: x and out. FLOPs: 1 for each element of a window.
template <class T, int P>
__global__ void max_pool(T* out, const T* x, Window w, int64_t images) {
  const Piece at = piece_of(thread_index(), w.oh, w.ow, w.c / P);
  if (at.image >= images) return;
  const int64_t c = at.pack * P;
  float greatest[P];
  for (float& number : greatest) number = -kInfinity<float>;
  for (int64_t i = 0; i < w.rows; ++i) {
    const int64_t y = at.y * w.stride_h - w.pad_top + i * w.dilation_h;
    if (y < 0 || y >= w.h) continue;
    for (int64_t j = 0; j < w.columns; ++j) {
      const int64_t column = at.column * w.stride_w - w.pad_left + j * w.dilation_w;
      if (column < 0 || column >= w.w) continue;
      const auto values =
          *reinterpret_cast<const Pack<T, P>*>(x + ((at.image * w.h + y) * w.w + column) * w.c + c);
      for (int k = 0; k < P; ++k) {
        const auto value = static_cast<float>(values.at[k]);
        if (value > greatest[k] || value != value) greatest[k] = value;  // a NaN wins
      }
    }
  }
  Pack<T, P> result;
  for (int k = 0; k < P; ++k) result.at[k] = static_cast<T>(greatest[k]);
  *reinterpret_cast<Pack<T, P>*>(out + ((at.image * w.oh + at.y) * w.ow + at.column) * w.c + c) = result;
}

}  // namespace

void nhwc_from_nchw(NhwcBatch& out, const Tensor& x) {
  Tensor target = out.to_nchw();
  target.copy_(x);
}

void conv2d_nhwc(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& weight, const Conv2dOptions& options,
                 const NhwcBatch* residual, Activation activation) {
  if (out.n() * out.h() * out.w() * out.c() == 0) return;
  (weight.depthwise() ? conv2d_depthwise : conv2d_dense)(out, x, weight, options, residual, activation);
}

void max_pool2d_nhwc(NhwcBatch& out, const NhwcBatch& x, const Pool2dOptions& o) {
  Tensor result = out.to_nhwc();
  const Tensor pictures = x.to_nhwc();
  if (result.numel() == 0) return;
  const Window window{x.h(),      x.w(),      x.c(),   out.h(), out.w(),      o.kernel_h,  o.kernel_w,
                      o.stride_h, o.stride_w, o.pad_h, o.pad_w, o.dilation_h, o.dilation_w};
  const auto elements = static_cast<double>(result.numel());
  Launch config{.op = "max_pool2d_nhwc",
                .device = result.device(),
                .block = kThreads,
                .flops = elements * static_cast<double>(o.kernel_h * o.kernel_w),
                .bytes = static_cast<double>(pictures.bytes() + result.bytes())};
  dispatch_pictures(x.dtype(), [&]<class T>() {
    const auto run = [&]<int P>() {
      config.grid = grid_of(result.numel() / P);
      launch(config, max_pool<T, P>, result.mutable_device_data<T>(), pictures.device_data<T>(), window,
             out.n());
    };
    x.c() % kPack<T> == 0 ? run.template operator()<kPack<T>>() : run.template operator()<1>();
  });
}

}  // namespace tensor::cuda
