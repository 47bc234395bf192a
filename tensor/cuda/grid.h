// Grids of one thread for each piece of the work. For .cu files.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace tensor::cuda {

inline constexpr unsigned kThreads = 256;  // of a block, where a kernel has no reason for another number

// For n pieces; those of the last block that are too many have nothing to do. One block at least.
inline dim3 grid_of(int64_t n) {
  const int64_t blocks = (n + kThreads - 1) / kThreads;
  return dim3(static_cast<unsigned>(blocks > 1 ? blocks : 1));
}

// The piece of this thread.
__device__ inline int64_t thread_index() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

}  // namespace tensor::cuda
