// Pooling layers.
#pragma once

#include "autograd/ops.h"
#include "nn/module.h"
#include "tensor/format.h"

namespace nn {

using tensor::Pool2dOptions;

class MaxPool2d : public Layer {
 public:
  explicit MaxPool2d(const Pool2dOptions& options) : options_(options) {}
  MaxPool2d(int64_t kernel, int64_t stride, int64_t padding = 0)
      : options_{kernel, kernel, stride, stride, padding, padding} {}
  Variable forward(const Variable& x) override { return autograd::max_pool2d(x, options_); }
  std::string describe() const override {
    const Pool2dOptions& o = options_;
    return tensor::format(
        "MaxPool2d(kernel_size=({}, {}), stride=({}, {}), padding=({}, {}), dilation=({}, {}), "
        "ceil_mode={})",
        o.kernel_h, o.kernel_w, o.stride_h, o.stride_w, o.pad_h, o.pad_w, o.dilation_h, o.dilation_w,
        o.ceil_mode ? "True" : "False");
  }
  const Pool2dOptions& options() const { return options_; }

 private:
  Pool2dOptions options_;
};

class AdaptiveAvgPool2d : public Layer {
 public:
  AdaptiveAvgPool2d(int64_t out_h, int64_t out_w) : out_h_(out_h), out_w_(out_w) {}
  Variable forward(const Variable& x) override { return autograd::adaptive_avg_pool2d(x, out_h_, out_w_); }
  std::string describe() const override {
    return tensor::format("AdaptiveAvgPool2d(output_size=({}, {}))", out_h_, out_w_);
  }

 private:
  int64_t out_h_, out_w_;
};

}  // namespace nn
