// How kernels walk over tensors with any strides: dimensions are merged (tensor/merged_dims.h), and each thread works out
// where its elements are. For .cu files.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <cstdint>

#include "tensor/merged_dims.h"

namespace tensor::cuda {

// Where an element is in each of N operands, in elements from their first ones.
template <int N>
struct Offsets {
  int64_t at[N];
};

// Passed to a kernel by value.
template <int N>
struct Strided {
  int64_t numel = 1;
  int rank;
  bool narrow;  // 32 bits are enough to count the elements: divisions of 64 bits take several times as long
  int64_t sizes[kMaxRank] = {};
  int64_t strides[N][kMaxRank] = {};

  // The operands' strides seen as `shape` (broadcast_strides).
  Strided(const Shape& shape, const std::array<Shape, N>& all) {
    const MergedDims<N> merged(shape, all);
    rank = merged.shape.rank();
    for (int d = 0; d < rank; ++d) {
      numel *= sizes[d] = merged.shape[d];
      for (int k = 0; k < N; ++k) strides[k][d] = merged.strides[static_cast<size_t>(k)][d];
    }
    narrow = numel <= INT32_MAX;
  }

  // Whether all operands lie in the order of the elements, without gaps: element i is at i.
  bool contiguous() const {
    bool dense = rank == 1;
    for (int k = 0; k < N; ++k) dense = dense && (strides[k][0] == 1 || numel <= 1);
    return dense;
  }

  // How many different elements operand k has: one of stride 0 is one.
  int64_t distinct(int k) const {
    int64_t count = 1;
    for (int d = 0; d < rank; ++d) count *= strides[k][d] == 0 ? 1 : sizes[d];
    return count;
  }

  // The bytes of operand k, elements that are met more than once counted once.
  double bytes(int k, size_t element) const {
    double bytes = static_cast<double>(element);
    for (int d = 0; d < rank; ++d)
      if (strides[k][d] != 0) bytes *= static_cast<double>(sizes[d]);
    return bytes;
  }

  // Of element i, counted in row-major order.
  __device__ Offsets<N> offsets(int64_t i) const {
    return narrow ? walk(static_cast<uint32_t>(i)) : walk(static_cast<uint64_t>(i));
  }

 private:
  template <class Index>
  __device__ Offsets<N> walk(Index rest) const {
    Offsets<N> offsets{};
    for (int d = rank - 1; d > 0; --d) {
      const Index size = static_cast<Index>(sizes[d]), left = rest / size;
      const auto at = static_cast<int64_t>(rest - left * size);
      for (int k = 0; k < N; ++k) offsets.at[k] += at * strides[k][d];
      rest = left;
    }
    for (int k = 0; k < N; ++k) offsets.at[k] += static_cast<int64_t>(rest) * strides[k][0];
    return offsets;
  }
};

}  // namespace tensor::cuda
