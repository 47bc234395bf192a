// Indices that only a device can read, for .cu files: driver/bad_index.h says what comes of bad ones.
#pragma once

#include <cuda_runtime.h>

#include "tensor/cuda/driver/bad_index.h"

namespace tensor::cuda {

__device__ inline void leave_note(const IndexCheck& check, unsigned long long index,
                                  unsigned long long position) {
  BadIndexNote* note = check.note;
  for (bool done = false; !done;)
    if (atomicCAS(&note->lock, 0u, 1u) == 0) {
      __threadfence();
      const unsigned long long of = atomicAdd(&note->launch, 0ull);
      if (of == 0 || (of == check.launch && position < atomicAdd(&note->position, 0ull))) {
        atomicExch(&note->launch, check.launch);
        atomicExch(&note->position, position);
        atomicExch(&note->index, index);
      }
      __threadfence();
      atomicExch(&note->lock, 0u);
      done = true;
    }
}

// Whether the index at `position` is one of [0, size). Of others a note is left.
__device__ inline bool is_good(const IndexCheck& check, int64_t index, int64_t size, int64_t position) {
  if (index >= 0 && index < size) return true;
  leave_note(check, static_cast<unsigned long long>(index), static_cast<unsigned long long>(position));
  return false;
}

}  // namespace tensor::cuda
