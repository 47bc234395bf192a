// Batch normalisation (Ioffe and Szegedy 2015) with PyTorch's rules.
#pragma once

#include <optional>

#include "nn/module.h"

namespace nn {

struct BatchNormOptions {
  double eps = 1e-5;
  // running = (1 - momentum) running + momentum batch; none: the average over all batches so far.
  std::optional<double> momentum = 0.1;
  bool affine = true;               // weight and bias
  bool track_running_stats = true;  // else the batch's own statistics are used when evaluating, too
};

// x (n, c, ...) -> the same. Training normalises by the batch's biased variance and puts the unbiased one
// into running_var. Parameters: weight, bias (c); buffers: running_mean, running_var (c), num_batches_tracked
// () i64.
class BatchNorm2d : public Layer {
 public:
  explicit BatchNorm2d(int64_t channels, const BatchNormOptions& options = {});

  Variable forward(const Variable& x) override;
  std::string describe() const override;

  double eps() const { return options_.eps; }
  const Variable& weight() const { return weight_; }  // undefined when not affine
  Variable& weight() { return weight_; }
  const Variable& bias() const { return bias_; }
  const Tensor& running_mean() const { return *running_mean_; }  // only when tracked
  const Tensor& running_var() const { return *running_var_; }

 private:
  void update(const Tensor& mean, const Tensor& variance, int64_t count);

  int64_t channels_;
  BatchNormOptions options_;
  Variable& weight_;
  Variable& bias_;
  Tensor* running_mean_ = nullptr;
  Tensor* running_var_ = nullptr;
  Tensor* batches_ = nullptr;
};

}  // namespace nn
