#include "imgcap/models/frozen_cnn.h"

#include <algorithm>
#include <utility>

#include "imgcap/data/encoder_arithmetic.h"
#include "tensor/error.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"
#include "tensor/window.h"

namespace imgcap {

using tensor::Border;
using tensor::NhwcBatch;
using tensor::PackedConv2d;

namespace {

constexpr size_t kMostSizes = 16;  // of pictures whose plans are kept

}  // namespace

FrozenCnn::FrozenCnn(tensor::DType arithmetic, int64_t device_bytes)
    : arithmetic_(arithmetic), device_bytes_(device_bytes) {
  tensor::check(encodes_in(arithmetic), tensor::ErrorKind::argument,
                "frozen network: its arithmetic is f32, f16 or bf16, not {}", tensor::name_of(arithmetic));
}

int FrozenCnn::conv(int x, const nn::Conv2d& conv, const nn::BatchNorm2d& norm, Activation activation,
                    int residual, Padding padding) {
  const FoldedNorm folded = fold(conv, norm);
  convs_.emplace_back(conv.weight().data(), folded.scale, folded.bias, conv.options().groups, arithmetic_);
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

FrozenCnn::Sizes FrozenCnn::find_sizes(int64_t channels, int64_t h, int64_t w) const {
  const size_t count = steps_.size() + 1;
  Sizes sizes{std::vector<Shape>(count), std::vector<Border>(count), std::vector<size_t>(count), {}};
  sizes.shapes[0] = {1, channels, h, w};
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    const auto in = static_cast<size_t>(step.x);
    const Shape& shape = sizes.shapes[in];
    sizes.last_use[in] = i;
    if (step.residual >= 0) sizes.last_use[static_cast<size_t>(step.residual)] = i;
    Conv2dOptions& o = sizes.options.emplace_back(step.options);
    if (step.conv < 0) {
      sizes.shapes[i + 1] = tensor::pool2d_output_shape(shape, step.pool, "frozen network");
      continue;
    }
    const PackedConv2d& conv = conv_of(step);
    if (step.padding == Padding::same)
      o = same_padding(o, conv.weight_shape[2], conv.weight_shape[3], shape[2], shape[3]);
    sizes.shapes[i + 1] = tensor::conv2d_output_shape(shape, conv.weight_shape, o, "frozen network");
    const Border wanted = conv.border_for(o);
    Border& b = sizes.borders[in];
    b = {std::max(b.top, wanted.top), std::max(b.bottom, wanted.bottom), std::max(b.left, wanted.left),
         std::max(b.right, wanted.right)};
  }
  return sizes;
}

std::shared_ptr<const FrozenCnn::Sizes> FrozenCnn::sizes_for(int64_t channels, int64_t h, int64_t w) const {
  const std::lock_guard lock(mutex_);
  const std::array key{channels, h, w};
  if (sizes_.size() >= kMostSizes && !sizes_.contains(key)) sizes_.clear();
  std::shared_ptr<const Sizes>& kept = sizes_[key];
  if (kept) return kept;
  auto sizes = std::make_shared<const Sizes>(find_sizes(channels, h, w));
  tensor::parallel_each(static_cast<int64_t>(steps_.size()), 1, [&](int64_t at) {
    const auto i = static_cast<size_t>(at);
    const Step& step = steps_[i];
    if (step.conv >= 0)
      conv_of(step).prepare(sizes->shapes[static_cast<size_t>(step.x)], sizes->options[i], step.residual >= 0,
                            step.activation);
  });
  return kept = std::move(sizes);
}

int64_t FrozenCnn::most_bytes(const Sizes& sizes) const {
  int64_t most = 1;
  for (size_t i = 0; i < steps_.size(); ++i) {
    int64_t numbers = sizes.shapes[i + 1].numel();
    for (size_t v = 0; v <= i; ++v)
      if (sizes.last_use[v] >= i) numbers += sizes.shapes[v].numel();
    most = std::max(most, numbers * tensor::size_of(arithmetic_));
  }
  return most;
}

NhwcBatch FrozenCnn::run_together(const Tensor& x, const Sizes& sizes) const {
  std::vector<NhwcBatch> values(steps_.size() + 1);
  values[0] = NhwcBatch::from_nchw(x, sizes.borders[0], arithmetic_);
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    const NhwcBatch& in = values[static_cast<size_t>(step.x)];
    const Shape& s = sizes.shapes[i + 1];
    NhwcBatch& out = values[i + 1];
    const auto residual = static_cast<size_t>(std::max(step.residual, 0));
    // A residual that nothing reads later becomes the result: the sum is made in place.
    if (step.residual >= 0 && step.residual != step.x && sizes.last_use[residual] == i &&
        sizes.borders[residual] == sizes.borders[i + 1])
      out = values[residual];
    else
      out = NhwcBatch(x.size(0), s[2], s[3], s[1], sizes.borders[i + 1], x.device(), arithmetic_);
    if (step.conv < 0) {
      tensor::kernels::max_pool2d_nhwc(out, in, step.pool);
    } else {
      tensor::kernels::conv2d_nhwc(out, in, conv_of(step), sizes.options[i],
                                   step.residual >= 0 ? &values[residual] : nullptr, step.activation);
    }
    for (size_t v = 0; v <= i; ++v)
      if (values[v].defined() && sizes.last_use[v] == i) values[v] = {};
  }
  return values.back();
}

Tensor FrozenCnn::run(const Tensor& x) const {
  tensor::check(x.rank() == 4 && x.dtype() == tensor::DType::f32, tensor::ErrorKind::shape,
                "frozen network: input {} must be (n, c, h, w) f32", tensor::describe(x));
  const auto sizes = sizes_for(x.size(1), x.size(2), x.size(3));
  const Shape& shape = sizes->shapes.back();
  const int64_t n = x.size(0), threads = tensor::num_threads();
  Tensor out = Tensor::empty({n, shape[2], shape[3], shape[1]}, tensor::DType::f32, x.device());
  const auto run_part = [&](int64_t begin, int64_t end) {
    const NhwcBatch features = run_together(x.slice(0, begin, end), *sizes);
    out.slice(0, begin, end).copy_(features.to_nchw().permute({0, 2, 3, 1}));
  };
  if (!x.device().is_cpu()) {
    const int64_t part = std::max<int64_t>(1, device_bytes_ / most_bytes(*sizes));
    for (int64_t begin = 0; begin < n; begin += part) run_part(begin, std::min(n, begin + part));
    return out.permute({0, 3, 1, 2});
  }
  // A thread takes a picture through all steps, which stays in its caches and waits for nobody; what is left for
  // fewer pictures than threads, all threads do step by step.
  const int64_t alone = n / threads * threads;
  tensor::parallel_for(alone, 1, run_part);
  if (alone < n) run_part(alone, n);
  return out.permute({0, 3, 1, 2});
}

}  // namespace imgcap
