// A 2-D convolution layer.
#pragma once

#include <type_traits>

#include "nn/init.h"
#include "nn/module.h"
#include "tensor/kernels.h"

namespace nn {

using tensor::Conv2dOptions;

// Conv2dOptions with the same stride, padding and dilation along both axes.
Conv2dOptions conv2d_options(int64_t stride, int64_t padding = 0, int64_t dilation = 1, int64_t groups = 1);

// What is neither a bias nor a rule for the first weight.
template <class T>
concept TakenForBias = !std::is_arithmetic_v<T> && !std::is_convertible_v<T, void (*)(Tensor&, Generator&)>;

// x (n, in, h, w) -> (n, out, oh, ow). Parameters: weight (out, in / groups, kh, kw), bias (out).
class Conv2d : public Layer {
 public:
  Conv2d(int64_t in_channels, int64_t out_channels, int64_t kernel, const Conv2dOptions& options = {},
         bool bias = true, Generator& generator = tensor::default_generator());
  Conv2d(int64_t in_channels, int64_t out_channels, int64_t kernel_h, int64_t kernel_w,
         const Conv2dOptions& options, bool bias, Generator& generator);
  // Without a bias, and with another rule for the first weight: nn::init::kaiming_normal_fan_out, a lambda.
  using Initialiser = void(Tensor& weight, Generator& generator);
  Conv2d(int64_t in_channels, int64_t out_channels, int64_t kernel, const Conv2dOptions& options,
         Initialiser* initialise, Generator& generator = tensor::default_generator());
  // Other functions and pointers would be taken for a bias: all are true.
  template <TakenForBias T>
  Conv2d(int64_t, int64_t, int64_t, const Conv2dOptions&, T,
         Generator& = tensor::default_generator()) = delete;

  Variable forward(const Variable& x) override;
  // The same with other options: padding that depends on the input's size ("same" padding).
  Variable forward(const Variable& x, const Conv2dOptions& options);
  std::string describe() const override;

  const Conv2dOptions& options() const { return options_; }
  const Variable& weight() const { return weight_; }
  Variable& weight() { return weight_; }
  const Variable& bias() const { return bias_; }  // undefined without a bias

 private:
  Conv2dOptions options_;
  Variable& weight_;
  Variable& bias_;
};

}  // namespace nn
