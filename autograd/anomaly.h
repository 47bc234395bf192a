// Finds the op in which a NaN or an infinity appears first, and modules that nothing trains.
#pragma once

#include "autograd/observer.h"

namespace autograd {

// While it lives, each recorded op's result and each gradient of this thread is looked through, and the first
// that is not finite throws an autograd error with the op, the module it was called in, the shapes of its
// inputs, and the index and value of the first bad element:
//
//   const DetectAnomaly detect;
//   model.loss(batch).backward();
//   // sqrt: nan at (0, 2) of its result (2, 3) f32, from inputs (2, 3) f32 that were finite (in
//   decoder.gate)
//
// A module that is called inside another without being its child throws, too: its parameters are not among
// the outer one's, and an optimiser that has those leaves it as it is (nn/left_out.h says when exactly).
//
// Slow: for finding a mistake, not for training. (PyTorch's detect_anomaly looks for NaN in gradients only,
// this one also for infinities and in results.)
class DetectAnomaly final : public Observer {
 public:
  void op(const Node* node, const std::vector<Tensor>& outputs, const Variables& inputs) override;
  void backward_ended(const Node& node, const Variables& gradients, const Variables& results) override;
  void module_left_out(const std::string& what) override;
};

}  // namespace autograd
