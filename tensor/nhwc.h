// Pictures with channels last, for inference in f32: kernels that add a bias and a residual and apply the
// activation while the result is still in registers. No copies of windows are made: with channels last a row
// of a window is one run of memory, and pictures carry a border of zeros instead of being padded for each
// convolution.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/kernel_options.h"
#include "tensor/tensor.h"

namespace tensor {

struct Border {
  int64_t top = 0, bottom = 0, left = 0, right = 0;
};

// A batch of pictures (n, h, w, c) with a border around each.
class NhwcBatch {
 public:
  NhwcBatch() = default;
  // Memory only: the kernel that fills the inside clears the border.
  NhwcBatch(int64_t n, int64_t h, int64_t w, int64_t c, const Border& border = {}, Device device = {});
  // From (n, c, h, w), any strides, f32.
  static NhwcBatch from_nchw(const Tensor& x, const Border& border = {});
  // As (n, c, h, w): a view with strides of channels last.
  Tensor to_nchw() const;

  bool defined() const { return storage_.defined(); }
  int64_t n() const { return n_; }
  int64_t h() const { return h_; }
  int64_t w() const { return w_; }
  int64_t c() const { return c_; }
  const Border& border() const { return border_; }
  Shape nchw_shape() const { return {n_, c_, h_, w_}; }
  int64_t row_stride() const { return (w_ + border_.left + border_.right) * c_; }  // in elements
  // The channels of a pixel, for kernels; y and x may lie in the border.
  const float* pixel(int64_t image, int64_t y, int64_t x) const { return data_ + offset(image, y, x); }
  float* pixel(int64_t image, int64_t y, int64_t x) { return data_ + offset(image, y, x); }

  template <class F>
  void for_each_tensor(F& f) const {
    f(storage_);
  }

 private:
  int64_t offset(int64_t image, int64_t y, int64_t x) const {
    const int64_t rows = h_ + border_.top + border_.bottom;
    return (image * rows + y + border_.top) * row_stride() + (x + border_.left) * c_;
  }

  Tensor storage_;
  float* data_ = nullptr;
  int64_t n_ = 0, h_ = 0, w_ = 0, c_ = 0;
  Border border_;
};

// A convolution's weights as the kernel of their device wants them: one group, or depthwise (one input and
// output channel per group).
struct PackedConv2d {
  PackedConv2d() = default;
  // weight (o, c / groups, kh, kw), floating; output channel i is multiplied by scale[i], and bias[i] is
  // added. An argument error for other numbers of groups.
  PackedConv2d(const Tensor& weight, const std::vector<double>& scale, const std::vector<double>& bias,
               int64_t groups = 1);

  Shape weight_shape;  // (o, c / groups, kh, kw)
  int64_t groups = 1;
  Tensor weight;  // on the CPU, dense: (panels, kh, kw, c, panel width), zeros past o; depthwise: (1, kh, kw,
                  // 1, o)
  Tensor bias;    // padded to whole panels

  bool depthwise() const { return groups != 1; }

  template <class F>
  void for_each_tensor(F& f) const {
    f(weight);
    f(bias);
  }
};

}  // namespace tensor
