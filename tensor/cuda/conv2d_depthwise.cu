#include "tensor/cuda/conv2d_depthwise.h"

#include <algorithm>

#include "tensor/cuda/conv2d_windows.h"
#include "tensor/cuda/device.h"
#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/kernels.h"

// Kernels know the number K of a filter's rows and columns where it is usual, so that its loops are unrolled; 0:
// any.
namespace tensor::cuda {
namespace {

using internal::Conv2dGeometry;

// Numbers of a plane next to one another that a thread computes, where planes have a multiple of them.
template <class T>
constexpr int kPixels = std::min(4, kPack<T>);

// A thread has P outputs of plane p = (image, channel), which is made from plane p / og of x. Bytes: what the
// windows see of x, w, bias and out. FLOPs: 2 for each tap that sees an input.
template <int K, int P, class T>
__global__ void filter(T* out, const T* x, const T* w, const T* bias, Windows windows, int64_t planes,
                       int64_t o, int64_t og, bool narrow) {
  using C = Computed<T>;
  const int64_t at = thread_index(), packs = windows.outputs() / P;
  if (at >= planes * packs) return;
  const Division plane = divide(at, packs, narrow);
  Division pixel = divide(plane.rest * P, windows.x.out, narrow);
  const int64_t channel = divide(plane.quotient, o, narrow).rest;
  const T* from = x + divide(plane.quotient, og, narrow).quotient * windows.inputs();
  const int64_t kh = K > 0 ? K : windows.y.taps, kw = K > 0 ? K : windows.x.taps;
  const T* weight = w + channel * kh * kw;
  Pack<T, P> pack;
  for (int k = 0; k < P; ++k) {
    C sum = bias != nullptr ? static_cast<C>(bias[channel]) : C(0);
    for (int64_t i = 0; i < kh; ++i) {
      const int64_t y = windows.y.input(pixel.quotient, i);
      if (!windows.y.has(y)) continue;
      for (int64_t j = 0; j < kw; ++j) {
        const int64_t q = windows.x.input(pixel.rest, j);
        if (windows.x.has(q))
          sum += static_cast<C>(weight[i * kw + j]) * static_cast<C>(from[y * windows.x.in + q]);
      }
    }
    pack.at[k] = static_cast<T>(sum);
    if (++pixel.rest == windows.x.out) pixel.rest = 0, ++pixel.quotient;
  }
  reinterpret_cast<Pack<T, P>*>(out)[at] = pack;
}

// A thread has P inputs of plane p = (image, channel), from which the planes [p og, (p + 1) og) of dout come.
// Bytes: dx, dout and w. FLOPs: 2 for each output, filter and tap that sees an input.
template <int K, int P, class T>
__global__ void filter_back(T* dx, const T* dout, const T* w, Windows windows, int64_t planes, int64_t c,
                            int64_t og, bool narrow) {
  using C = Computed<T>;
  const int64_t at = thread_index(), packs = windows.inputs() / P;
  if (at >= planes * packs) return;
  const Division plane = divide(at, packs, narrow);
  Division pixel = divide(plane.rest * P, windows.x.in, narrow);
  const int64_t channel = divide(plane.quotient, c, narrow).rest;
  const int64_t kh = K > 0 ? K : windows.y.taps, kw = K > 0 ? K : windows.x.taps;
  Pack<T, P> pack;
  for (int k = 0; k < P; ++k) {
    C sum = 0;
    for (int64_t m = 0; m < og; ++m) {
      const T* weight = w + (channel * og + m) * kh * kw;
      const T* from = dout + (plane.quotient * og + m) * windows.outputs();
      for (int64_t i = 0; i < kh; ++i) {
        const int64_t y = windows.y.output(pixel.quotient, i);
        if (y < 0) continue;
        for (int64_t j = 0; j < kw; ++j) {
          const int64_t q = windows.x.output(pixel.rest, j);
          if (q >= 0) sum += static_cast<C>(weight[i * kw + j]) * static_cast<C>(from[y * windows.x.out + q]);
        }
      }
    }
    pack.at[k] = static_cast<T>(sum);
    if (++pixel.rest == windows.x.in) pixel.rest = 0, ++pixel.quotient;
  }
  reinterpret_cast<Pack<T, P>*>(dx)[at] = pack;
}

constexpr int64_t kTile = 64 * kThreads;  // gradients of a channel, over the images, that a block takes

// dw[tile][channel][tap], the sum over a tile of the channel's n pixels: a block has K K taps, or one. A thread
// adds up to 64 products in T's own precision, and those sums are added in f64. Bytes: dout, what the windows
// see of x, and dw. FLOPs: 2 for each output and tap that sees an input.
template <int K, class Out, class T>
__global__ void correlate(Out* dw, const T* dout, const T* x, Windows windows, int64_t n, int64_t o,
                          int64_t og, int64_t tiles, bool narrow) {
  using C = Computed<T>;
  constexpr int kSums = K > 0 ? K * K : 1;
  const int64_t kw = K > 0 ? K : windows.x.taps, parts = windows.taps() / kSums;
  const int64_t block = blockIdx.x, first = block % parts * kSums;
  const int64_t tile = block / parts % tiles, channel = block / parts / tiles;
  C sums[kSums] = {};
  const int64_t end = min(n, (tile + 1) * kTile);
  for (int64_t at = tile * kTile + threadIdx.x; at < end; at += kThreads) {
    const Division image = divide(at, windows.outputs(), narrow),
                   row = divide(image.rest, windows.x.out, narrow);
    const int64_t plane = image.quotient * o + channel;
    const C gradient = static_cast<C>(dout[plane * windows.outputs() + image.rest]);
    const T* from = x + divide(plane, og, narrow).quotient * windows.inputs();
    for (int s = 0; s < kSums; ++s) {
      const int64_t i = (first + s) / kw, j = (first + s) % kw;
      const int64_t y = windows.y.input(row.quotient, i), q = windows.x.input(row.rest, j);
      if (windows.y.has(y) && windows.x.has(q))
        sums[s] += gradient * static_cast<C>(from[y * windows.x.in + q]);
    }
  }
  for (int s = 0; s < kSums; ++s) {
    const double sum = join_row(static_cast<double>(sums[s]), Add{});
    if (threadIdx.x == 0) dw[(tile * o + channel) * windows.taps() + first + s] = static_cast<Out>(sum);
  }
}

// f with the number of rows and columns of a filter.
template <class F>
void dispatch_filter(const Conv2dGeometry& g, const F& f) {
  if (g.kh == 3 && g.kw == 3) return f.template operator()<3>();
  if (g.kh == 5 && g.kw == 5) return f.template operator()<5>();
  f.template operator()<0>();
}

// The same, and f with the numbers of a plane that a thread writes to `target` at once.
template <class T, class F>
void dispatch_filter(const Conv2dGeometry& g, int64_t plane, const T* target, const F& f) {
  dispatch_filter(g, [&]<int K>() {
    if (plane % kPixels<T> == 0 && aligned(target, sizeof(Pack<T, kPixels<T>>)))
      f.template operator()<K, kPixels<T>>();
    else
      f.template operator()<K, 1>();
  });
}

bool is_narrow(const Conv2dGeometry& g) {
  return g.n * g.o * g.pixels <= INT32_MAX && g.n * g.c * g.h * g.w <= INT32_MAX && g.kh * g.kw <= INT32_MAX;
}

double taps_in_use(const Conv2dGeometry& g, const Windows& windows) {
  return static_cast<double>(g.n * g.o) * windows.pairs();
}

}  // namespace

void forward_depthwise(Tensor& out, const Tensor& x, const Tensor& w, const Tensor& bias,
                       const Conv2dGeometry& g) {
  const Windows windows = windows_of(g);
  const double read = static_cast<double>(g.n * g.c) * windows.seen() + static_cast<double>(w.numel()) +
                      (bias.defined() ? static_cast<double>(g.o) : 0);
  dispatch_floating(out.dtype(), "conv2d", [&]<class T>() {
    const T* b = bias.defined() ? bias.device_data<T>() : nullptr;
    T* target = out.mutable_device_data<T>();
    dispatch_filter(g, g.pixels, target, [&]<int K, int P>() {
      launch({.op = "conv2d",
              .device = out.device(),
              .grid = grid_of(out.numel() / P),
              .block = kThreads,
              .flops = 2 * taps_in_use(g, windows),
              .bytes = (read + static_cast<double>(out.numel())) * sizeof(T)},
             filter<K, P, T>, target, x.device_data<T>(), w.device_data<T>(), b, windows, g.n * g.o, g.o,
             g.og, is_narrow(g));
    });
  });
}

void backward_input_depthwise(Tensor& dx, const Tensor& dout, const Tensor& w, const Conv2dGeometry& g) {
  const Windows windows = windows_of(g);
  dispatch_floating(dx.dtype(), "conv2d_backward_input", [&]<class T>() {
    T* target = dx.mutable_device_data<T>();
    dispatch_filter(g, g.h * g.w, target, [&]<int K, int P>() {
      launch({.op = "conv2d_backward_input",
              .device = dx.device(),
              .grid = grid_of(dx.numel() / P),
              .block = kThreads,
              .flops = 2 * taps_in_use(g, windows),
              .bytes = static_cast<double>(dx.bytes()) + static_cast<double>(dout.bytes()) +
                       static_cast<double>(w.bytes())},
             filter_back<K, P, T>, target, dout.device_data<T>(), w.device_data<T>(), windows, g.n * g.c, g.c,
             g.og, is_narrow(g));
    });
  });
}

void backward_weight_depthwise(Tensor& dw, const Tensor& dout, const Tensor& x, const Conv2dGeometry& g) {
  const Windows windows = windows_of(g);
  const int64_t n = g.n * g.pixels, tiles = (n + kTile - 1) / kTile;
  const double read = static_cast<double>(g.n * g.c) * windows.seen() + static_cast<double>(dout.numel());
  dispatch_floating(dw.dtype(), "conv2d_backward_weight", [&]<class T>() {
    const auto run = [&]<class Out>(Out* sums) {
      dispatch_filter(g, [&]<int K>() {
        const int64_t parts = K > 0 ? 1 : windows.taps();
        launch({.op = "conv2d_backward_weight",
                .device = dw.device(),
                .grid = dim3(static_cast<unsigned>(g.o * tiles * parts)),
                .block = kThreads,
                .barriers = Barriers::some,
                .flops = 2 * taps_in_use(g, windows),
                .bytes = read * sizeof(T) + static_cast<double>(tiles * dw.numel()) * sizeof(Out)},
               correlate<K, Out, T>, sums, dout.device_data<T>(), x.device_data<T>(), windows, n, g.o, g.og,
               tiles, is_narrow(g));
      });
    };
    if (tiles == 1) return run(dw.mutable_device_data<T>());
    Tensor partial = Tensor::empty({tiles, dw.numel()}, DType::f64, dw.device()),
           sums = Tensor::empty({dw.numel()}, DType::f64, dw.device());
    run(partial.mutable_device_data<double>());
    reduce(sums, partial, {0}, ReduceOp::sum);
    dw.copy_(sums.view(dw.shape()));
  });
}

}  // namespace tensor::cuda
