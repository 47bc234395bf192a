// What the emulated device finds fault with.
#pragma once

#include <string>

#include "tensor/cuda/emulation/cuda_types.h"

namespace tensor::cuda::emulation {

// Of the work that runs: "softmax: cuda:0: TEXT", to stderr and for take_reports(). From now on that is the device's error.
void report(cudaError_t error, const std::string& text);

}  // namespace tensor::cuda::emulation
