#include <algorithm>

#include "tensor/cuda/bits.h"
#include "tensor/cuda/driver/blas_lt.h"
#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/nhwc_conv.h"
#include "tensor/kernels.h"

// A convolution is a product: of the pixels themselves by the weights where a window is one pixel, else of the windows,
// which are copied out in parts. Bias and ReLU are cuBLASLt's, and so is the residual, to which it adds.
namespace tensor::cuda {
namespace {

// Windows that are copied out at a time: few enough that a large device's cache still has them for the product.
constexpr int64_t kPartBytes = int64_t{16} << 20;

// rows (count, length) = the windows of `count` pixels of the result from `first` on, each (kernel_h, kernel_w, c), with
// zeros outside of the picture and up to its length. A pack a thread; c and length count packs. Bytes: rows and, of x, the
// part's share or, where they are less, its windows. FLOPs: none.
template <class Packed>
__global__ void copy_windows(Packed* rows, const Packed* x, Window w, int64_t length, int64_t first,
                             int64_t count) {
  const int64_t i = thread_index();
  if (i >= count * length) return;
  const Division row = divide(i, length), tap = divide(row.rest, w.c), at = divide(tap.quotient, w.columns);
  const Piece pixel = piece_of(first + row.quotient, w.oh, w.ow, 1);
  const int64_t y = pixel.y * w.stride_h - w.pad_top + at.quotient * w.dilation_h,
                column = pixel.column * w.stride_w - w.pad_left + at.rest * w.dilation_w;
  const bool inside = at.quotient < w.rows && y >= 0 && y < w.h && column >= 0 && column < w.w;
  rows[i] = inside ? x[((pixel.image * w.h + y) * w.w + column) * w.c + tap.rest] : Packed{};
}

template <int P, class Bits>
void launch_copy(Tensor& rows, const Tensor& x, Window w, int64_t pixels, int64_t first) {
  using Packed = Pack<Bits, P>;
  const int64_t count = rows.size(0), length = rows.size(1) / P;
  const double windows = static_cast<double>(count * w.rows * w.columns * w.c) * sizeof(Bits);
  const double share =
      static_cast<double>(x.bytes()) * static_cast<double>(count) / static_cast<double>(pixels);
  w.c /= P;
  launch({.op = "conv2d_nhwc",
          .device = x.device(),
          .grid = grid_of(count * length),
          .block = kThreads,
          .bytes = static_cast<double>(rows.bytes()) + std::min(windows, share)},
         copy_windows<Packed>, reinterpret_cast<Packed*>(rows.mutable_device_raw()),
         reinterpret_cast<const Packed*>(x.device_raw()), w, length, first, count);
}

// The windows of `count` pixels of the result, of which there are `pixels`.
Tensor windows_of(const Tensor& x, const Window& w, int64_t length, int64_t pixels, int64_t first,
                  int64_t count) {
  if (x.numel() == 0) return Tensor::zeros({count, length}, x.dtype(), x.device());
  Tensor rows = Tensor::empty({count, length}, x.dtype(), x.device());
  dispatch_bits(x.dtype(), [&]<class Bits>() {
    if constexpr (sizeof(Bits) == 2 || sizeof(Bits) == 4) {
      if (w.c > 0 && w.c % kPack<Bits> == 0)
        launch_copy<kPack<Bits>, Bits>(rows, x, w, pixels, first);
      else
        launch_copy<1, Bits>(rows, x, w, pixels, first);
    }
  });
  return rows;
}

}  // namespace

void conv2d_dense(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& packed, const Conv2dOptions& o,
                  const NhwcBatch* residual, Activation activation) {
  const int64_t channels = out.c(), pixels = out.n() * out.h() * out.w(), length = packed.weight.size(1);
  Tensor result = out.to_nhwc().view({pixels, channels});
  const Tensor pictures = x.to_nhwc();
  if (residual != nullptr && !out.shares_memory(*residual))
    result.copy_(residual->to_nhwc().view(result.shape()));
  const auto multiply_part = [&](const Tensor& rows, int64_t first) {
    multiply({.op = "conv2d_nhwc",
              .device = result.device(),
              .m = rows.size(0),
              .n = channels,
              .k = length,
              .input = packed.dtype,
              .output = packed.dtype,
              .a = {.data = rows.device_raw(), .row_stride = length},
              .b = {.data = packed.weight.device_raw(), .transposed = true, .row_stride = length},
              .out = result.mutable_device_raw() + first * channels * size_of(packed.dtype),
              .out_row_stride = channels,
              .beta = residual != nullptr ? 1.0 : 0.0,
              .bias = packed.bias.device_raw(),
              .relu = activation == Activation::relu});
  };
  const Window window = window_of(out, x, packed, o);
  const bool pixel_by_pixel = x.nchw_shape() == Shape{out.n(), length, out.h(), out.w()} &&
                              window.rows * window.columns == 1 && window.pad_top == 0 &&
                              window.pad_left == 0;
  if (pixel_by_pixel) {
    multiply_part(pictures.view({pixels, length}), 0);
  } else {
    const int64_t most = std::max<int64_t>(1, kPartBytes / (length * size_of(packed.dtype)));
    const int64_t parts = (pixels + most - 1) / most;
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t first = part * pixels / parts, count = (part + 1) * pixels / parts - first;
      multiply_part(windows_of(pictures, window, length, pixels, first, count), first);
    }
  }
  if (activation == Activation::relu6) kernels::unary(result, result, UnaryOp::relu6);
}

}  // namespace tensor::cuda
