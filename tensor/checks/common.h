// What the checks of kernels (kernels.h) share. They hold on every device and read no values.
#pragma once

#include <initializer_list>

#include "tensor/tensor.h"

namespace tensor::checks {

// The same element type once 16-bit floats are widened (widening.h).
inline bool same_type(const Tensor& a, const Tensor& b) {
  const auto wide = [](DType type) { return is_half(type) ? DType::f32 : type; };
  return wide(a.dtype()) == wide(b.dtype());
}

struct Named {
  const char* name;
  const Tensor& tensor;
};

inline void expect_contiguous(const char* op, std::initializer_list<Named> all) {
  for (const auto& [name, t] : all)
    check(t.is_contiguous(), ErrorKind::shape, "{}: {} {} must be contiguous", op, name, describe(t));
}

}  // namespace tensor::checks
