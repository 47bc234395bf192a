// What the files of ops/ share.
#pragma once

#include "autograd/custom_op.h"
#include "autograd/ops.h"

namespace autograd {

using tensor::check;

// x / divisor (arithmetic.cc).
Tensor divided(const Tensor& x, double divisor);

}  // namespace autograd
