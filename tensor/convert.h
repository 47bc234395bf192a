// One element of one type as one of another, for host and device code.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tensor/binary_float.h"
#include "tensor/half.h"

namespace tensor::internal {

template <class T>
constexpr bool is_half_type = std::is_same_v<T, f16> || std::is_same_v<T, bf16>;

// As a double, or, past 2^53, one that rounds to 16 bits as the integer does.
IMGCAP_HOST_DEVICE inline double odd_double(int64_t value) {
  if (value > -(int64_t{1} << 53) && value < int64_t{1} << 53) return static_cast<double>(value);
  return static_cast<double>(value >> 10 | ((value & 1023) != 0 ? 1 : 0)) * 1024;
}

// Rounded once, to nearest; what is not 0 is true. A number that does not fit an integer type gives any.
template <class To, class From>
IMGCAP_HOST_DEVICE To convert(From value) {
  if constexpr (std::is_same_v<To, From>)
    return value;
  else if constexpr (is_half_type<From> && std::is_same_v<To, bool>)
    return (value.bits & 0x7fffu) != 0;
  else if constexpr (is_half_type<From> && std::is_same_v<To, double>)
    return static_cast<double>(value);
  else if constexpr (is_half_type<From>)
    return convert<To>(static_cast<float>(value));
  else if constexpr (is_half_type<To> && std::is_floating_point_v<From>)
    return To(value);
  else if constexpr (is_half_type<To> && std::is_same_v<From, int64_t>)
    return To(odd_double(value));
  else if constexpr (is_half_type<To>)
    return To(static_cast<double>(value));
  else if constexpr (std::is_floating_point_v<From> && std::is_same_v<To, bool>)
    return !is_zero(value);
  else if constexpr (std::is_same_v<To, double> && std::is_same_v<From, float>)
    return widened(value);
  else if constexpr (std::is_same_v<To, float> && std::is_same_v<From, double>)
    return narrowed(value);
  else if constexpr (std::is_same_v<To, bool>)
    return value != From(0);
  else
    return static_cast<To>(value);
}

}  // namespace tensor::internal
