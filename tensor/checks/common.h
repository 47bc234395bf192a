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

// Of random numbers (DropoutMask).
inline void expect_origin(const Tensor& origin, const char* op) {
  check(origin.dtype() == DType::i64 && origin.shape() == Shape{2} && origin.is_contiguous(),
        ErrorKind::shape, "{}: the origin of random numbers has to be (2) i64 and contiguous, not {}", op,
        describe(origin));
}

}  // namespace tensor::checks
