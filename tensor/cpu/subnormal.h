// Subnormal numbers in kernels, whose arithmetic takes them for 0 (FlushDenormals in tensor/thread_pool.h):
// found and made as integers. The library's log and pow give nonsense for them there, as they multiply them
// first.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

namespace tensor::cpu {

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
bool is_subnormal(T x) {
  using Bits = typename Binary<T>::Bits;
  constexpr Bits least_normal = Bits{1} << Binary<T>::kFraction;
  const Bits magnitude = std::bit_cast<Bits>(x) & ~sign_bit<T>;
  return magnitude - 1 < least_normal - 1;  // 0 - 1 is the greatest of all
}

// x, or a zero of its sign.
template <class T>
T flushed(T x) {
  using Bits = typename Binary<T>::Bits;
  return is_subnormal(x) ? std::bit_cast<T>(std::bit_cast<Bits>(x) & sign_bit<T>) : x;
}

template <class T>
T exact_log(T x) {
  if (!is_subnormal(x)) [[likely]]
    return std::log(x);
  using Bits = typename Binary<T>::Bits;
  const Bits bits = std::bit_cast<Bits>(x);
  if ((bits & sign_bit<T>) != 0) return static_cast<T>(std::log(-1.0));  // NaN
  constexpr double kLn2 = 0.693147180559945309417;
  return static_cast<T>(std::log(static_cast<double>(bits)) + Binary<T>::kLeastPower * kLn2);
}

// A float's value, subnormal or not.
inline double widened(float x) {
  if (!is_subnormal(x)) return static_cast<double>(x);
  const auto bits = std::bit_cast<uint32_t>(x);
  const double magnitude = static_cast<double>(bits & ~sign_bit<float>) * 0x1p-149;
  return (bits & sign_bit<float>) != 0 ? -magnitude : magnitude;
}

// Whether the nearest float may be subnormal: x is not 0 and below the least normal float.
inline bool narrows_to_subnormal(double x) {
  const uint64_t magnitude = std::bit_cast<uint64_t>(x) & ~sign_bit<double>;
  return magnitude - 1 < std::bit_cast<uint64_t>(0x1p-126) - 1;
}

// The nearest float, ties to even, subnormal or not.
inline float narrowed(double x) {
  if (!narrows_to_subnormal(x)) return static_cast<float>(x);
  const uint64_t bits = std::bit_cast<uint64_t>(x), sign = bits & sign_bit<double>;
  // Below 2^-149 a unit of the sum below is one of the least float; a subnormal x, taken for 0, is far below
  // it.
  const double rounded = std::bit_cast<double>(bits ^ sign) * 0x1p149 + 0x1p52;
  return std::bit_cast<float>(static_cast<uint32_t>(std::bit_cast<uint64_t>(rounded)) |
                              static_cast<uint32_t>(sign >> 32));
}

}  // namespace tensor::cpu
