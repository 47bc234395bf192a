// 2-D convolution. A 1x1 kernel with stride 1 is a matrix product as it stands; a depthwise one is computed
// directly (conv2d_depthwise.cc); all others copy the windows into the columns of a matrix (im2col) a few output
// rows at a time and multiply.
#include <algorithm>

#include "tensor/cpu/conv2d_depthwise.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/packed_gemm.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

// From this many independent jobs on, jobs are spread over the threads; below, each product is. Fixed, so
// that the result does not depend on the number of threads.
constexpr int64_t kManyJobs = 8;
constexpr int64_t kColumnBytes = 512 << 10;  // the columns of one job should stay in the second-level cache
constexpr int64_t kColumns = 128;            // but a product wants at least this many of them

// Output rows of one job.
int64_t rows_per_job(const Conv2dGeometry& g, int64_t element_size) {
  const int64_t fitting = kColumnBytes / std::max<int64_t>(1, g.k * g.ow * element_size);
  return std::clamp<int64_t>(std::max(fitting, (kColumns + g.ow - 1) / g.ow), 1, g.oh);
}

// The output columns [low, high) whose input column ow * stride + first lies in [0, w).
struct Span {
  int64_t low, high;
  Span(int64_t first, int64_t stride, int64_t w, int64_t ow) {
    low = first >= 0 ? 0 : std::min(ow, (-first + stride - 1) / stride);
    high = first >= w ? low : std::max(low, std::min(ow, (w - 1 - first) / stride + 1));
  }
};

// Row `r` = (channel, i, j) of the columns for output rows [row0, row1).
template <class T>
void im2col_row(const Conv2dGeometry& g, const T* x, int64_t r, int64_t row0, int64_t row1, T* to) {
  const Conv2dOptions& p = g.options;
  const int64_t j = r % g.kw, i = r / g.kw % g.kh;
  const T* plane = x + r / (g.kw * g.kh) * g.h * g.w;
  const int64_t first = j * p.dilation_w - p.pad_left;
  const Span span(first, p.stride_w, g.w, g.ow);
  for (int64_t y = row0; y < row1; ++y, to += g.ow) {
    const int64_t iy = y * p.stride_h - p.pad_top + i * p.dilation_h;
    if (iy < 0 || iy >= g.h) {
      std::fill(to, to + g.ow, T(0.0f));
      continue;
    }
    const T* from = plane + iy * g.w + first;
    std::fill(to, to + span.low, T(0.0f));
    if (p.stride_w == 1) {
      std::copy(from + span.low, from + span.high, to + span.low);
    } else {
      for (int64_t q = span.low; q < span.high; ++q) to[q] = from[q * p.stride_w];
    }
    std::fill(to + span.high, to + g.ow, T(0.0f));
  }
}

// The reverse: adds row `r` of the columns of the whole image to dx.
template <class T>
void col2im_row(const Conv2dGeometry& g, const T* from, int64_t r, T* dx) {
  const Conv2dOptions& p = g.options;
  const int64_t j = r % g.kw, i = r / g.kw % g.kh;
  T* plane = dx + r / (g.kw * g.kh) * g.h * g.w;
  const int64_t first = j * p.dilation_w - p.pad_left;
  const Span span(first, p.stride_w, g.w, g.ow);
  for (int64_t y = 0; y < g.oh; ++y, from += g.ow) {
    const int64_t iy = y * p.stride_h - p.pad_top + i * p.dilation_h;
    if (iy < 0 || iy >= g.h) continue;
    T* to = plane + iy * g.w + first;
    for (int64_t q = span.low; q < span.high; ++q) to[q * p.stride_w] += from[q];
  }
}

// f(image, group, first row, last row) for every job: over the threads when there are many, else one after
// the other.
template <class F>
void for_each_job(const Conv2dGeometry& g, int64_t rows, F f) {
  const int64_t tiles = (g.oh + rows - 1) / rows, jobs = g.n * g.groups * tiles;
  const auto job = [&](int64_t i) {
    const int64_t row0 = i % tiles * rows;
    f(i / tiles / g.groups, i / tiles % g.groups, row0, std::min(g.oh, row0 + rows));
  };
  parallel_each(jobs, jobs >= kManyJobs ? 1 : jobs, job);
}

// c = a b + beta c of operands T with sums S: the same type, or bf16 with f32.
template <class T, class S>
void product(int64_t m, int64_t n, int64_t k, MatrixView<const T> a, MatrixView<const T> b, S beta,
             MatrixView<S> c) {
  if constexpr (std::is_same_v<T, S>)
    gemm<T>(m, n, k, T(1), a, b, beta, c);
  else
    gemm_bf16(m, n, k, 1, a, b, beta, c.data, DType::f32, c.row);
}

template <class T, class S = T>
void forward_gemm(const Conv2dGeometry& g, S* out, const T* x, const T* w, const S* bias) {
  const bool pointwise = g.pointwise();
  const int64_t rows = pointwise ? g.oh : rows_per_job(g, sizeof(T));
  for_each_job(g, rows, [&](int64_t image, int64_t group, int64_t row0, int64_t row1) {
    const int64_t columns = (row1 - row0) * g.ow;
    const T* input = x + (image * g.c + group * g.cg) * g.h * g.w;
    S* output = out + (image * g.o + group * g.og) * g.pixels + row0 * g.ow;
    if (bias != nullptr) {
      for (int64_t m = 0; m < g.og; ++m)
        std::fill(output + m * g.pixels, output + m * g.pixels + columns, bias[group * g.og + m]);
    }
    std::unique_ptr<T[]> col;
    if (!pointwise) {
      col = scratch<T>(g.k * columns);
      parallel_each(g.k, 16,
                    [&](int64_t r) { im2col_row(g, input, r, row0, row1, col.get() + r * columns); });
    }
    product<T, S>(g.og, columns, g.k, {w + group * g.og * g.k, g.k, 1},
                  {pointwise ? input : col.get(), columns, 1}, S(bias != nullptr ? 1 : 0),
                  {output, g.pixels, 1});
  });
}

template <class T, class S = T>
void backward_input_gemm(const Conv2dGeometry& g, S* dx, const T* dout, const T* w) {
  const bool pointwise = g.pointwise();
  for_each_job(g, g.oh, [&](int64_t image, int64_t group, int64_t, int64_t) {
    const T* gradient = dout + (image * g.o + group * g.og) * g.pixels;
    S* input = dx + (image * g.c + group * g.cg) * g.h * g.w;
    std::unique_ptr<S[]> col;
    if (!pointwise) col = scratch<S>(g.k * g.pixels);
    product<T, S>(g.k, g.pixels, g.og, {w + group * g.og * g.k, 1, g.k}, {gradient, g.pixels, 1}, S(0),
                  {pointwise ? input : col.get(), g.pixels, 1});
    if (pointwise) return;
    parallel_each(g.cg, 1, [&](int64_t channel) {  // its windows overlap: one tile adds them all
      std::fill_n(input + channel * g.h * g.w, g.h * g.w, S(0));
      for (int64_t r = channel * g.kh * g.kw; r < (channel + 1) * g.kh * g.kw; ++r)
        col2im_row(g, col.get() + r * g.pixels, r, input);
    });
  });
}

// Images follow one another, so the sum over them has one order.
template <class T, class S = T>
void backward_weight_gemm(const Conv2dGeometry& g, S* dw, const T* dout, const T* x) {
  const bool pointwise = g.pointwise();
  std::unique_ptr<T[]> col;
  if (!pointwise) col = scratch<T>(g.k * g.pixels);
  for (int64_t group = 0; group < g.groups; ++group) {
    for (int64_t image = 0; image < g.n; ++image) {
      const T* input = x + (image * g.c + group * g.cg) * g.h * g.w;
      if (!pointwise) {
        parallel_each(g.k, 8, [&](int64_t r) { im2col_row(g, input, r, 0, g.oh, col.get() + r * g.pixels); });
      }
      product<T, S>(g.og, g.k, g.pixels, {dout + (image * g.o + group * g.og) * g.pixels, g.pixels, 1},
                    {pointwise ? input : col.get(), 1, g.pixels}, S(image > 0 ? 1 : 0),
                    {dw + group * g.og * g.k, g.k, 1});
    }
  }
}

// Whether a convolution of these operands is made of products of bf16.
bool is_in_bf16(const Conv2dGeometry& g, const Tensor& a, const Tensor& b) {
  return a.dtype() == DType::bf16 && b.dtype() == DType::bf16 && !g.depthwise() && g.k > 0 && g.og > 0 &&
         has_packed_gemm<bf16>();
}

// run(wide) with f32 for a 16-bit `out`, which is rounded once.
template <class Run>
void rounded(Tensor& out, const Run& run) {
  if (!is_half(out.dtype())) return run(out);
  Tensor wide = Tensor::empty(out.shape());
  run(wide);
  out.copy_(wide);
}

}  // namespace

void conv2d(Tensor& out, const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options) {
  const Conv2dGeometry g(x.shape(), w.shape(), out.shape(), options);
  if (out.numel() == 0) return;
  using tensor::internal::widen;
  if (is_half(out.dtype()) || is_half(x.dtype()) || is_half(w.dtype()) || tensor::internal::is_half(bias))
    return rounded(out, [&](Tensor& wide) {
      const Tensor b = widen(bias);
      if (!is_in_bf16(g, x, w)) return conv2d(wide, widen(x), widen(w), b, options);
      forward_gemm<bf16, float>(g, wide.mutable_device_data<float>(), x.device_data<bf16>(),
                                w.device_data<bf16>(), b.defined() ? b.device_data<float>() : nullptr);
    });
  dispatch_float(x.dtype(), "conv2d", [&]<class T>() {
    const T* b = bias.defined() ? bias.device_data<T>() : nullptr;
    if (g.c == 0) {  // an empty sum
      for (int64_t i = 0; i < out.numel(); ++i)
        out.mutable_device_data<T>()[i] = b != nullptr ? b[i / g.pixels % g.o] : T(0);
      return;
    }
    (g.depthwise() ? forward_depthwise<T> : forward_gemm<T>)(g, out.mutable_device_data<T>(),
                                                             x.device_data<T>(), w.device_data<T>(), b);
  });
}

void conv2d_backward_input(Tensor& dx, const Tensor& dout, const Tensor& w, const Conv2dOptions& options) {
  const Conv2dGeometry g(dx.shape(), w.shape(), dout.shape(), options);
  if (dx.numel() == 0) return;
  using tensor::internal::widen;
  if (is_half(dx.dtype()) || is_half(dout.dtype()) || is_half(w.dtype()))
    return rounded(dx, [&](Tensor& wide) {
      if (!is_in_bf16(g, dout, w)) return conv2d_backward_input(wide, widen(dout), widen(w), options);
      backward_input_gemm<bf16, float>(g, wide.mutable_device_data<float>(), dout.device_data<bf16>(),
                                       w.device_data<bf16>());
    });
  dispatch_float(dx.dtype(), "conv2d_backward_input", [&]<class T>() {
    if (g.o == 0) return std::fill_n(dx.mutable_device_data<T>(), dx.numel(), T(0)), void();
    (g.depthwise() ? backward_input_depthwise<T> : backward_input_gemm<T>)(g, dx.mutable_device_data<T>(),
                                                                           dout.device_data<T>(),
                                                                           w.device_data<T>());
  });
}

void conv2d_backward_weight(Tensor& dw, const Tensor& dout, const Tensor& x, const Conv2dOptions& options) {
  const Conv2dGeometry g(x.shape(), dw.shape(), dout.shape(), options);
  if (dw.numel() == 0) return;
  using tensor::internal::widen;
  if (is_half(dw.dtype()) || is_half(dout.dtype()) || is_half(x.dtype()))
    return rounded(dw, [&](Tensor& wide) {
      if (!is_in_bf16(g, dout, x) || g.n == 0)
        return conv2d_backward_weight(wide, widen(dout), widen(x), options);
      backward_weight_gemm<bf16, float>(g, wide.mutable_device_data<float>(), dout.device_data<bf16>(),
                                        x.device_data<bf16>());
    });
  dispatch_float(dw.dtype(), "conv2d_backward_weight", [&]<class T>() {
    if (g.n == 0) return std::fill_n(dw.mutable_device_data<T>(), dw.numel(), T(0)), void();
    (g.depthwise() ? backward_weight_depthwise<T> : backward_weight_gemm<T>)(g, dw.mutable_device_data<T>(),
                                                                             dout.device_data<T>(),
                                                                             x.device_data<T>());
  });
}

}  // namespace tensor::cpu
