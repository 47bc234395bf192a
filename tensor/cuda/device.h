// What kernels are written with: shared memory, packs of elements, exchanges within a warp and a block. The
// device's own functions are called here alone. For .cu files.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "tensor/half.h"

// An array in a block's shared memory: IMGCAP_SHARED(float, tile, [32][33]). The emulated device, whose
// cuda_runtime.h has macros of its own, bounds and watches it.
#ifndef IMGCAP_SHARED
#define IMGCAP_SHARED(T, name, sizes) __shared__ T name sizes
#define IMGCAP_DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
#endif

namespace tensor::cuda {

inline constexpr int kWarp = 32;
inline constexpr int kMaxWarps = 32;  // of a block

// The shared memory that the launch asked for (Launch::dynamic_shared), aligned to 16 bytes.
template <class T>
__device__ T* dynamic_shared() {
  IMGCAP_DYNAMIC_SHARED(bytes);
  return reinterpret_cast<T*>(bytes);
}

// N elements that are read and written at once.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  static_assert(sizeof(T) * N <= 16);
  T at[N];
};

// As many as 16 bytes hold.
template <class T>
inline constexpr int kPack = static_cast<int>(16 / sizeof(T));

// Whether packs of `bytes` may begin at an address.
IMGCAP_HOST_DEVICE inline bool aligned(const void* address, size_t bytes = 16) {
  return reinterpret_cast<uintptr_t>(address) % bytes == 0;
}

// The type that T is computed in.
template <class T>
using Computed = std::conditional_t<std::is_same_v<T, f16> || std::is_same_v<T, bf16>, float, T>;

// For device code, which cannot call numeric_limits.
template <class T>
inline constexpr T kInfinity = std::numeric_limits<T>::infinity();
template <class T>
inline constexpr T kNaN = std::numeric_limits<T>::quiet_NaN();

// The value of another lane, that whose number differs in the bits of `mask`. All 32 lanes of the warp call
// it. A struct has a member of that name.
template <class T>
__device__ T from_lane(const T& value, int mask) {
  if constexpr (std::is_arithmetic_v<T>)
    return __shfl_xor_sync(0xffffffffu, value, mask);
  else
    return value.from_lane(mask);
}

// The value of one of the lanes. All 32 lanes of the warp call it.
template <class T>
__device__ T of_lane(T value, int lane) {
  return __shfl_sync(0xffffffffu, value, lane);
}

// The value of the lane `distance` below, or its own where there is none. All 32 lanes of the warp call it.
template <class T>
__device__ T from_lane_below(T value, unsigned distance) {
  return __shfl_up_sync(0xffffffffu, value, distance);
}

// Bit i: what lane i says. All 32 lanes of the warp call it.
__device__ inline unsigned votes(bool vote) { return __ballot_sync(0xffffffffu, vote); }
// The number of the lowest bit that is set; there is one.
__device__ inline int lowest_bit(unsigned bits) { return __ffs(static_cast<int>(bits)) - 1; }

// join(...) of the values of a warp's lanes, left to right, for each of them. All 32 lanes of the warp call it;
// `join` is associative.
template <class T, class Join>
__device__ T join_warp(T value, Join join) {
  for (int mask = 1; mask < kWarp; mask *= 2) {
    const T other = from_lane(value, mask);
    value = (threadIdx.x & static_cast<unsigned>(mask)) != 0 ? join(other, value) : join(value, other);
  }
  return value;
}

// A row of threads is those of a block with one threadIdx.y: one warp, or all threads of the block. join(...) of
// their values, left to right, for each of them. All threads of the block call it; `join` is associative.
template <class T, class Join>
__device__ T join_row(T value, Join join) {
  IMGCAP_SHARED(T, warps, [kMaxWarps]);
  value = join_warp(value, join);
  if (blockDim.x == kWarp) return value;
  __syncthreads();  // what a former call left there has been read
  if (threadIdx.x % kWarp == 0) warps[threadIdx.x / kWarp] = value;
  __syncthreads();
  value = warps[0];
  for (unsigned w = 1; w < blockDim.x / kWarp; ++w) value = join(value, warps[w]);
  return value;
}

struct Add {
  template <class T>
  __device__ T operator()(const T& a, const T& b) const {
    return a + b;
  }
};

// The sum of the values of this thread and those before it in its row, which may be one warp or the block; `total`
// becomes that of the row. All threads of the block call it.
template <class T>
__device__ T scan_row(T value, T& total) {
  IMGCAP_SHARED(T, warps, [kMaxWarps]);
  const unsigned lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  for (unsigned distance = 1; distance < kWarp; distance *= 2) {
    const T before = from_lane_below(value, distance);
    if (lane >= distance) value = before + value;
  }
  const T of_warp = of_lane(value, kWarp - 1);
  if (blockDim.x == kWarp) {
    total = of_warp;
    return value;
  }
  __syncthreads();  // what a former call left there has been read
  if (lane == 0) warps[warp] = of_warp;
  __syncthreads();
  T before = 0;
  total = 0;
  for (unsigned w = 0; w < blockDim.x / kWarp; ++w) {
    if (w == warp) before = total;
    total += warps[w];
  }
  return before + value;
}

}  // namespace tensor::cuda
