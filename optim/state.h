// What optimisers, schedules and averages put into a checkpoint.
#pragma once

#include <cmath>
#include <map>
#include <string>

#include "tensor/tensor.h"

namespace optim {

// The scalars are finite; written to text they need 17 digits to come back as they were.
struct State {
  std::map<std::string, tensor::Tensor> tensors;
  std::map<std::string, double> scalars;
};

// Whether a number of a state is a count: whole, not negative, and so small that doubles have all around it.
inline bool is_count(double x) { return x >= 0 && x <= 0x1p53 && x == std::floor(x); }

}  // namespace optim
