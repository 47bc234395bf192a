// Kernels that compute in one type and read or write some tensors, their operands, in 16 bits as they are.
#pragma once

#include <string_view>
#include <type_traits>

#include "tensor/dtype.h"

namespace tensor {

// f.operator()<T, K>() with T, f32 or f64, the type that is computed in, and K that of the operands: T, or beside f32 a
// 16-bit type.
template <class F>
decltype(auto) dispatch_operands(DType type, DType operands, std::string_view op, F&& f) {
  return dispatch_float(type, op, [&]<class T>() {
    if constexpr (std::is_same_v<T, float>) {
      if (operands == DType::bf16) return f.template operator()<T, bf16>();
      if (operands == DType::f16) return f.template operator()<T, f16>();
    }
    return f.template operator()<T, T>();
  });
}

}  // namespace tensor
