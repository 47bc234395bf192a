// Memory of devices, and of the host for them.
#include "tensor/cuda/emulation/api.h"
#include "tensor/cuda/emulation/emulation.h"
#include "tensor/cuda/emulation/memory.h"
#include "tensor/cuda/emulation/pinned.h"
#include "tensor/cuda/emulation/watch.h"

namespace tensor::cuda::emulation {
namespace {

std::byte* new_block(int device, size_t bytes, bool reserved) {
  std::byte* start = memory_of(device).allocate(bytes, reserved);
  if (counts_only()) return start;
  const OpenMemory open;
  if (start != nullptr) watch_memory(device, start, bytes);
  return start;
}

bool free_block(int device, const std::byte* start) {
  const size_t bytes = memory_of(device).size_of(start);
  if (counts_only()) return memory_of(device).release(start);
  const OpenMemory open;
  if (!memory_of(device).release(start)) return false;
  unwatch_memory(device, start, bytes);
  return true;
}

}  // namespace

void* reserve(int device, size_t bytes) {
  const std::lock_guard lock(api_mutex());
  return new_block(device, bytes, true);
}

}  // namespace tensor::cuda::emulation

using namespace tensor::cuda::emulation;

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  return api_call([&] {
    if (pointer == nullptr) return cudaErrorInvalidValue;
    *pointer = bytes == 0 ? nullptr : new_block(current_device(), bytes, false);
    return bytes != 0 && *pointer == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
  });
}

// Waits for the device, as CUDA's does.
cudaError_t cudaFree(void* pointer) {
  return api_call([&] {
    if (pointer == nullptr) return cudaSuccess;
    const int device = device_of(pointer);
    if (device < 0) return cudaErrorInvalidValue;
    wait_for_device(device);
    return free_block(device, static_cast<std::byte*>(pointer)) ? cudaSuccess : cudaErrorInvalidValue;
  });
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  return api_call([&] {
    const DeviceMemory& memory = memory_of(current_device());
    *total = memory.capacity();
    *free = memory.capacity() - memory.in_use();
    return cudaSuccess;
  });
}

cudaError_t cudaMallocHost(void** pointer, size_t bytes) { return cudaHostAlloc(pointer, bytes, 0); }

cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned flags) {
  return api_call([&] {
    if (pointer == nullptr || flags > cudaHostAllocPortable) return cudaErrorInvalidValue;
    *pointer = allocate_pinned(bytes);
    return *pointer == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
  });
}

// Waits for all devices: what is queued may still use it.
cudaError_t cudaFreeHost(void* pointer) {
  return api_call([&] {
    if (pointer == nullptr) return cudaSuccess;
    for (int device = 0; device < kDevices; ++device) wait_for_device(device);
    return release_pinned(pointer) ? cudaSuccess : cudaErrorInvalidValue;
  });
}
