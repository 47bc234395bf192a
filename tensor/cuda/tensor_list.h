// One launch for many tensors: kernels get a list of them by value, and each block has a tile of one. For .cu
// files.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <cstdint>
#include <vector>

#include "tensor/cuda/device.h"
#include "tensor/cuda/grid.h"
#include "tensor/tensor.h"

namespace tensor::cuda {

inline constexpr int64_t kTile = kThreads * 64;  // elements; a thread takes 64 of them

inline int64_t tiles_of(const Tensor& x) { return (x.numel() + kTile - 1) / kTile; }

// A tile: elements [begin, begin + n) of tensor `k` of a list.
struct Tile {
  int k;
  int64_t begin, n;
};

// Contiguous tensors of one type, each with N - 1 others of its size that belong to it; tensor k's tiles begin at
// the launch's tile first[k]. 3 of the 4 KB that a kernel's arguments may have.
template <int N>
struct TensorList {
  static constexpr int kMost = 384 / (N + 2);

  int size = 0;
  std::byte* data[N][kMost];
  int64_t numel[kMost], first[kMost + 1] = {};

  int64_t tiles() const { return first[size]; }
  double elements() const {
    double sum = 0;
    for (int k = 0; k < size; ++k) sum += static_cast<double>(numel[k]);
    return sum;
  }
  void add(const Tensor& x, const std::array<std::byte*, N>& pointers) {
    for (size_t i = 0; i < N; ++i) data[i][size] = pointers[i];
    numel[size] = x.numel();
    first[size + 1] = first[size] + tiles_of(x);
    ++size;
  }

  // That of this block.
  __device__ Tile tile() const {
    const int64_t block = blockIdx.x;
    int k = 0;
    while (first[k + 1] <= block) ++k;
    const int64_t begin = (block - first[k]) * kTile;
    return {k, begin, min(kTile, numel[k] - begin)};
  }
  // Where it begins in each of the tensors.
  template <class T>
  __device__ T* start(int which, const Tile& tile) const {
    return reinterpret_cast<T*>(data[which][tile.k]) + tile.begin;
  }
};

// run(list, dtype, i) for lists that have all of `tensors`, in their order; i is the first one's number.
// pointers(i): the addresses of tensor i and of what belongs to it.
template <int N, class Pointers, class Run>
void for_each_list(const std::vector<Tensor>& tensors, Pointers pointers, Run run) {
  TensorList<N> list;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const DType dtype = tensors[i].dtype();
    list.add(tensors[i], pointers(i));
    const bool ends = i + 1 == tensors.size() || tensors[i + 1].dtype() != dtype;
    if (!ends && list.size < TensorList<N>::kMost) continue;
    if (list.tiles() > 0) run(list, dtype, i + 1 - static_cast<size_t>(list.size));
    list = {};
  }
}

// For tensors that are read alone; kernels read them as const.
inline std::array<std::byte*, 1> read_only(const Tensor& x) {
  return {const_cast<std::byte*>(x.device_raw())};
}

}  // namespace tensor::cuda
