#include "tensor/cuda/device.h"
#include "tensor/cuda/launch.h"
#include "tests/emulation/simple_kernels.h"

namespace tests {
namespace {

__global__ void add_one(float* out, const float* x, int64_t n) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < n) out[i] = x[i] + 1;
}

__global__ void reverse_block(float* out, const float* x) {
  IMGCAP_SHARED(float, tile, [256]);
  const unsigned t = threadIdx.x;
  tile[t] = x[blockIdx.x * blockDim.x + t];
  __syncthreads();
  out[blockIdx.x * blockDim.x + t] = tile[blockDim.x - 1 - t];
}

__global__ void sum_warp(float* out, const float* x) {
  float sum = x[threadIdx.x];
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_down_sync(0xffffffffu, sum, lanes);
  if (threadIdx.x == 0) *out = sum;
}

}  // namespace

void launch_add_one(const tensor::cuda::Launch& launch, float* out, const float* x, int64_t n) {
  tensor::cuda::launch(launch, add_one, out, x, n);
}
void launch_reverse_block(const tensor::cuda::Launch& launch, float* out, const float* x) {
  tensor::cuda::launch(launch, reverse_block, out, x);
}
void launch_sum_warp(const tensor::cuda::Launch& launch, float* out, const float* x) {
  tensor::cuda::launch(launch, sum_warp, out, x);
}

}  // namespace tests
