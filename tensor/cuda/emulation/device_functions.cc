// What kernels call (cuda_device.h).
#include "tensor/cuda/emulation/block.h"
#include "tensor/cuda/emulation/cuda_device.h"
#include "tensor/cuda/emulation/watch.h"

using namespace tensor::cuda::emulation;

void __syncthreads() { wait_for_block(__builtin_return_address(0)); }

void __syncwarp(unsigned mask) {
  exchange_in_warp(Exchange::nothing, mask, 0, 0, 32, __builtin_return_address(0));
}

namespace tensor::cuda::emulation {

uint64_t exchange(Exchange how, unsigned mask, uint64_t given, int which, int width) {
  return exchange_in_warp(how, mask, given, which, width, __builtin_return_address(0));
}

namespace {

template <class T, class F>
T changed(T* address, const void* place, F&& value) {
  touch(Touch::update, address, sizeof(T), true, place);
  const T old = *address;
  *address = value(old);
  return old;
}

}  // namespace
}  // namespace tensor::cuda::emulation

#define IMGCAP_ATOMIC(name, T, result)                                   \
  T name(T* address, T value) {                                          \
    return changed(address, __builtin_return_address(0),                 \
                   [&]([[maybe_unused]] T old) -> T { return result; }); \
  }
#define IMGCAP_ATOMICS(T)                                \
  IMGCAP_ATOMIC(atomicMin, T, old < value ? old : value) \
  IMGCAP_ATOMIC(atomicMax, T, value < old ? old : value)

IMGCAP_ATOMICS(int)
IMGCAP_ATOMICS(unsigned)
IMGCAP_ATOMICS(long long)
IMGCAP_ATOMICS(unsigned long long)
IMGCAP_ATOMIC(atomicAdd, unsigned, old + value)
IMGCAP_ATOMIC(atomicAdd, unsigned long long, old + value)
// Wraps around, as the device's does.
IMGCAP_ATOMIC(atomicAdd, int, static_cast<int>(static_cast<unsigned>(old) + static_cast<unsigned>(value)))
IMGCAP_ATOMIC(atomicExch, int, value)
IMGCAP_ATOMIC(atomicExch, unsigned, value)
IMGCAP_ATOMIC(atomicExch, unsigned long long, value)
IMGCAP_ATOMIC(atomicOr, int, old | value)
IMGCAP_ATOMIC(atomicOr, unsigned, old | value)

int atomicCAS(int* address, int expected, int value) {
  return changed(address, __builtin_return_address(0),
                 [&](int old) { return old == expected ? value : old; });
}
unsigned atomicCAS(unsigned* address, unsigned expected, unsigned value) {
  return changed(address, __builtin_return_address(0),
                 [&](unsigned old) { return old == expected ? value : old; });
}
unsigned long long atomicCAS(unsigned long long* address, unsigned long long expected,
                             unsigned long long value) {
  return changed(address, __builtin_return_address(0),
                 [&](unsigned long long old) { return old == expected ? value : old; });
}
