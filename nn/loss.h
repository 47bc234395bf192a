// Losses as modules.
#pragma once

#include "autograd/ops.h"
#include "nn/module.h"

namespace nn {

struct CrossEntropyOptions {
  int64_t ignore_index = -100;                                // targets of this value count nothing
  double label_smoothing = 0;                                 // in [0, 1]
  autograd::Reduction reduction = autograd::Reduction::mean;  // over the rows that are not ignored
  Tensor weight = {};                                         // of the classes (v); undefined: all 1
};

// Softmax cross-entropy with the classes in the last dimension: logits (..., v), targets (...) i64 -> a
// scalar, or
// (...) without reduction. See autograd::cross_entropy.
class CrossEntropyLoss : public Module {
 public:
  explicit CrossEntropyLoss(const CrossEntropyOptions& options = {});

  Variable forward(const Variable& logits, const Tensor& targets);
  Variable operator()(const Variable& logits, const Tensor& targets) { return forward(logits, targets); }
  std::string describe() const override;

 private:
  CrossEntropyOptions options_;
  Tensor& weight_;  // a buffer, as in PyTorch: it goes with to(dtype) and into the state dict
};

}  // namespace nn
