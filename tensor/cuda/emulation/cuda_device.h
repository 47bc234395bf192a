// What kernels call, for include/cuda_runtime.h: indices, barriers, exchanges within a warp, integer atomics, and shared
// memory for tensor/cuda/device.h. Mathematical functions are the host's.
#pragma once

#include <math.h>

#include <bit>
#include <type_traits>

#include "tensor/cuda/emulation/cuda_types.h"
#include "tensor/cuda/emulation/exchange.h"

extern const uint3 threadIdx, blockIdx;
extern const dim3 blockDim, gridDim;
extern const int warpSize;

// Every thread of the block waits for all others. A thread that has ended, or waits elsewhere, is an error.
void __syncthreads();
// The lanes of `mask` wait for each other.
void __syncwarp(unsigned mask = 0xffffffffu);
// Writes before it are seen by other blocks before writes after it, which no kernel here relies on.
inline void __threadfence() {}

int atomicAdd(int* address, int value);
unsigned atomicAdd(unsigned* address, unsigned value);
unsigned long long atomicAdd(unsigned long long* address, unsigned long long value);
int atomicMin(int* address, int value);
unsigned atomicMin(unsigned* address, unsigned value);
long long atomicMin(long long* address, long long value);
unsigned long long atomicMin(unsigned long long* address, unsigned long long value);
int atomicMax(int* address, int value);
unsigned atomicMax(unsigned* address, unsigned value);
long long atomicMax(long long* address, long long value);
unsigned long long atomicMax(unsigned long long* address, unsigned long long value);
int atomicExch(int* address, int value);
unsigned atomicExch(unsigned* address, unsigned value);
unsigned long long atomicExch(unsigned long long* address, unsigned long long value);
int atomicOr(int* address, int value);
unsigned atomicOr(unsigned* address, unsigned value);
int atomicCAS(int* address, int expected, int value);
unsigned atomicCAS(unsigned* address, unsigned expected, unsigned value);
unsigned long long atomicCAS(unsigned long long* address, unsigned long long expected,
                             unsigned long long value);

namespace tensor::cuda::emulation {

// What the lanes of `mask` give is exchanged. For votes it is a bit, and each hears those of all lanes.
uint64_t exchange(Exchange how, unsigned mask, uint64_t given, int which, int width);

template <class T>
__forceinline__ T shuffled(Exchange how, unsigned mask, T value, int which, int width) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  return std::bit_cast<T>(static_cast<Bits>(exchange(how, mask, std::bit_cast<Bits>(value), which, width)));
}

// An array of a block's shared memory, found by its place in the source.
void* shared_array(const void* place, size_t bytes);
unsigned char* dynamic_shared_memory();

template <class A, class Place>
__forceinline__ A& shared(Place) {
  static const char place = 0;
  return *static_cast<A*>(shared_array(&place, sizeof(A)));
}

}  // namespace tensor::cuda::emulation

#define IMGCAP_SHARED(T, name, sizes) T(&name) sizes = ::tensor::cuda::emulation::shared<T sizes>([] {})
#define IMGCAP_DYNAMIC_SHARED(name) \
  unsigned char* const name = ::tensor::cuda::emulation::dynamic_shared_memory()

template <class T>
__forceinline__ T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
  return tensor::cuda::emulation::shuffled(tensor::cuda::emulation::Exchange::from_lane, mask, value, lane,
                                           width);
}
template <class T>
__forceinline__ T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  return tensor::cuda::emulation::shuffled(tensor::cuda::emulation::Exchange::from_below, mask, value,
                                           static_cast<int>(delta), width);
}
template <class T>
__forceinline__ T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  return tensor::cuda::emulation::shuffled(tensor::cuda::emulation::Exchange::from_above, mask, value,
                                           static_cast<int>(delta), width);
}
template <class T>
__forceinline__ T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  return tensor::cuda::emulation::shuffled(tensor::cuda::emulation::Exchange::from_xor, mask, value, lanes,
                                           width);
}
__forceinline__ unsigned __ballot_sync(unsigned mask, int predicate) {
  return static_cast<unsigned>(tensor::cuda::emulation::exchange(tensor::cuda::emulation::Exchange::votes,
                                                                 mask, predicate != 0, 0, 32));
}
__forceinline__ int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
__forceinline__ int __all_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) == mask;
}

template <class T>
__forceinline__ T __ldg(const T* address) {
  return *address;
}
__forceinline__ float rsqrtf(float x) { return 1.0f / sqrtf(x); }
__forceinline__ double rsqrt(double x) { return 1.0 / sqrt(x); }
__forceinline__ int __float_as_int(float x) { return std::bit_cast<int>(x); }
__forceinline__ float __int_as_float(int x) { return std::bit_cast<float>(x); }
__forceinline__ unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
__forceinline__ float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
__forceinline__ int __popc(unsigned x) { return std::popcount(x); }
__forceinline__ int __ffs(int x) { return __builtin_ffs(x); }
__forceinline__ int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }

// As in CUDA these are there without std::.
template <class T>
requires std::is_integral_v<T> __forceinline__ T min(T a, T b) { return b < a ? b : a; }
template <class T>
requires std::is_integral_v<T> __forceinline__ T max(T a, T b) { return a < b ? b : a; }
