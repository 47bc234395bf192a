// Bounds on gradients. All throw an autograd error for gradients that still have a GradScaler's loss scale.
#pragma once

#include "autograd/variable.h"
#include "tensor/step_block.h"

namespace optim {

using autograd::Variables;

// The 2-norm of all gradients as one vector, summed in f64; parameters without a gradient count nothing.
double grad_norm(const Variables& parameters);

// min(1, max_norm / (norm + 1e-6)). Given to Optimizer::step as gradient_scale, it clips without a pass of its own.
using tensor::clip_coefficient;

// Scales the gradients so that their norm is at most max_norm; returns the norm before that. With
// `error_if_nonfinite` a norm that is inf or NaN is a data error and leaves the gradients alone; else it
// spoils them, as in PyTorch. Pascanu et al. 2013.
double clip_grad_norm_(const Variables& parameters, double max_norm, bool error_if_nonfinite = false);

// Clamps each element of the gradients to [-limit, limit].
void clip_grad_value_(const Variables& parameters, double limit);

}  // namespace optim
