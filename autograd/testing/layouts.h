// The same values in memory that is laid out in other ways.
#pragma once

#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace autograd::testing {

struct Layout {
  std::string name;
  tensor::Tensor tensor;        // the view
  tensor::Tensor whole;         // all the memory behind it
  bool changes_values = false;  // one row, repeated by a stride of 0, in place of all
};

// Transposed, every second element of a larger one, an offset into a larger one, expanded by a stride of 0.
// Those that the shape allows.
std::vector<Layout> layouts_of(const tensor::Tensor& x);

}  // namespace autograd::testing
