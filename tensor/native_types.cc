#include "tensor/native_types.h"

#include "tensor/cpu/packed_gemm.h"

namespace tensor {

bool has_native_products(DType type, Device device) {
  if (type == DType::f32 || type == DType::f64) return true;
  return type == DType::bf16 && device.is_cpu() && cpu::has_packed_gemm<bf16>();
}

}  // namespace tensor
