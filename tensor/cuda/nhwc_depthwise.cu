#include <limits>

#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/nhwc_conv.h"
#include "tensor/kernels.h"

namespace tensor::cuda {
namespace {

// Neighbours in a row of the result that a thread makes: a number of the input is read once for all of the windows
// that it is in, and a weight once for all of them.
constexpr int kPixels = 4;

template <class T>
struct Depthwise {
  T* out;
  const T *x, *weights;  // weights (rows, columns, c)
  const float* bias;
  const T* residual;  // may be null
  Window window;
  int64_t images;
  float low, high;  // of the activation

  // The channels from c on of a pixel of the input.
  __device__ const T* pixel(int64_t image, int64_t y, int64_t column, int64_t c) const {
    return x + ((image * window.h + y) * window.w + column) * window.c + c;
  }
};

template <int P>
struct Sums {
  float at[P];
};

template <class T, int P>
__device__ Pack<T, P> pack_at(const T* from) {
  return *reinterpret_cast<const Pack<T, P>*>(from);
}

template <class T, int P>
__device__ void add_product(Sums<P>& sums, const Pack<T, P>& x, const Pack<T, P>& weight) {
  IMGCAP_UNROLL
  for (int k = 0; k < P; ++k) sums.at[k] += static_cast<float>(x.at[k]) * static_cast<float>(weight.at[k]);
}

template <class T, int P>
__device__ Sums<P> bias_of(const Depthwise<T>& d, int64_t c) {
  Sums<P> sums;
  IMGCAP_UNROLL
  for (int k = 0; k < P; ++k) sums.at[k] = d.bias[c + k];
  return sums;
}

template <class T, int P>
__device__ void finish(const Depthwise<T>& d, Sums<P> sums, const Piece& at, int64_t column, int64_t c) {
  const Window& w = d.window;
  const int64_t place = ((at.image * w.oh + at.y) * w.ow + column) * w.c + c;
  if (d.residual != nullptr) {
    const auto more = pack_at<T, P>(d.residual + place);
    IMGCAP_UNROLL
    for (int k = 0; k < P; ++k) sums.at[k] += static_cast<float>(more.at[k]);
  }
  Pack<T, P> result;
  IMGCAP_UNROLL
  for (int k = 0; k < P; ++k) {
    const float v = sums.at[k];
    result.at[k] = static_cast<T>(v < d.low ? d.low : (v > d.high ? d.high : v));
  }
  *reinterpret_cast<Pack<T, P>*>(d.out + place) = result;
}

// A pack of channels of kPixels neighbours a thread, for a square kernel without dilation. Bytes: x, weights, bias, the
// residual and out. FLOPs: 2 for each weight of an element's window.
template <class T, int P, int kKernel, int kStride>
__global__ void depthwise_strips(Depthwise<T> d) {
  const Window& w = d.window;
  const Piece at = piece_of(thread_index(), w.oh, (w.ow + kPixels - 1) / kPixels, w.c / P);
  if (at.image >= d.images) return;
  const int64_t c = at.pack * P, first = at.column * kPixels, left = first * kStride - w.pad_left;
  Sums<P> sums[kPixels];
  IMGCAP_UNROLL
  for (int m = 0; m < kPixels; ++m) sums[m] = bias_of<T, P>(d, c);
  for (int i = 0; i < kKernel; ++i) {
    const int64_t y = at.y * kStride - w.pad_top + i;
    if (y < 0 || y >= w.h) continue;
    Pack<T, P> weights[kKernel];
    IMGCAP_UNROLL
    for (int j = 0; j < kKernel; ++j) weights[j] = pack_at<T, P>(d.weights + (i * kKernel + j) * w.c + c);
    IMGCAP_UNROLL
    for (int s = 0; s < (kPixels - 1) * kStride + kKernel; ++s) {
      if (left + s < 0 || left + s >= w.w) continue;
      const auto x = pack_at<T, P>(d.pixel(at.image, y, left + s, c));
      IMGCAP_UNROLL
      for (int m = 0; m < kPixels; ++m)
        if (const int j = s - m * kStride; j >= 0 && j < kKernel) add_product(sums[m], x, weights[j]);
    }
  }
  IMGCAP_UNROLL
  for (int m = 0; m < kPixels; ++m)
    if (first + m < w.ow) finish<T, P>(d, sums[m], at, first + m, c);
}

// The same for any kernel, one pixel a thread.
template <class T, int P>
__global__ void depthwise_pixels(Depthwise<T> d) {
  const Window& w = d.window;
  const Piece at = piece_of(thread_index(), w.oh, w.ow, w.c / P);
  if (at.image >= d.images) return;
  const int64_t c = at.pack * P;
  Sums<P> sums = bias_of<T, P>(d, c);
  for (int64_t i = 0; i < w.rows; ++i) {
    const int64_t y = at.y * w.stride_h - w.pad_top + i * w.dilation_h;
    if (y < 0 || y >= w.h) continue;
    for (int64_t j = 0; j < w.columns; ++j) {
      const int64_t column = at.column * w.stride_w - w.pad_left + j * w.dilation_w;
      if (column >= 0 && column < w.w)
        add_product(sums, pack_at<T, P>(d.pixel(at.image, y, column, c)),
                    pack_at<T, P>(d.weights + (i * w.columns + j) * w.c + c));
    }
  }
  finish<T, P>(d, sums, at, at.column, c);
}

template <class T>
using Kernel = void (*)(Depthwise<T>);

// The one for strips, or null.
template <class T>
Kernel<T> kernel_of(const Window& w) {
  const bool square =
      w.rows == w.columns && w.dilation_h == 1 && w.dilation_w == 1 && w.stride_h == w.stride_w;
  if (!square) return nullptr;
  constexpr int P = kPack<T>;
  if (w.rows == 3 && w.stride_w == 1) return depthwise_strips<T, P, 3, 1>;
  if (w.rows == 3 && w.stride_w == 2) return depthwise_strips<T, P, 3, 2>;
  if (w.rows == 5 && w.stride_w == 1) return depthwise_strips<T, P, 5, 1>;
  if (w.rows == 5 && w.stride_w == 2) return depthwise_strips<T, P, 5, 2>;
  return nullptr;
}

}  // namespace

void conv2d_depthwise(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& packed, const Conv2dOptions& o,
                      const NhwcBatch* residual, Activation activation) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  Tensor result = out.to_nhwc();
  const Tensor pictures = x.to_nhwc();
  const Window window = window_of(out, x, packed, o);
  const auto elements = static_cast<double>(result.numel());
  Launch config{.op = "conv2d_nhwc",
                .device = result.device(),
                .block = kThreads,
                .flops = 2 * elements * static_cast<double>(window.rows * window.columns),
                .bytes = static_cast<double>(pictures.bytes() + packed.weight.bytes() + packed.bias.bytes() +
                                             (residual != nullptr ? 2 : 1) * result.bytes())};
  dispatch_pictures(packed.dtype, [&]<class T>() {
    const Depthwise<T> all{.out = result.mutable_device_data<T>(),
                           .x = pictures.device_data<T>(),
                           .weights = packed.weight.device_data<T>(),
                           .bias = packed.bias.device_data<float>(),
                           .residual = residual != nullptr ? residual->to_nhwc().device_data<T>() : nullptr,
                           .window = window,
                           .images = out.n(),
                           .low = activation == Activation::none ? -kInf : 0,
                           .high = activation == Activation::relu6 ? 6 : kInf};
    const bool packs = window.c % kPack<T> == 0;
    const Kernel<T> strips = packs ? kernel_of<T>(window) : nullptr;
    const int64_t columns = strips != nullptr ? (window.ow + kPixels - 1) / kPixels : window.ow;
    config.grid = grid_of(out.n() * out.h() * columns * (window.c / (packs ? kPack<T> : 1)));
    const Kernel<T> any = packs ? depthwise_pixels<T, kPack<T>> : depthwise_pixels<T, 1>;
    launch(config, strips != nullptr ? strips : any, all);
  });
}

}  // namespace tensor::cuda
