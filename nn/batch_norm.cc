#include "nn/batch_norm.h"

#include "autograd/ops.h"
#include "tensor/error.h"
#include "tensor/kernels.h"

namespace nn {
namespace {

void expect_valid(int64_t channels, const BatchNormOptions& options) {
  tensor::check(channels > 0, ErrorKind::argument, "BatchNorm2d: {} channels, needs at least one", channels);
  tensor::check(options.eps > 0, ErrorKind::argument, "BatchNorm2d: eps {} must be positive", options.eps);
}

}  // namespace

BatchNorm2d::BatchNorm2d(int64_t channels, const BatchNormOptions& options)
    : channels_((expect_valid(channels, options), channels)),
      options_(options),
      weight_(register_parameter("weight", options.affine ? Tensor::full({channels}, 1) : Tensor())),
      bias_(register_parameter("bias", options.affine ? Tensor::zeros({channels}) : Tensor())) {
  if (!options.track_running_stats) return;
  running_mean_ = &register_buffer("running_mean", Tensor::zeros({channels}));
  running_var_ = &register_buffer("running_var", Tensor::full({channels}, 1));
  batches_ = &register_buffer("num_batches_tracked", Tensor::zeros({}, DType::i64));
}

Variable BatchNorm2d::forward(const Variable& x) {
  tensor::check(x.rank() >= 2 && x.size(1) == channels_, ErrorKind::shape,
                "BatchNorm2d: input {} must be (n, {}, ...)", x.shape(), channels_);
  const bool tracked = running_mean_ != nullptr;
  const int64_t count = x.numel() / channels_;
  tensor::check(!training() || !tracked || count != 1, ErrorKind::shape,
                "BatchNorm2d: input {} has one value per channel, which have no variance to train on",
                x.shape());
  if (!training() && tracked)
    return autograd::batch_norm(x, weight_, bias_, *running_mean_, *running_var_, false, options_.eps);
  autograd::BatchNormStatistics statistics;
  Variable out = autograd::batch_norm(x, weight_, bias_, {}, {}, true, options_.eps, &statistics);
  if (training() && tracked) update(statistics.mean, statistics.variance, count);
  return out;
}

void BatchNorm2d::update(const Tensor& mean, const Tensor& variance, int64_t count) {
  const int64_t batches = static_cast<int64_t>(batches_->item()) + 1;
  batches_->fill_(static_cast<double>(batches));
  if (count == 0) return;  // an empty batch counts, but has no statistics
  const double factor = options_.momentum.value_or(1.0 / static_cast<double>(batches));
  const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);
  tensor::kernels::affine(*running_mean_, *running_mean_, 1 - factor, 0);
  tensor::kernels::add_inplace(*running_mean_, mean, factor);
  tensor::kernels::affine(*running_var_, *running_var_, 1 - factor, 0);
  tensor::kernels::add_inplace(*running_var_, variance, factor * unbiased);
}

std::string BatchNorm2d::describe() const {
  return tensor::format("BatchNorm2d({}, eps={}, momentum={}, affine={}, track_running_stats={})", channels_,
                        options_.eps, options_.momentum ? tensor::format("{}", *options_.momentum) : "None",
                        options_.affine ? "True" : "False", options_.track_running_stats ? "True" : "False");
}

}  // namespace nn
