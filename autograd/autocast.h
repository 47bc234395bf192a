// Mixed precision: inside a guard, ops compute in a 16-bit float where that is fast and safe, and in f32
// where it is not, whatever they are given. Parameters stay f32. As torch.autocast (Micikevicius et al.
// 2018):
//
//   Variable loss;
//   {
//     const AutocastGuard autocast(DType::bf16);
//     loss = model.loss(batch);
//   }
//   loss.backward();
//
// Three policies, applied by the public op before it records its node, so that the casts are part of the
// graph:
//   lower     matmul, linear, conv2d, lstm_cell, lstm_sequence, additive_attention
//   f32       exp, log, sqrt, pow, square, sum, mean, logsumexp, softmax, log_softmax, cross_entropy
//   promote   add, sub, mul, div, maximum, minimum, where, cat, stack: the widest type of the inputs
// All others compute in what they are given; batch_norm takes f32 parameters with 16-bit inputs. f64 is left
// alone everywhere. ops.h says what the recurrent ops return.
#pragma once

#include <initializer_list>
#include <optional>

#include "autograd/variable.h"

namespace autograd {

// Autocast to f16 or bf16 on this thread for the guard's lifetime; guards nest, the innermost one counts.
// A backward pass runs without it, on whatever types the forward pass had. f32 is no autocast, as
// torch.autocast(enabled=False) is: ops compute in what they are given, inside of an outer guard, too. So a
// training step needs no branch on its precision. Errors: dtype (another type).
class AutocastGuard {
 public:
  explicit AutocastGuard(DType dtype);
  // `const AutocastGuard exact = AutocastGuard::off();` where f32 is meant and not chosen.
  static AutocastGuard off() { return AutocastGuard(DType::f32); }
  ~AutocastGuard();
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  std::optional<DType> previous_;
};

// The type that `lower` ops compute in; empty (the default): no autocast on this thread.
std::optional<DType> autocast_dtype();

// --- for ops: the policies. Each gives its argument back when there is no autocast.

// f32 and 16-bit floats in the autocast type. The cast of a leaf that requires a gradient (a weight) is kept
// until the outermost guard ends, or the leaf is changed, so that a weight that is used at every time step is
// cast once; with gradients on and off once each.
Variable autocast_lower(const Variable& x);
// 16-bit floats in f32.
Variable autocast_f32(const Variable& x);
// The type that all can be cast to without loss: of f16 and bf16, f32. Empty when nothing has to be cast.
std::optional<DType> autocast_promoted(std::initializer_list<const Variable*> inputs);
std::optional<DType> autocast_promoted(const Variables& inputs);

// How many casts of weights this thread keeps: for tests.
int64_t autocast_cache_size();

}  // namespace autograd
