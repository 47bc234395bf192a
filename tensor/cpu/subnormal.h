// Subnormal numbers in kernels, whose arithmetic takes them for 0 (FlushDenormals in tensor/thread_pool.h):
// found and made as integers (tensor/binary_float.h). The library's log and pow give nonsense for them there, as
// they multiply them first.
#pragma once

#include <cmath>
#include <cstdint>

#include "tensor/binary_float.h"

namespace tensor::cpu {

// x, or a zero of its sign.
template <class T>
T flushed(T x) {
  using Bits = typename internal::Binary<T>::Bits;
  return internal::is_subnormal(x) ? internal::bits_as<T>(internal::bits_as<Bits>(x) & internal::sign_bit<T>)
                                   : x;
}

template <class T>
T exact_log(T x) {
  if (!internal::is_subnormal(x)) [[likely]]
    return std::log(x);
  using Bits = typename internal::Binary<T>::Bits;
  const auto bits = internal::bits_as<Bits>(x);
  if ((bits & internal::sign_bit<T>) != 0) return static_cast<T>(std::log(-1.0));  // NaN
  constexpr double kLn2 = 0.693147180559945309417;
  return static_cast<T>(std::log(static_cast<double>(bits)) + internal::Binary<T>::kLeastPower * kLn2);
}

}  // namespace tensor::cpu
