// Element types and the dispatch from a run-time type to a template argument.
#pragma once

#include <cstdint>
#include <string_view>

#include "tensor/error.h"
#include "tensor/half.h"

namespace tensor {

enum class DType : uint8_t { f32, f64, f16, bf16, i32, i64, u8, boolean };

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

int64_t size_of(DType dtype);           // bytes per element
std::string_view name_of(DType dtype);  // "f32"
inline bool is_floating(DType dtype) { return dtype <= DType::bf16; }
inline bool is_half(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16; }

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

// The same for f32, f64, f16 and bf16.
template <class F>
decltype(auto) dispatch_floating(DType dtype, std::string_view op, F&& f) {
  switch (dtype) {
    case DType::f16:
      return f.template operator()<f16>();
    case DType::bf16:
      return f.template operator()<bf16>();
    default:
      return dispatch_float(dtype, op, std::forward<F>(f));
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
