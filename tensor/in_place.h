// Elementwise kernels whose output is one of their inputs, on any device.
#pragma once

#include "tensor/tensor.h"

namespace tensor {

// `x`, or a copy where writing `out` would change what is still to be read. The same elements in the same
// places are safe: each is read before it is written.
inline Tensor input_for(const Tensor& out, const Tensor& x) {
  if (!out.may_overlap(x)) return x;
  const bool in_place = out.shape() == x.shape() && out.strides() == x.strides() &&
                        out.offset() == x.offset() && out.dtype() == x.dtype();
  return in_place ? x : x.clone();
}

}  // namespace tensor
