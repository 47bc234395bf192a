// 2-D convolution. A 1x1 kernel with stride 1 is a matrix product as it stands; a depthwise one is computed
// directly; all others copy the windows into the columns of a matrix (im2col) a few output rows at a time and
// multiply.
#include <algorithm>
#include <memory>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/packed_gemm.h"
#include "tensor/cpu/sums.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

// From this many independent jobs on, jobs are spread over the threads; below, each product is. Fixed, so
// that the result does not depend on the number of threads.
constexpr int64_t kManyJobs = 8;
constexpr int64_t kColumnBytes = 512 << 10;  // the columns of one job should stay in the second-level cache
constexpr int64_t kColumns = 128;            // but a product wants at least this many of them

struct Geometry {
  int64_t n, c, h, w, o, kh, kw, oh, ow, groups, cg, og, k, pixels;
  Conv2dOptions options;

  Geometry(const Shape& x, const Shape& weight, const Shape& out, const Conv2dOptions& opts) : options(opts) {
    n = x[0], c = x[1], h = x[2], w = x[3];
    o = weight[0], kh = weight[2], kw = weight[3];
    oh = out[2], ow = out[3];
    groups = opts.groups;
    cg = c / groups, og = o / groups;
    k = cg * kh * kw;
    pixels = oh * ow;
  }
  bool pointwise() const {
    const Conv2dOptions& p = options;
    return kh == 1 && kw == 1 && p.stride_h == 1 && p.stride_w == 1 && p.pad_top == 0 && p.pad_bottom == 0 &&
           p.pad_left == 0 && p.pad_right == 0;
  }
  bool depthwise() const { return cg == 1 && groups > 1; }
  int64_t padded_h() const { return h + options.pad_top + options.pad_bottom; }
  int64_t padded_w() const { return w + options.pad_left + options.pad_right; }
  int64_t rows_per_job(int64_t element_size) const {
    const int64_t fitting = kColumnBytes / std::max<int64_t>(1, k * ow * element_size);
    return std::clamp<int64_t>(std::max(fitting, (kColumns + ow - 1) / ow), 1, oh);
  }
};

template <class T>
std::unique_ptr<T[]> scratch(int64_t count) {
  return std::make_unique_for_overwrite<T[]>(static_cast<size_t>(count));
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
void im2col_row(const Geometry& g, const T* x, int64_t r, int64_t row0, int64_t row1, T* to) {
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
void col2im_row(const Geometry& g, const T* from, int64_t r, T* dx) {
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
void for_each_job(const Geometry& g, int64_t rows, F f) {
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
void forward_gemm(const Geometry& g, S* out, const T* x, const T* w, const S* bias) {
  const bool pointwise = g.pointwise();
  const int64_t rows = pointwise ? g.oh : g.rows_per_job(sizeof(T));
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
void backward_input_gemm(const Geometry& g, S* dx, const T* dout, const T* w) {
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
void backward_weight_gemm(const Geometry& g, S* dw, const T* dout, const T* x) {
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

// --- depthwise: one input channel a group, og filters on it (usually one). Planes are padded, so loops have
// no edges.

template <class T>
void pad_plane(const Geometry& g, const T* plane, T* padded) {
  const int64_t pw = g.padded_w();
  std::fill(padded, padded + g.padded_h() * pw, T(0));
  for (int64_t y = 0; y < g.h; ++y)
    std::copy(plane + y * g.w, plane + (y + 1) * g.w,
              padded + (y + g.options.pad_top) * pw + g.options.pad_left);
}

// out[q] += sum_j w[j] from[q stride + j dilation]; K and S are the usual kernel widths and strides (0: any),
// which lets the compiler keep the filter in registers and vectorise over q.
template <int K, int S, class T>
void add_filtered_row(T* __restrict out, const T* __restrict from, const T* __restrict w, int64_t ow,
                      int64_t kw, int64_t stride, int64_t dilation) {
  if constexpr (K > 0) {
    T filter[K];
    for (int j = 0; j < K; ++j) filter[j] = w[j];
    for (int64_t q = 0; q < ow; ++q) {
      T sum = out[q];
#pragma GCC unroll 8
      for (int j = 0; j < K; ++j) sum += filter[j] * from[q * S + j];
      out[q] = sum;
    }
  } else {
    for (int64_t j = 0; j < kw; ++j)
      for (int64_t q = 0; q < ow; ++q) out[q] += w[j] * from[q * stride + j * dilation];
  }
}

template <class T>
auto row_filter(const Geometry& g) {
  const bool s1 = g.options.stride_w == 1, s2 = g.options.stride_w == 2, d1 = g.options.dilation_w == 1;
  if (d1 && g.kw == 3 && s1) return add_filtered_row<3, 1, T>;
  if (d1 && g.kw == 3 && s2) return add_filtered_row<3, 2, T>;
  if (d1 && g.kw == 5 && s1) return add_filtered_row<5, 1, T>;
  if (d1 && g.kw == 5 && s2) return add_filtered_row<5, 2, T>;
  return add_filtered_row<0, 0, T>;
}

// Planes for one tile: enough work to be worth a thread.
int64_t plane_grain(const Geometry& g) { return 16384 / std::max<int64_t>(1, g.pixels * g.kh * g.kw); }

// f(row, line, filter) for each row of the output channels that come from input channel `c` of an image, each
// line of the padded plane that it is made from, and the row of the filter between them.
template <class Out, class In, class Weight, class F>
void for_each_filter_row(const Geometry& g, int64_t image, int64_t c, Out* out, In* padded, Weight* w, F f) {
  const Conv2dOptions& p = g.options;
  for (int64_t channel = c * g.og; channel < (c + 1) * g.og; ++channel) {
    Out* row = out + (image * g.o + channel) * g.pixels;
    for (int64_t y = 0; y < g.oh; ++y, row += g.ow)
      for (int64_t i = 0; i < g.kh; ++i)
        f(row, padded + (y * p.stride_h + i * p.dilation_h) * g.padded_w(), w + (channel * g.kh + i) * g.kw);
  }
}

template <class T>
void forward_depthwise(const Geometry& g, T* out, const T* x, const T* w, const T* bias) {
  const auto filter_row = row_filter<T>(g);
  parallel_for(g.n * g.c, plane_grain(g), [&](int64_t begin, int64_t end) {
    const auto padded = scratch<T>(g.padded_h() * g.padded_w());
    for (int64_t plane = begin; plane < end; ++plane) {
      pad_plane(g, x + plane * g.h * g.w, padded.get());
      const int64_t c = plane % g.c;
      for (int64_t m = 0; m < g.og; ++m)
        std::fill_n(out + (plane * g.og + m) * g.pixels, g.pixels,
                    bias != nullptr ? bias[c * g.og + m] : T(0));
      for_each_filter_row(
          g, plane / g.c, c, out, padded.get(), w, [&](T* row, const T* line, const T* filter) {
            filter_row(row, line, filter, g.ow, g.kw, g.options.stride_w, g.options.dilation_w);
          });
    }
  });
}

template <class T>
void backward_input_depthwise(const Geometry& g, T* dx, const T* dout, const T* w) {
  const Conv2dOptions& p = g.options;
  parallel_for(g.n * g.c, plane_grain(g), [&](int64_t begin, int64_t end) {
    const int64_t pw = g.padded_w();
    const auto padded = scratch<T>(g.padded_h() * pw);
    for (int64_t plane = begin; plane < end; ++plane) {
      std::fill(padded.get(), padded.get() + g.padded_h() * pw, T(0));
      for_each_filter_row(g, plane / g.c, plane % g.c, dout, padded.get(), w,
                          [&](const T* row, T* to, const T* filter) {
                            for (int64_t j = 0; j < g.kw; ++j, to += p.dilation_w) {
                              const T factor = filter[j];
                              if (p.stride_w == 1) {
                                for (int64_t q = 0; q < g.ow; ++q) to[q] += factor * row[q];
                              } else {
                                for (int64_t q = 0; q < g.ow; ++q) to[q * p.stride_w] += factor * row[q];
                              }
                            }
                          });
      for (int64_t y = 0; y < g.h; ++y)
        std::copy_n(padded.get() + (y + p.pad_top) * pw + p.pad_left, g.w, dx + (plane * g.h + y) * g.w);
    }
  });
}

template <class T>
void backward_weight_depthwise(const Geometry& g, T* dw, const T* dout, const T* x) {
  const int64_t stride = g.options.stride_w, filters = g.og * g.kh * g.kw;
  parallel_for(g.c, 1, [&](int64_t begin, int64_t end) {
    const auto padded = scratch<T>(g.padded_h() * g.padded_w());
    for (int64_t c = begin; c < end; ++c) {
      std::fill_n(dw + c * filters, filters, T(0));
      for (int64_t image = 0; image < g.n; ++image) {
        pad_plane(g, x + (image * g.c + c) * g.h * g.w, padded.get());
        for_each_filter_row(
            g, image, c, dout, padded.get(), dw, [&](const T* row, const T* from, T* dfilter) {
              for (int64_t j = 0; j < g.kw; ++j, from += g.options.dilation_w)
                dfilter[j] +=
                    stride == 1  // whose loop is vector code
                        ? lane_sum<T>(0, g.ow, [=](int64_t q) { return row[q] * from[q]; })
                        : lane_sum<T>(0, g.ow, [=](int64_t q) { return row[q] * from[q * stride]; });
            });
      }
    }
  });
}

// Whether a convolution of these operands is made of products of bf16.
bool is_in_bf16(const Geometry& g, const Tensor& a, const Tensor& b) {
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
  const Geometry g(x.shape(), w.shape(), out.shape(), options);
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
  const Geometry g(dx.shape(), w.shape(), dout.shape(), options);
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
  const Geometry g(x.shape(), dw.shape(), dout.shape(), options);
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
