#include "imgcap/models/cnn_builder.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace imgcap {

Conv2dOptions same_padding(Conv2dOptions options, int64_t kernel_h, int64_t kernel_w, int64_t h, int64_t w) {
  const auto total = [](int64_t size, int64_t kernel, int64_t stride, int64_t dilation) {
    const int64_t extent = dilation * (kernel - 1) + 1;
    return std::max<int64_t>(((size + stride - 1) / stride - 1) * stride + extent - size, 0);
  };
  const int64_t rows = total(h, kernel_h, options.stride_h, options.dilation_h);
  const int64_t columns = total(w, kernel_w, options.stride_w, options.dilation_w);
  options.pad_top = rows / 2, options.pad_bottom = rows - rows / 2;
  options.pad_left = columns / 2, options.pad_right = columns - columns / 2;
  return options;
}

// conv and norm as one convolution: w' = w g / sqrt(var + eps), b' = b + (b_conv - mean) g / sqrt(var + eps)
FoldedNorm fold(const nn::Conv2d& conv, const nn::BatchNorm2d& norm) {
  const auto values = [](const Tensor& t) { return t.to(tensor::DType::f64).to_vector<double>(); };
  const auto mean = values(norm.running_mean()), variance = values(norm.running_var());
  const auto gain = values(norm.weight().data()), shift = values(norm.bias().data());
  std::vector<double> scale(mean.size());
  std::vector<double> bias =
      conv.bias().defined() ? values(conv.bias().data()) : std::vector<double>(mean.size(), 0.0);
  for (size_t o = 0; o < mean.size(); ++o) {
    scale[o] = gain[o] / std::sqrt(variance[o] + norm.eps());
    bias[o] = shift[o] + (bias[o] - mean[o]) * scale[o];
  }
  return {std::move(scale), std::move(bias)};
}

}  // namespace imgcap
