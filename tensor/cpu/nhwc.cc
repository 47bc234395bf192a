#include <algorithm>
#include <limits>

#include "tensor/cpu/nhwc_conv.h"
#include "tensor/cpu/onednn_conv.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

// f.template operator()<T>() for pictures' type T.
template <class F>
void dispatch_pictures(DType dtype, const F& f) {
  if (dtype == DType::f16) return f.template operator()<f16>();
  dtype == DType::bf16 ? f.template operator()<bf16>() : f.template operator()<float>();
}

template <class T>
void clear_border(NhwcBatch& out) {
  const Border& border = out.border();
  for (int64_t image = 0; image < out.n(); ++image) {
    for (int64_t y = -border.top; y < out.h() + border.bottom; ++y) {
      if (y < 0 || y >= out.h()) {
        std::fill_n(out.pixel<T>(image, y, -border.left), out.row_stride(), T(0.0f));
      } else {
        std::fill_n(out.pixel<T>(image, y, -border.left), border.left * out.c(), T(0.0f));
        std::fill_n(out.pixel<T>(image, y, out.w()), border.right * out.c(), T(0.0f));
      }
    }
  }
}

template <class T>
void fill_from_nchw(NhwcBatch& out, const Tensor& x) {
  clear_border<T>(out);
  const float* from = x.device_data<float>();
  const Shape& s = x.strides();
  parallel_each(out.n() * out.h(), 16384 / std::max<int64_t>(1, out.w() * out.c()), [&](int64_t row) {
    const int64_t image = row / out.h(), y = row % out.h();
    T* to = out.pixel<T>(image, y, 0);
    for (int64_t c = 0; c < out.c(); ++c) {
      const float* line = from + image * s[0] + c * s[1] + y * s[2];
      for (int64_t i = 0; i < out.w(); ++i) to[i * out.c() + c] = T(line[i * s[3]]);
    }
  });
}

template <class To, class From>
void fill_from(NhwcBatch& out, const NhwcBatch& x) {
  clear_border<To>(out);
  parallel_each(out.n() * out.h(), 16384 / std::max<int64_t>(1, out.w() * out.c()), [&](int64_t row) {
    const int64_t image = row / out.h(), y = row % out.h();
    const From* from = x.pixel<From>(image, y, 0);
    To* to = out.pixel<To>(image, y, 0);
    for (int64_t i = 0; i < out.w() * out.c(); ++i) to[i] = To(static_cast<float>(from[i]));
  });
}

// The same pictures in another type, with another border, or both.
NhwcBatch converted(const NhwcBatch& x, DType dtype, const Border& border = {}) {
  NhwcBatch out(x.n(), x.h(), x.w(), x.c(), border, {}, dtype);
  dispatch_pictures(dtype, [&]<class To>() {
    dispatch_pictures(x.dtype(), [&]<class From>() { fill_from<To, From>(out, x); });
  });
  return out;
}

bool covers(const Border& border, const Conv2dOptions& o) {
  return border.top >= o.pad_top && border.bottom >= o.pad_bottom && border.left >= o.pad_left &&
         border.right >= o.pad_right;
}

// By our own kernels, which are of f32 and want zeros around the picture.
void conv2d_own(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& weight, const Conv2dOptions& o,
                const NhwcBatch* residual, Activation activation) {
  if (x.dtype() != DType::f32 || !covers(x.border(), o)) {
    const Border border{o.pad_top, o.pad_bottom, o.pad_left, o.pad_right};
    return conv2d_own(out, converted(x, DType::f32, border), weight, o, residual, activation);
  }
  if (out.dtype() != DType::f32) {
    NhwcBatch wide(out.n(), out.h(), out.w(), out.c());
    NhwcBatch wide_residual;
    if (residual != nullptr) wide_residual = converted(*residual, DType::f32);
    conv2d_own(wide, x, weight, o, residual != nullptr ? &wide_residual : nullptr, activation);
    return dispatch_pictures(out.dtype(), [&]<class T>() { fill_from<T, float>(out, wide); });
  }
  (weight.depthwise() ? conv2d_depthwise : conv2d_dense)(out, x, weight, o, residual, activation);
}

template <class T>
void max_pool(NhwcBatch& out, const NhwcBatch& x, const Pool2dOptions& o) {
  clear_border<T>(out);
  constexpr int64_t kBlock = 64;  // channels whose maxima stay in registers
  const int64_t channels = x.c();
  const auto pool = [&](int64_t image, int64_t y, int64_t q, int64_t first, int64_t count) {
    float greatest[kBlock];
    std::fill_n(greatest, kBlock, -std::numeric_limits<float>::infinity());
    for (int64_t i = 0; i < o.kernel_h; ++i) {
      const int64_t iy = y * o.stride_h - o.pad_h + i * o.dilation_h;
      if (iy < 0 || iy >= x.h()) continue;
      for (int64_t j = 0; j < o.kernel_w; ++j) {
        const int64_t ix = q * o.stride_w - o.pad_w + j * o.dilation_w;
        if (ix < 0 || ix >= x.w()) continue;
        const T* from = x.pixel<T>(image, iy, ix) + first;
        for (int64_t c = 0; c < count; ++c) {
          const auto value = static_cast<float>(from[c]);
          greatest[c] = value > greatest[c] || value != value ? value : greatest[c];  // a NaN wins
        }
      }
    }
    T* to = out.pixel<T>(image, y, q) + first;
    for (int64_t c = 0; c < count; ++c) to[c] = T(greatest[c]);
  };
  parallel_each(out.n() * out.h(), 1, [&](int64_t row) {
    for (int64_t q = 0; q < out.w(); ++q)
      for (int64_t first = 0; first < channels; first += kBlock)
        pool(row / out.h(), row % out.h(), q, first, std::min(kBlock, channels - first));
  });
}

}  // namespace

void nhwc_from_nchw(NhwcBatch& out, const Tensor& x) {
  dispatch_pictures(out.dtype(), [&]<class T>() { fill_from_nchw<T>(out, x); });
}

void conv2d_nhwc(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& weight, const Conv2dOptions& options,
                 const NhwcBatch* residual, Activation activation) {
  dispatch_pictures(out.dtype(), [&]<class T>() { clear_border<T>(out); });
  if (out.n() * out.h() * out.w() * out.c() == 0) return;
  if (!conv2d_onednn(out, x, weight, options, residual, activation))
    conv2d_own(out, x, weight, options, residual, activation);
}

void max_pool2d_nhwc(NhwcBatch& out, const NhwcBatch& x, const Pool2dOptions& options) {
  dispatch_pictures(out.dtype(), [&]<class T>() { max_pool<T>(out, x, options); });
}

}  // namespace tensor::cpu
