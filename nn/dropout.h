// Random omission of units in training.
#pragma once

#include "nn/init.h"
#include "nn/module.h"

namespace nn {

// In training each element is zeroed with probability p and the others are divided by 1 - p (Hinton et al.
// 2012, inverted); else the identity. `generator` has to outlive the layer.
class Dropout : public Layer {
 public:
  // An argument error unless 0 <= p < 1.
  explicit Dropout(double p = 0.5, Generator& generator = tensor::default_generator());

  Variable forward(const Variable& x) override;
  std::string describe() const override;
  double p() const { return p_; }

 private:
  double p_;
  Generator* generator_;
};

}  // namespace nn
