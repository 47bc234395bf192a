// Small right kernels.
#pragma once

#include "tensor/cuda/launch.h"

namespace tests {

void launch_add_one(const tensor::cuda::Launch& launch, float* out, const float* x, int64_t n);
void launch_reverse_block(const tensor::cuda::Launch& launch, float* out, const float* x);
void launch_sum_warp(const tensor::cuda::Launch& launch, float* out, const float* x);

}  // namespace tests
