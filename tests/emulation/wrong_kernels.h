// Kernels with one mistake each, which the emulated device has to find, and the same without it.
#pragma once

#include <cstdint>

#include "tensor/cuda/launch.h"

namespace tests {

// Each is launched on `stream` of the launch's device; the result is that of the launch.
struct WrongKernels {
  const tensor::cuda::Launch& launch;
  cudaStream_t stream;
  bool right;  // the kernel without the mistake

  // out[i] = x[n - 1 - i] within a block, through shared memory. Mistake: no barrier between.
  cudaError_t missing_barrier(float* out, const float* x);
  // out[i] = 2 x[i], i < n. Mistake: i <= n.
  cudaError_t wrong_bound(float* out, const float* x, int64_t n);
  // out[block] = sum of 64 numbers, halved in shared memory. Mistake: the upper half adds, too.
  cudaError_t race_in_shared(float* out, const float* x);
  // out[0] = the number of the last block that wrote. Mistake: all do, not only block 0.
  cudaError_t race_between_blocks(float* out);
  // out[i] = x[i] by packs of 4. Mistake: the packs start at x + 1.
  cudaError_t misaligned(float* out, const float* x);
  // out[0] = x[0]
  cudaError_t first(float* out, const float* x);
  // out[i] = i, i < n. Mistake: the last one is left out.
  cudaError_t unwritten(float* out, int64_t n);
  // bytes[i * stride] = 1 by block i alone. Mistake: the product has 32 bits.
  cudaError_t index_of_32_bits(unsigned char* bytes, int64_t stride);
  // out[t] = t, and half of the threads wait for the block. Mistake: the other half does not.
  cudaError_t divergent_barrier(float* out);
  // out[t] = the next lane's number. Mistake: lanes from 16 do not take part.
  cudaError_t absent_lane(float* out);
  // out[t] = shared[t] which thread t wrote. Mistake: one more than the array has.
  cudaError_t behind_shared(float* out);
  // out[t] = shared[t]. Mistake: nobody wrote it.
  cudaError_t unwritten_shared(float* out);
  // out[t] = what another thread of the block has on its stack, through shared memory. Mistake: the address goes, not the value.
  cudaError_t other_stack(float* out);
  // out[t] = the next lane's number through shared memory. Mistake: no wait for the warp between.
  cudaError_t missing_syncwarp(float* out);
  // out[0] = the sum of 1s of all threads. Mistake: not by atomicAdd.
  cudaError_t race_of_sums(int* out);
  // out[i] = x[0]
  cudaError_t first_by_all(float* out, const float* x);
  // turns[t] = how many threads came before
  cudaError_t turns(int* turns, int* next);
  // out[0] = the sum of 1s in all of the dynamic shared memory, for which dynamic_shared(bytes) asks.
  cudaError_t sum_dynamic(int* out) const;
  cudaError_t dynamic_shared(int64_t bytes) const;
  // Arguments of 4096 bytes. Mistake: 4 more.
  cudaError_t large_argument();
  // Mistake: it does not end.
  cudaError_t recursion(int* out);
  // A product of ints that is too large for 31 bits. Mistake: it is computed in those.
  cudaError_t overflow(int64_t* out, int factor);
};

}  // namespace tests
