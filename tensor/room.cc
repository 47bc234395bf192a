#include "tensor/room.h"

namespace tensor {

Tensor Room::take(const Shape& shape, DType dtype, Device device) {
  const int64_t n = shape.numel();
  const auto is_free = [](const Tensor& memory) {
    if (!memory.defined()) return true;
    if (!memory.is_unique()) return false;
    // A copy that is made and dropped: after that, what a thread that held the tensor did with it has happened.
    { const Tensor seen = memory; }
    return true;
  };
  Tensor& memory = is_free(memories_[0]) ? memories_[0] : memories_[1];
  const bool fits = memory.defined() && memory.is_unique() && memory.numel() >= n &&
                    memory.dtype() == dtype && memory.device() == device;
  if (!fits) memory = Tensor::empty({n}, dtype, device);
  return memory.slice(0, 0, n).view(shape);
}

}  // namespace tensor
