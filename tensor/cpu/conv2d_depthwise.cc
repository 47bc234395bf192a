// Planes are padded, so loops have no edges.
#include "tensor/cpu/conv2d_depthwise.h"

#include <algorithm>

#include "tensor/cpu/sums.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

template <class T>
void pad_plane(const Conv2dGeometry& g, const T* plane, T* padded) {
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
auto row_filter(const Conv2dGeometry& g) {
  const bool s1 = g.options.stride_w == 1, s2 = g.options.stride_w == 2, d1 = g.options.dilation_w == 1;
  if (d1 && g.kw == 3 && s1) return add_filtered_row<3, 1, T>;
  if (d1 && g.kw == 3 && s2) return add_filtered_row<3, 2, T>;
  if (d1 && g.kw == 5 && s1) return add_filtered_row<5, 1, T>;
  if (d1 && g.kw == 5 && s2) return add_filtered_row<5, 2, T>;
  return add_filtered_row<0, 0, T>;
}

// Planes for one tile: enough work to be worth a thread.
int64_t plane_grain(const Conv2dGeometry& g) { return 16384 / std::max<int64_t>(1, g.pixels * g.kh * g.kw); }

// f(row, line, filter) for each row of the output channels that come from input channel `c` of an image, each
// line of the padded plane that it is made from, and the row of the filter between them.
template <class Out, class In, class Weight, class F>
void for_each_filter_row(const Conv2dGeometry& g, int64_t image, int64_t c, Out* out, In* padded, Weight* w,
                         F f) {
  const Conv2dOptions& p = g.options;
  for (int64_t channel = c * g.og; channel < (c + 1) * g.og; ++channel) {
    Out* row = out + (image * g.o + channel) * g.pixels;
    for (int64_t y = 0; y < g.oh; ++y, row += g.ow)
      for (int64_t i = 0; i < g.kh; ++i)
        f(row, padded + (y * p.stride_h + i * p.dilation_h) * g.padded_w(), w + (channel * g.kh + i) * g.kw);
  }
}

}  // namespace

template <class T>
void forward_depthwise(const Conv2dGeometry& g, T* out, const T* x, const T* w, const T* bias) {
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
void backward_input_depthwise(const Conv2dGeometry& g, T* dx, const T* dout, const T* w) {
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
void backward_weight_depthwise(const Conv2dGeometry& g, T* dw, const T* dout, const T* x) {
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

template void forward_depthwise(const Conv2dGeometry&, float*, const float*, const float*, const float*);
template void backward_input_depthwise(const Conv2dGeometry&, float*, const float*, const float*);
template void backward_weight_depthwise(const Conv2dGeometry&, float*, const float*, const float*);
template void forward_depthwise(const Conv2dGeometry&, double*, const double*, const double*, const double*);
template void backward_input_depthwise(const Conv2dGeometry&, double*, const double*, const double*);
template void backward_weight_depthwise(const Conv2dGeometry&, double*, const double*, const double*);

}  // namespace tensor::cpu
