// Values on their way from a device, for a host that has other things to do until they come.
#pragma once

#include <memory>

#include "tensor/cuda/runtime.h"
#include "tensor/tensor.h"

namespace tensor {

class Fetched {
 public:
  // `source` as it is after all that was launched on its device before; it may be changed afterwards. On the CPU the
  // values are copied here.
  explicit Fetched(const Tensor& source);

  // On the CPU and contiguous; waits for them, but for nothing that was launched later. Errors: as Runtime::wait.
  Tensor take();

 private:
  Tensor values_;  // undefined while they are under way
  Shape shape_;
  DType dtype_;
  std::unique_ptr<cuda::Fetch> fetch_;
};

}  // namespace tensor
