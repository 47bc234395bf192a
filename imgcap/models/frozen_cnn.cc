#include "imgcap/models/frozen_cnn.h"

#include <algorithm>

#include "tensor/error.h"
#include "tensor/kernels.h"
#include "tensor/window.h"

namespace imgcap {

using tensor::Border;
using tensor::NhwcBatch;
using tensor::PackedConv2d;

namespace {

constexpr int64_t kChunk =
    8;  // pictures at a time: weights are read once for all of them, memory stays bounded

}  // namespace

int FrozenCnn::conv(int x, const nn::Conv2d& conv, const nn::BatchNorm2d& norm, Activation activation,
                    int residual, Padding padding) {
  const FoldedNorm folded = fold(conv, norm);
  convs_.emplace_back(conv.weight().data(), folded.scale, folded.bias, conv.options().groups);
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
  const Shape& weight = convs_[static_cast<size_t>(step.conv)].weight_shape;
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
        shapes[in], convs_[static_cast<size_t>(step.conv)].weight_shape, o, "frozen network");
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
    values[i + 1] = NhwcBatch(s[0], s[2], s[3], s[1], borders[i + 1], x.device());
    if (step.conv < 0) {
      tensor::kernels::max_pool2d_nhwc(values[i + 1], values[in], step.pool);
    } else {
      tensor::kernels::conv2d_nhwc(
          values[i + 1], values[in], convs_[static_cast<size_t>(step.conv)], options_of(step, shapes[in]),
          step.residual >= 0 ? &values[static_cast<size_t>(step.residual)] : nullptr, step.activation);
    }
    for (size_t v = 0; v <= i; ++v)
      if (values[v].defined() && last_use[v] == i) values[v] = {};
  }
  return values.back();
}

Tensor FrozenCnn::run(const Tensor& x) const {
  tensor::check(x.rank() == 4 && x.dtype() == tensor::DType::f32, tensor::ErrorKind::shape,
                "frozen network: input {} must be (n, c, h, w) f32", tensor::describe(x));
  const int64_t n = x.size(0);
  if (n <= kChunk) return run_chunk(x).to_nchw();
  Tensor out;
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    const int64_t end = std::min(n, begin + kChunk);
    const Tensor part = run_chunk(x.slice(0, begin, end)).to_nchw();
    if (!out.defined())
      out = Tensor::empty({n, part.size(2), part.size(3), part.size(1)}, tensor::DType::f32, x.device())
                .permute({0, 3, 1, 2});
    out.slice(0, begin, end).copy_(part);
  }
  return out;
}

}  // namespace imgcap
