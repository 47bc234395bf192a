// Pictures with channels last, for inference in f32, f16 or bf16: kernels that add a bias and a residual and apply
// the activation while the result is still in registers. On the CPU no copies of windows are made: with channels
// last a row of a window is one run of memory, and pictures may carry a border of zeros instead of being padded for
// each convolution. A device's kernels pad while they read, and take no borders.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tensor/kernel_options.h"
#include "tensor/tensor.h"

namespace tensor {
namespace cpu {
class OneDnnConv;  // onednn_conv.h
}

struct Border {
  int64_t top = 0, bottom = 0, left = 0, right = 0;

  bool operator==(const Border&) const = default;
};

// A batch of pictures (n, h, w, c) with a border around each. Copies share the memory.
class NhwcBatch {
 public:
  NhwcBatch() = default;
  // Memory only, of f32, f16 or bf16 numbers: the kernel that fills the inside clears the border. Errors: dtype
  // (another one), argument (a border on a device).
  NhwcBatch(int64_t n, int64_t h, int64_t w, int64_t c, const Border& border = {}, Device device = {},
            DType dtype = DType::f32);
  // From (n, c, h, w), any strides, f32; rounded when `dtype` has 16 bits.
  static NhwcBatch from_nchw(const Tensor& x, const Border& border = {}, DType dtype = DType::f32);
  // As (n, c, h, w): a view with strides of channels last.
  Tensor to_nchw() const;
  // As (n, h, w, c), which is contiguous without a border: a view.
  Tensor to_nhwc() const;

  bool defined() const { return storage_.defined(); }
  int64_t n() const { return n_; }
  int64_t h() const { return h_; }
  int64_t w() const { return w_; }
  int64_t c() const { return c_; }
  DType dtype() const { return storage_.dtype(); }
  const Border& border() const { return border_; }
  Shape nchw_shape() const { return {n_, c_, h_, w_}; }
  int64_t row_stride() const { return (w_ + border_.left + border_.right) * c_; }  // in elements
  // The channels of a pixel, for kernels, of the batch's type; y and x may lie in the border.
  template <class T = float>
  const T* pixel(int64_t image, int64_t y, int64_t x) const {
    return static_cast<const T*>(data_) + offset(image, y, x);
  }
  template <class T = float>
  T* pixel(int64_t image, int64_t y, int64_t x) {
    return static_cast<T*>(data_) + offset(image, y, x);
  }
  bool shares_memory(const NhwcBatch& other) const { return data_ == other.data_; }

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
  void* data_ = nullptr;
  int64_t n_ = 0, h_ = 0, w_ = 0, c_ = 0;
  Border border_;
};

// A convolution's weights as the kernel of their device wants them: one group, or depthwise (one input and
// output channel per group).
struct PackedConv2d {
  PackedConv2d() = default;
  // weight (o, c / groups, kh, kw), floating; output channel i is multiplied by scale[i], and bias[i] is
  // added. For pictures of `dtype`: with 16 bits the weights are rounded, too; sums and, but for a device's dense
  // convolutions, biases are f32. Errors: argument (other numbers of groups), dtype (not f32, f16 or bf16).
  PackedConv2d(const Tensor& weight, const std::vector<double>& scale, const std::vector<double>& bias,
               int64_t groups = 1, DType dtype = DType::f32);

  Shape weight_shape;  // (o, c / groups, kh, kw)
  int64_t groups = 1;
  DType dtype = DType::f32;
  // On the CPU, f32, dense: (panels, kh, kw, c, panel width), zeros past o; depthwise: (1, kh, kw, 1, o). On a device, of
  // `dtype`, dense: (o, kh kw c), zeros up to a multiple of 8; depthwise: (kh kw, o).
  Tensor weight;
  Tensor bias;                              // on the CPU padded to whole panels
  std::shared_ptr<cpu::OneDnnConv> onednn;  // on the CPU: what oneDNN made of the weights so far

  bool depthwise() const { return groups != 1; }
  // The border that conv2d_nhwc would like its input to have; without it, the CPU makes a copy.
  Border border_for(const Conv2dOptions& options) const;
  // Does now what else the first convolution of such an input (n, c, h, w) would. Several threads may.
  void prepare(const Shape& input, const Conv2dOptions& options, bool residual, Activation activation) const;

  template <class F>
  void for_each_tensor(F& f) const {
    f(weight);
    f(bias);
  }
};

}  // namespace tensor
