// The thread sanitizer's functions, which the compiler calls before each access of a kernel. There is none of its own library.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensor/cuda/emulation/watch.h"

using namespace tensor::cuda::emulation;

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_read(void**) {}
void __tsan_vptr_update(void**, void*) {}

#define IMGCAP_HOOK(name, how, size, aligned)                                              \
  void __tsan_##name##size(void* address) {                                                \
    if (in_kernel) touch(Touch::how, address, size, aligned, __builtin_return_address(0)); \
  }
#define IMGCAP_HOOK_OF_BOTH(name, size, aligned)                              \
  void __tsan_##name##size(void* address) {                                   \
    if (!in_kernel) return;                                                   \
    touch(Touch::read, address, size, aligned, __builtin_return_address(0));  \
    touch(Touch::write, address, size, aligned, __builtin_return_address(0)); \
  }
#define IMGCAP_HOOKS(size)                         \
  IMGCAP_HOOK(read, read, size, true)              \
  IMGCAP_HOOK(write, write, size, true)            \
  IMGCAP_HOOK(unaligned_read, read, size, false)   \
  IMGCAP_HOOK(unaligned_write, write, size, false) \
  IMGCAP_HOOK(volatile_read, read, size, true)     \
  IMGCAP_HOOK(volatile_write, write, size, true)   \
  IMGCAP_HOOK_OF_BOTH(read_write, size, true)      \
  IMGCAP_HOOK_OF_BOTH(unaligned_read_write, size, false)
IMGCAP_HOOKS(1)
IMGCAP_HOOKS(2)
IMGCAP_HOOKS(4)
IMGCAP_HOOKS(8)
IMGCAP_HOOKS(16)

void __tsan_read_range(void* address, size_t bytes) {
  if (in_kernel && bytes > 0) touch(Touch::read, address, bytes, false, __builtin_return_address(0));
}
void __tsan_write_range(void* address, size_t bytes) {
  if (in_kernel && bytes > 0) touch(Touch::write, address, bytes, false, __builtin_return_address(0));
}

// .cu files call these by the names of the ones that they stand for (cuda_types.h).
void* imgcap_memcpy(void* to, const void* from, size_t bytes) {
  if (in_kernel && bytes > 0) {
    touch(Touch::read, from, bytes, false, __builtin_return_address(0));
    touch(Touch::write, to, bytes, false, __builtin_return_address(0));
  }
  return std::memcpy(to, from, bytes);
}
void* imgcap_memmove(void* to, const void* from, size_t bytes) {
  if (in_kernel && bytes > 0) {
    touch(Touch::read, from, bytes, false, __builtin_return_address(0));
    touch(Touch::write, to, bytes, false, __builtin_return_address(0));
  }
  return std::memmove(to, from, bytes);
}
void* imgcap_memset(void* to, int value, size_t bytes) {
  if (in_kernel && bytes > 0) touch(Touch::write, to, bytes, false, __builtin_return_address(0));
  return std::memset(to, value, bytes);
}

// Atomics are of the host's code alone: kernels have atomicAdd and its like. The order asked for may be weaker than that given.
#define IMGCAP_ATOMICS(bits, T)                                                                           \
  T __tsan_atomic##bits##_load(const volatile T* a, int) { return __atomic_load_n(a, __ATOMIC_SEQ_CST); } \
  void __tsan_atomic##bits##_store(volatile T* a, T v, int) { __atomic_store_n(a, v, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_exchange(volatile T* a, T v, int) {                                             \
    return __atomic_exchange_n(a, v, __ATOMIC_SEQ_CST);                                                   \
  }                                                                                                       \
  T __tsan_atomic##bits##_fetch_add(volatile T* a, T v, int) {                                            \
    return __atomic_fetch_add(a, v, __ATOMIC_SEQ_CST);                                                    \
  }                                                                                                       \
  T __tsan_atomic##bits##_fetch_sub(volatile T* a, T v, int) {                                            \
    return __atomic_fetch_sub(a, v, __ATOMIC_SEQ_CST);                                                    \
  }                                                                                                       \
  T __tsan_atomic##bits##_fetch_and(volatile T* a, T v, int) {                                            \
    return __atomic_fetch_and(a, v, __ATOMIC_SEQ_CST);                                                    \
  }                                                                                                       \
  T __tsan_atomic##bits##_fetch_or(volatile T* a, T v, int) {                                             \
    return __atomic_fetch_or(a, v, __ATOMIC_SEQ_CST);                                                     \
  }                                                                                                       \
  T __tsan_atomic##bits##_fetch_xor(volatile T* a, T v, int) {                                            \
    return __atomic_fetch_xor(a, v, __ATOMIC_SEQ_CST);                                                    \
  }                                                                                                       \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile T* a, T* expected, T v, int, int) {          \
    return __atomic_compare_exchange_n(a, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);        \
  }                                                                                                       \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile T* a, T* expected, T v, int, int) {            \
    return __atomic_compare_exchange_n(a, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);        \
  }                                                                                                       \
  T __tsan_atomic##bits##_compare_exchange_val(volatile T* a, T expected, T v, int, int) {                \
    __atomic_compare_exchange_n(a, &expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);              \
    return expected;                                                                                      \
  }
IMGCAP_ATOMICS(8, uint8_t)
IMGCAP_ATOMICS(16, uint16_t)
IMGCAP_ATOMICS(32, uint32_t)
IMGCAP_ATOMICS(64, uint64_t)

void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

}  // extern "C"
