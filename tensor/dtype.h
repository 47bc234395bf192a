// Element types, the two 16-bit floats, and the dispatch from a run-time type to a template argument.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

#include "tensor/error.h"

namespace tensor {

enum class DType : uint8_t { f32, f64, f16, bf16, i32, i64, u8, boolean };

// IEEE 754 binary16. Conversion from float rounds to nearest even; subnormals, infinities and NaN are kept.
struct f16 {
  uint16_t bits = 0;
  f16() = default;
  explicit f16(float value) : bits(from_float(value)) {}
  explicit operator float() const { return to_float(bits); }

  static uint16_t from_float(float value) {
    const uint32_t x = std::bit_cast<uint32_t>(value);
    const uint32_t sign = (x >> 16) & 0x8000u;
    const uint32_t magnitude = x & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);   // NaN
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

  static float to_float(uint16_t h) {
    const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
    const uint32_t exponent = (h >> 10) & 0x1fu;
    const uint32_t mantissa = h & 0x3ffu;
    if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
    if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
    const float subnormal = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -subnormal : subnormal;
  }
};

// bfloat16: the upper half of a float, rounded to nearest even.
struct bf16 {
  uint16_t bits = 0;
  bf16() = default;
  explicit bf16(float value) {
    const uint32_t x = std::bit_cast<uint32_t>(value);
    bits = (x & 0x7fffffffu) > 0x7f800000u ? static_cast<uint16_t>((x >> 16) | 0x40u)
                                           : static_cast<uint16_t>((x + 0x7fffu + ((x >> 16) & 1u)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

template <class T>
struct dtype_of;
// clang-format off
template <> struct dtype_of<float> { static constexpr DType value = DType::f32; };
template <> struct dtype_of<double> { static constexpr DType value = DType::f64; };
template <> struct dtype_of<f16> { static constexpr DType value = DType::f16; };
template <> struct dtype_of<bf16> { static constexpr DType value = DType::bf16; };
template <> struct dtype_of<int32_t> { static constexpr DType value = DType::i32; };
template <> struct dtype_of<int64_t> { static constexpr DType value = DType::i64; };
template <> struct dtype_of<uint8_t> { static constexpr DType value = DType::u8; };
template <> struct dtype_of<bool> { static constexpr DType value = DType::boolean; };
// clang-format on

int64_t size_of(DType dtype);           // bytes an element
std::string_view name_of(DType dtype);  // "f32"
inline bool is_floating(DType dtype) { return dtype <= DType::bf16; }

// Calls f.template operator()<T>() with T float or double; every other type is a dtype error that begins with
// `op`.
template <class F>
decltype(auto) dispatch_float(DType dtype, std::string_view op, F&& f) {
  switch (dtype) {
    case DType::f32:
      return f.template operator()<float>();
    case DType::f64:
      return f.template operator()<double>();
    default:
      fail(ErrorKind::dtype, "{}: f32 or f64 is needed, not {}", op, name_of(dtype));
  }
}

// The same for the arithmetic types f32, f64, i32, i64, u8.
template <class F>
decltype(auto) dispatch_number(DType dtype, std::string_view op, F&& f) {
  switch (dtype) {
    case DType::i32:
      return f.template operator()<int32_t>();
    case DType::i64:
      return f.template operator()<int64_t>();
    case DType::u8:
      return f.template operator()<uint8_t>();
    default:
      return dispatch_float(dtype, op, std::forward<F>(f));
  }
}

// The same for every type.
template <class F>
decltype(auto) dispatch_any(DType dtype, std::string_view op, F&& f) {
  switch (dtype) {
    case DType::f16:
      return f.template operator()<f16>();
    case DType::bf16:
      return f.template operator()<bf16>();
    case DType::boolean:
      return f.template operator()<bool>();
    default:
      return dispatch_number(dtype, op, std::forward<F>(f));
  }
}

}  // namespace tensor
