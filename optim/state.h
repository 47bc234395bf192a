// What optimisers, schedules and averages put into a checkpoint.
#pragma once

#include <map>
#include <string>

#include "tensor/tensor.h"

namespace optim {

// The scalars are finite; written to text they need 17 digits to come back as they were.
struct State {
  std::map<std::string, tensor::Tensor> tensors;
  std::map<std::string, double> scalars;
};

}  // namespace optim
