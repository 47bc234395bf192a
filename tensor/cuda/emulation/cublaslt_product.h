// The emulated cuBLASLt's arithmetic.
#pragma once

#include "tensor/cuda/emulation/cublaslt_problem.h"

namespace tensor::cuda::emulation {

struct Operands {
  const void *alpha, *beta;  // in the device's memory where the problem says so, else unused
  double alpha_value, beta_value;
  const void *a, *b, *c;
  void* d;
  void* workspace;
};

// Runs on the device, so to speak: called by the stream. All that it touches is shown to will_read and will_write,
// column by column: what lies between columns is neither read nor written.
void run_product(const Problem& problem, const Algorithm& algorithm, const Operands& operands);

}  // namespace tensor::cuda::emulation
