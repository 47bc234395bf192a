// Looking for NaN and infinity in tensors.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace tensor {

// How many elements are NaN or infinite; 0 for integers. On the CPU.
int64_t count_non_finite(const Tensor& tensor);

// to.copy_(from), and whether all of it is finite. Each piece is looked at right after it was copied, while
// it is in the processor's cache, so that looking costs next to nothing.
bool copy_finite(Tensor& to, const Tensor& from);

}  // namespace tensor
