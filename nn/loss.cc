#include "nn/loss.h"

#include "tensor/error.h"

namespace nn {

CrossEntropyLoss::CrossEntropyLoss(const CrossEntropyOptions& options)
    : options_(options), weight_(register_buffer("weight", options.weight)) {
  tensor::check(options.label_smoothing >= 0 && options.label_smoothing <= 1, ErrorKind::argument,
                "CrossEntropyLoss: label_smoothing has to be in [0, 1], not {}", options.label_smoothing);
}

Variable CrossEntropyLoss::forward(const Variable& logits, const Tensor& targets) {
  const Scope scope(*this);
  Shape rows = logits.shape();
  tensor::check(rows.rank() >= 1, ErrorKind::shape, "CrossEntropyLoss: logits () have no classes");
  const int64_t classes = rows.back();
  rows.erase(rows.rank() - 1);
  tensor::check(targets.shape() == rows, ErrorKind::shape,
                "CrossEntropyLoss: logits {} need targets of {}, not {}", logits.shape(), to_string(rows),
                targets.shape());
  const Variable losses = autograd::cross_entropy(autograd::reshape(logits, {rows.numel(), classes}),
                                                  targets.reshape({rows.numel()}), options_.ignore_index,
                                                  options_.label_smoothing, options_.reduction, weight_);
  return options_.reduction == autograd::Reduction::none ? autograd::reshape(losses, rows) : losses;
}

std::string CrossEntropyLoss::describe() const {
  return tensor::format("CrossEntropyLoss(ignore_index={}, label_smoothing={})", options_.ignore_index,
                        options_.label_smoothing);
}

}  // namespace nn
