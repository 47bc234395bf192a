// The two 16-bit floats, for host and device code.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tensor/host_device.h"

namespace tensor {

// The two 16-bit floats are for storage: their values are converted to float, computed in float and rounded
// once. All conversions are exact or round to nearest, ties to even, once; subnormals, infinities and the
// sign of zero are kept, too large becomes infinity, a NaN becomes a quiet NaN with the upper bits of its
// payload. They use integers only, so that flush-to-zero (thread_pool.h) does not change them.
namespace internal {

// std::bit_cast, which a device compiler does not call.
template <class To, class From>
IMGCAP_HOST_DEVICE constexpr To bits_as(From value) {
  static_assert(sizeof(To) == sizeof(From));
  return __builtin_bit_cast(To, value);
}

// A float or double in a binary format of `mantissa` stored bits whose exponents have `bias`, less than its
// own, and end at 2 bias + 1.
template <int mantissa, int bias, class From>
IMGCAP_HOST_DEVICE constexpr uint16_t rounded(From value) {
  constexpr bool wide = sizeof(From) == 8;
  using Bits = std::conditional_t<wide, uint64_t, uint32_t>;
  constexpr int from_mantissa = wide ? 52 : 23, from_bias = wide ? 1023 : 127, special = 2 * from_bias + 1;
  constexpr unsigned infinity = (2u * bias + 1) << mantissa;
  const auto x = bits_as<Bits>(value);
  const auto sign = static_cast<uint16_t>(x >> (wide ? 48 : 16) & 0x8000u);
  const auto stored = static_cast<int>(x >> from_mantissa & static_cast<Bits>(special));
  const Bits fraction = x & ((Bits{1} << from_mantissa) - 1);
  if (stored == special) {
    const unsigned nan = 1u << (mantissa - 1) | static_cast<unsigned>(fraction >> (from_mantissa - mantissa));
    return static_cast<uint16_t>(sign | infinity | (fraction ? nan : 0));
  }
  const int exponent = stored - from_bias + bias;
  if (exponent > 2 * bias) return static_cast<uint16_t>(sign | infinity);
  const int shift = from_mantissa - mantissa + (exponent > 0 ? 0 : 1 - exponent);
  if (shift > from_mantissa + 1) return sign;  // below half of the least subnormal
  const Bits significand = fraction | Bits{1} << from_mantissa, half = Bits{1} << (shift - 1);
  const Bits rest = significand & ((half << 1) - 1);
  Bits kept = significand >> shift;
  if (rest > half || (rest == half && (kept & 1))) ++kept;  // may carry into the exponent, up to infinity
  const int below = exponent > 0 ? exponent - 1 : 0;        // a normal number's leading bit adds the last one
  return static_cast<uint16_t>(sign | ((static_cast<unsigned>(below) << mantissa) + kept));
}

}  // namespace internal

// IEEE 754 binary16: 5 bits of exponent, 10 of fraction; greatest 65504, least normal 2^-14, least 2^-24.
struct f16 {
  uint16_t bits;
  f16() = default;  // leaves bits as they are, like float: what __shared__ arrays need
  IMGCAP_HOST_DEVICE explicit f16(float value) : bits(internal::rounded<10, 15>(value)) {}
  IMGCAP_HOST_DEVICE explicit f16(double value) : bits(internal::rounded<10, 15>(value)) {}
  IMGCAP_HOST_DEVICE explicit operator float() const {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
    const uint32_t exponent = (bits >> 10) & 0x1fu, mantissa = bits & 0x3ffu;
    if (exponent == 0x1f)
      return internal::bits_as<float>(sign | 0x7f800000u | (mantissa << 13) | (mantissa ? 0x400000u : 0u));
    if (exponent != 0) return internal::bits_as<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
    const float subnormal = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -subnormal : subnormal;
  }
  // Through a float, in which every f16 is a normal number.
  IMGCAP_HOST_DEVICE explicit operator double() const {
    return static_cast<double>(static_cast<float>(*this));
  }
};

// bfloat16: the upper half of a float; 8 bits of exponent, 7 of fraction. Its subnormals (below 2^-126) are
// subnormal floats, too: conversions keep them, but arithmetic, which flushes those, takes them for zero.
struct bf16 {
  uint16_t bits;
  bf16() = default;  // like f16's
  IMGCAP_HOST_DEVICE explicit bf16(float value) {
    const uint32_t x = internal::bits_as<uint32_t>(value);
    bits = (x & 0x7fffffffu) > 0x7f800000u ? static_cast<uint16_t>((x >> 16) | 0x40u)
                                           : static_cast<uint16_t>((x + 0x7fffu + ((x >> 16) & 1u)) >> 16);
  }
  IMGCAP_HOST_DEVICE explicit bf16(double value) : bits(internal::rounded<7, 127>(value)) {}
  IMGCAP_HOST_DEVICE explicit operator float() const {
    const bool is_nan = (bits & 0x7fffu) > 0x7f80u;
    return internal::bits_as<float>(static_cast<uint32_t>(bits | (is_nan ? 0x40u : 0u)) << 16);
  }
  IMGCAP_HOST_DEVICE explicit operator double() const {
    if ((bits & 0x7f80u) != 0) return static_cast<double>(static_cast<float>(*this));
    const double subnormal = static_cast<double>(bits & 0x7fu) * 0x1p-133;  // a float would be flushed
    return bits & 0x8000u ? -subnormal : subnormal;
  }
};

}  // namespace tensor
