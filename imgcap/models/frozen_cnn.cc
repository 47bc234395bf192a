#include "imgcap/models/frozen_cnn.h"

#include <algorithm>
#include <cmath>

#include "tensor/error.h"
#include "tensor/window.h"

namespace imgcap {

using tensor::cpu::Border;
using tensor::cpu::NhwcBatch;
using tensor::cpu::PackedConv2d;

namespace {

constexpr int64_t kChunk =
    8;  // pictures at a time: weights are read once for all of them, memory stays bounded

// conv and norm as one convolution: w' = w g / sqrt(var + eps), b' = b + (b_conv - mean) g / sqrt(var + eps)
PackedConv2d fold(const nn::Conv2d& conv, const nn::BatchNorm2d& norm) {
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
  return PackedConv2d(conv.weight().data(), scale, bias, conv.options().groups);
}

}  // namespace

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

int FrozenCnn::conv(int x, const nn::Conv2d& conv, const nn::BatchNorm2d& norm, Activation activation,
                    int residual, Padding padding) {
  convs_.push_back(fold(conv, norm));
  Step step;
  step.x = x, step.residual = residual, step.conv = static_cast<int>(convs_.size()) - 1;
  step.options = conv.options(), step.padding = padding, step.activation = activation;
  steps_.push_back(step);
  return static_cast<int>(steps_.size());
}

int FrozenCnn::max_pool(int x, const tensor::Pool2dOptions& options) {
  Step step;
  step.x = x, step.pool = options;
  steps_.push_back(step);
  return static_cast<int>(steps_.size());
}

Conv2dOptions FrozenCnn::options_of(const Step& step, const Shape& input) const {
  const Shape& weight = convs_[static_cast<size_t>(step.conv)].weight_shape();
  return step.padding == Padding::fixed
             ? step.options
             : same_padding(step.options, weight[2], weight[3], input[2], input[3]);
}

NhwcBatch FrozenCnn::run_chunk(const Tensor& x) const {
  const size_t count = steps_.size() + 1;
  // Sizes first: a result gets the border that its readers want.
  std::vector<Shape> shapes(count);
  std::vector<Border> borders(count);
  std::vector<size_t> last_use(count);
  shapes[0] = x.shape();
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    const auto in = static_cast<size_t>(step.x);
    last_use[in] = i;
    if (step.residual >= 0) last_use[static_cast<size_t>(step.residual)] = i;
    if (step.conv < 0) {
      shapes[i + 1] = tensor::pool2d_output_shape(shapes[in], step.pool, "frozen network");
      continue;
    }
    const Conv2dOptions o = options_of(step, shapes[in]);
    shapes[i + 1] = tensor::conv2d_output_shape(
        shapes[in], convs_[static_cast<size_t>(step.conv)].weight_shape(), o, "frozen network");
    Border& b = borders[in];
    b = {std::max(b.top, o.pad_top), std::max(b.bottom, o.pad_bottom), std::max(b.left, o.pad_left),
         std::max(b.right, o.pad_right)};
  }
  std::vector<NhwcBatch> values(count);
  values[0] = NhwcBatch::from_nchw(x, borders[0]);
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    const auto in = static_cast<size_t>(step.x);
    const Shape& s = shapes[i + 1];
    values[i + 1] = NhwcBatch(s[0], s[2], s[3], s[1], borders[i + 1]);
    if (step.conv < 0) {
      max_pool2d_nhwc(values[i + 1], values[in], step.pool);
    } else {
      convs_[static_cast<size_t>(step.conv)].run(
          values[i + 1], values[in], options_of(step, shapes[in]),
          step.residual >= 0 ? &values[static_cast<size_t>(step.residual)] : nullptr, step.activation);
    }
    for (size_t v = 0; v <= i; ++v)
      if (values[v].defined() && last_use[v] == i) values[v] = {};
  }
  return values.back();
}

Tensor FrozenCnn::run(const Tensor& x) const {
  tensor::check(x.rank() == 4 && x.dtype() == tensor::DType::f32 && x.device().is_cpu(),
                tensor::ErrorKind::shape, "frozen network: input {} must be (n, c, h, w) f32 on the CPU",
                tensor::describe(x));
  const int64_t n = x.size(0);
  if (n <= kChunk) return run_chunk(x).to_nchw();
  Tensor out;
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    const int64_t end = std::min(n, begin + kChunk);
    const Tensor part = run_chunk(x.slice(0, begin, end)).to_nchw();
    if (!out.defined())
      out = Tensor::empty({n, part.size(2), part.size(3), part.size(1)}).permute({0, 3, 1, 2});
    out.slice(0, begin, end).copy_(part);
  }
  return out;
}

}  // namespace imgcap
