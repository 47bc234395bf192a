// Which types a device multiplies by instructions of its own.
#pragma once

#include "tensor/device.h"
#include "tensor/dtype.h"

namespace tensor {

// True for f32 and f64; on the CPU for bf16 where the processor has AVX512-BF16 or AMX and oneDNN is there to use
// them. Products of other 16-bit operands are emulated: exact in f32 where one multiplies, with f32 sums, as in
// the others, and no faster than f32.
bool has_native_products(DType type, Device device = {});

}  // namespace tensor
