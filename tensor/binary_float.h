// Floating-point numbers as their bits, for host and device code: what has to be right for subnormal numbers where a
// kernel's arithmetic takes them for 0 (FlushDenormals in tensor/thread_pool.h).
#pragma once

#include <cstdint>

#include "tensor/half.h"

namespace tensor::internal {

// T's bits, the number of those of the fraction, and the least subnormal number, which f64 can hold but not
// use: its power of two is given.
template <class T>
struct Binary;
template <>
struct Binary<float> {
  using Bits = uint32_t;
  static constexpr int kFraction = 23, kLeastPower = -149;
};
template <>
struct Binary<double> {
  using Bits = uint64_t;
  static constexpr int kFraction = 52, kLeastPower = -1074;
};

template <class T>
constexpr typename Binary<T>::Bits sign_bit = typename Binary<T>::Bits{1} << (8 * sizeof(T) - 1);

template <class T>
IMGCAP_HOST_DEVICE bool is_zero(T x) {
  return (bits_as<typename Binary<T>::Bits>(x) & ~sign_bit<T>) == 0;
}

template <class T>
IMGCAP_HOST_DEVICE bool is_subnormal(T x) {
  using Bits = typename Binary<T>::Bits;
  constexpr Bits least_normal = Bits{1} << Binary<T>::kFraction;
  const Bits magnitude = bits_as<Bits>(x) & ~sign_bit<T>;
  return magnitude - 1 < least_normal - 1;  // 0 - 1 is the greatest of all
}

// A float's value, subnormal or not.
IMGCAP_HOST_DEVICE inline double widened(float x) {
  if (!is_subnormal(x)) return static_cast<double>(x);
  const auto bits = bits_as<uint32_t>(x);
  const double magnitude = static_cast<double>(bits & ~sign_bit<float>) * 0x1p-149;
  return (bits & sign_bit<float>) != 0 ? -magnitude : magnitude;
}

// Whether the nearest float may be subnormal: x is not 0 and below the least normal float.
IMGCAP_HOST_DEVICE inline bool narrows_to_subnormal(double x) {
  const uint64_t magnitude = bits_as<uint64_t>(x) & ~sign_bit<double>;
  return magnitude - 1 < bits_as<uint64_t>(0x1p-126) - 1;
}

// The nearest float, ties to even, subnormal or not.
IMGCAP_HOST_DEVICE inline float narrowed(double x) {
  if (!narrows_to_subnormal(x)) return static_cast<float>(x);
  const uint64_t bits = bits_as<uint64_t>(x), sign = bits & sign_bit<double>;
  // Below 2^-149 a unit of the sum below is one of the least float; a subnormal x, taken for 0, is far below
  // it.
  const double rounded = bits_as<double>(bits ^ sign) * 0x1p149 + 0x1p52;
  return bits_as<float>(static_cast<uint32_t>(bits_as<uint64_t>(rounded)) |
                        static_cast<uint32_t>(sign >> 32));
}

}  // namespace tensor::internal
