// What CUDA's functions for the host have in common.
#pragma once

#include <mutex>

#include "tensor/cuda/emulation/cuda_api.h"
#include "tensor/cuda/emulation/streams.h"

namespace tensor::cuda::emulation {

// The calling thread's.
int current_device();

// Keeps what the thread's cudaGetLastError gives, and returns it.
cudaError_t keep_error(cudaError_t error);

// What a function of CUDA's does, alone, if the thread's device has no error that stays.
template <class F>
cudaError_t api_call(F&& call) {
  const std::lock_guard lock(api_mutex());
  if (const cudaError_t error = sticky_error(current_device())) return keep_error(error);
  return keep_error(call());
}

}  // namespace tensor::cuda::emulation
