// Kernels that work on rows, the last dimension of contiguous tensors: a row is the work of one warp, or of a
// block when it is long. For .cu files.
#pragma once

#include <cstdint>

#include "tensor/cuda/device.h"
#include "tensor/cuda/grid.h"

namespace tensor::cuda {

// The shape of a launch with threadIdx.x along a row and threadIdx.y along rows.
struct RowLaunch {
  dim3 grid, block;

  RowLaunch(int64_t rows, int64_t length) {
    constexpr int64_t kLong = 1024;  // elements that keep a warp busy no longer than a block's barriers
    block = length > kLong ? dim3(kThreads) : dim3(kWarp, kThreads / kWarp);
    grid = dim3(static_cast<unsigned>((rows + block.y - 1) / block.y));
  }
};

// The row of this thread; those of the last block may lie behind the last row.
__device__ inline int64_t row_index() { return static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y; }

// Packs of T in which a row of `length` can be read: rows begin at multiples of 16 bytes.
template <class T>
bool in_packs(int64_t length, std::initializer_list<const void*> tensors) {
  bool fits = length % kPack<T> == 0;
  for (const void* tensor : tensors) fits = fits && aligned(tensor);
  return fits;
}

}  // namespace tensor::cuda
