// The two 16-bit floats, for host and device code.
#pragma once

#include <cstdint>

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

// A double in a binary format of `mantissa` stored bits whose exponents have `bias` and end at 2 bias + 1.
template <int mantissa, int bias>
IMGCAP_HOST_DEVICE constexpr uint16_t round_double(double value) {
  const auto x = bits_as<uint64_t>(value);
  const auto sign = static_cast<uint16_t>(x >> 48 & 0x8000u);
  const auto exponent = static_cast<int>(x >> 52 & 0x7ff) - 1023 + bias;
  const uint64_t fraction = x & ((uint64_t{1} << 52) - 1);
  constexpr unsigned infinity = (2u * bias + 1) << mantissa;
  if ((x >> 52 & 0x7ff) == 0x7ff) {
    const unsigned nan = 1u << (mantissa - 1) | static_cast<unsigned>(fraction >> (52 - mantissa));
    return static_cast<uint16_t>(sign | infinity | (fraction ? nan : 0));
  }
  if (exponent > 2 * bias) return static_cast<uint16_t>(sign | infinity);
  const int shift = 52 - mantissa + (exponent > 0 ? 0 : 1 - exponent);
  if (shift > 53) return sign;  // below half of the least subnormal
  const uint64_t significand = fraction | uint64_t{1} << 52, half = uint64_t{1} << (shift - 1);
  const uint64_t rest = significand & ((half << 1) - 1);
  uint64_t kept = significand >> shift;
  if (rest > half || (rest == half && (kept & 1))) ++kept;  // may carry into the exponent, up to infinity
  const int below = exponent > 0 ? exponent - 1 : 0;        // a normal number's leading bit adds the last one
  return static_cast<uint16_t>(sign | ((static_cast<unsigned>(below) << mantissa) + kept));
}

}  // namespace internal

// IEEE 754 binary16: 5 bits of exponent, 10 of fraction; greatest 65504, least normal 2^-14, least 2^-24.
struct f16 {
  uint16_t bits;
  f16() = default;  // leaves bits as they are, like float: what __shared__ arrays need
  IMGCAP_HOST_DEVICE explicit f16(float value) : bits(from_float(value)) {}
  IMGCAP_HOST_DEVICE explicit f16(double value) : bits(internal::round_double<10, 15>(value)) {}
  IMGCAP_HOST_DEVICE explicit operator float() const { return to_float(bits); }
  // Through a float, in which every f16 is a normal number.
  IMGCAP_HOST_DEVICE explicit operator double() const { return static_cast<double>(to_float(bits)); }

  IMGCAP_HOST_DEVICE static uint16_t from_float(float value) {
    const uint32_t x = internal::bits_as<uint32_t>(value);
    const uint32_t sign = (x >> 16) & 0x8000u;
    const uint32_t magnitude = x & 0x7fffffffu;
    if (magnitude > 0x7f800000u)  // NaN
      return static_cast<uint16_t>(sign | 0x7e00u | (magnitude >> 13 & 0x1ffu));
    if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // rounds to infinity
    if (magnitude >= 0x38800000u) {                                              // normal
      const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
      return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
    }
    if (magnitude < 0x33000000u) return static_cast<uint16_t>(sign);  // below half of the least subnormal
    const uint32_t exponent = magnitude >> 23;
    const uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    const uint32_t shift = 126 - exponent;  // 14..24
    const uint32_t half = 1u << (shift - 1);
    const uint32_t rest = mantissa & ((1u << shift) - 1);
    uint32_t value16 = mantissa >> shift;
    if (rest > half || (rest == half && (value16 & 1u))) ++value16;
    return static_cast<uint16_t>(sign | value16);
  }

  IMGCAP_HOST_DEVICE static float to_float(uint16_t h) {
    const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
    const uint32_t exponent = (h >> 10) & 0x1fu;
    const uint32_t mantissa = h & 0x3ffu;
    if (exponent == 0x1f)
      return internal::bits_as<float>(sign | 0x7f800000u | (mantissa << 13) | (mantissa ? 0x400000u : 0u));
    if (exponent != 0) return internal::bits_as<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
    const float subnormal = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -subnormal : subnormal;
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
  IMGCAP_HOST_DEVICE explicit bf16(double value) : bits(internal::round_double<7, 127>(value)) {}
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
