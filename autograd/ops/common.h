// What the files of ops/ share.
#pragma once

#include <initializer_list>
#include <type_traits>

#include "autograd/autocast.h"
#include "autograd/ops.h"
#include "tensor/error.h"

namespace autograd {

using tensor::check;

// A new tensor of x's type and device.
inline Tensor empty_like(const Tensor& x, const Shape& shape) {
  return Tensor::empty(shape, x.dtype(), x.device());
}

// A 0-dimensional constant that broadcasts.
inline Tensor constant(double value, const Tensor& like) {
  return Tensor::full({}, value, like.dtype(), like.device());
}

// x / divisor (arithmetic.cc).
Tensor divided(const Tensor& x, double divisor);

// Throws unless all inputs are defined, of one floating type, and on one device.
inline void expect_floats(const char* op, std::initializer_list<const Variable*> inputs) {
  const Tensor& first = (*inputs.begin())->data();
  check(tensor::is_floating(first.dtype()), ErrorKind::dtype, "{}: a floating type is needed, not {}", op,
        tensor::describe(first));
  for (const Variable* input : inputs) {
    check(input->dtype() == first.dtype(), ErrorKind::dtype,
          "{}: {} and {} do not mix; convert one with to()", op, tensor::describe(first),
          tensor::describe(input->data()));
    expect_same_device(first, input->data(), op);
  }
}

// Throws unless all of `others`, variables and tensors, are where `first` is; undefined ones do not count.
template <class... Others>
void expect_one_device(const char* op, const Variable& first, const Others&... others) {
  const auto expect = [&](const auto& other) {
    if (!other.defined()) return;
    if constexpr (std::is_same_v<std::decay_t<decltype(other)>, Variable>)
      expect_same_device(first.data(), other.data(), op);
    else
      expect_same_device(first.data(), other, op);
  };
  (expect(others), ...);
}

}  // namespace autograd
