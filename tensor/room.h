// Memory for tensors that are made anew in every step.
#pragma once

#include <array>

#include "tensor/tensor.h"

namespace tensor {

// Gives what Tensor::empty() gives, in the memory of an earlier one that nobody uses any more. There is memory for
// two, so that the next tensor can be made of the last one. A copy of a room has memory of its own. Not for
// several threads at once.
class Room {
 public:
  Room() = default;
  Room(const Room&) {}
  Room& operator=(const Room&) { return *this; }
  Room(Room&&) = default;
  Room& operator=(Room&&) = default;

  Tensor take(const Shape& shape, DType dtype = DType::f32, Device device = {});

 private:
  std::array<Tensor, 2> memories_;  // (elements)
};

}  // namespace tensor
