// Is a backward pass the derivative of its forward pass? Compares it with central differences in float64, for
// any callable: an op, a layer, a whole model.
//
//   Variable x(random_tensor, /*requires_grad=*/true);  // f64
//   auto result = gradcheck([](const Variables& in) { return Variables{my_op(in[0])}; }, {x});
//   if (!result.ok) std::puts(result.message.c_str());
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "autograd/variable.h"

namespace autograd {

struct GradcheckOptions {
  double eps = 1e-6;  // the step of the differences, in each direction
  // Wrong where |analytic - numeric| > atol + rtol |numeric|. The defaults are PyTorch's.
  double atol = 1e-5, rtol = 1e-3;
  // Compares v^T J u for one pair of random unit vectors for each output and input, with J the Jacobian: two
  // calls and one backward instead of one for each element. A failure is then looked up element by element.
  bool fast = false;
  uint64_t seed = 0;  // of the random vectors
};

struct GradcheckResult {
  bool ok = true;
  // On failure: the output's and the input's number, the worst element's index in both, its analytic and its
  // numeric value, and how many are wrong.
  std::string message;
  double worst_error = 0;  // the greatest |analytic - numeric| that was seen

  explicit operator bool() const { return ok; }
};

using GradcheckFunction = std::function<Variables(const Variables&)>;

// Checks every output of `f` against every input that requires a gradient. `f` may also use the inputs by
// capturing them (a layer its parameters): they are changed in place by eps and put back. A call that gives
// other bits the second time is a failure: fix its random numbers. Points where f has a kink or a jump within
// eps fail rightly; choose others. Inputs may be views, but must not have several indices for one element
// (expand).
//
// Errors: dtype (an input that requires a gradient, or an output, is not f64: float32 has too few digits for
// differences), argument (no input requires a gradient, an expanded input).
GradcheckResult gradcheck(const GradcheckFunction& f, const Variables& inputs,
                          const GradcheckOptions& options = {});

// The same for the second derivative: checks the gradients of f, computed with create_graph, against their
// own differences, with respect to the inputs and to `gradients`, those of the outputs (random when left
// out). Errors: autograd (a fused op that can be differentiated once only).
GradcheckResult gradgradcheck(const GradcheckFunction& f, const Variables& inputs,
                              const Variables& gradients = {}, const GradcheckOptions& options = {});

}  // namespace autograd
