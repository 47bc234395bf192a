// Errors of the CUDA runtime API as ours.
#pragma once

#include <cuda_runtime.h>

#include "tensor/device.h"

namespace tensor::cuda {

// Errors: cuda ("OP: cuda:0: an illegal memory access was encountered"). One that a kernel has caused is said by every
// later call, too; IMGCAP_CUDA_CHECK=1 makes each launch wait, so that it is said first at the launch that did it.
void check_result(cudaError_t result, const char* op, Device device);

// Whether the environment has IMGCAP_CUDA_CHECK=1.
bool waits_after_each_launch();

}  // namespace tensor::cuda
