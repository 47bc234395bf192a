// Elements as what has as many bits: kernels that only move them need no other types.
#pragma once

#include <cstdint>
#include <utility>

#include "tensor/dtype.h"

namespace tensor::cuda {

// Calls f.template operator()<Bits>() with an unsigned type of the size of `dtype`.
template <class F>
void dispatch_bits(DType dtype, F&& f) {
  switch (size_of(dtype)) {
    case 1:
      return f.template operator()<uint8_t>();
    case 2:
      return f.template operator()<uint16_t>();
    case 4:
      return f.template operator()<uint32_t>();
    default:
      return f.template operator()<uint64_t>();
  }
}

}  // namespace tensor::cuda
