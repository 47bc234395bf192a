#include "tensor/cuda/driver/memory.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "tensor/cuda/driver/check.h"
#include "tensor/cuda/driver/streams.h"
#include "tensor/size_class.h"

namespace tensor::cuda {
namespace {

constexpr int64_t kAlignment = 256;
constexpr int64_t kMostBytes = int64_t{1} << 46;  // no device has that

// IMGCAP_CUDA_CACHE=0: each block is the driver's own and exactly as large as asked for, so that a tool that watches
// memory sees where it ends and when it is released. Slow.
bool keeps_blocks() {
  static const bool keeps = [] {
    const char* value = std::getenv("IMGCAP_CUDA_CACHE");
    return value == nullptr || std::string_view(value) != "0";
  }();
  return keeps;
}

int64_t size_of_block(int64_t bytes) {
  return keeps_blocks() ? internal::size_class(bytes, kAlignment) : std::max<int64_t>(bytes, 1);
}

}  // namespace

Memory::Memory(int device) : device_(device) {
  compute_stream(Device::cuda(device));  // made now: release() must not fail
}

std::byte* Memory::allocate(int64_t bytes) {
  if (bytes >= kMostBytes) return nullptr;
  const int64_t size = size_of_block(bytes);
  const DeviceGuard guard(Device::cuda(device_));
  std::byte* block = take_kept(size);
  if (block == nullptr) block = from_driver(size);
  if (block == nullptr) {
    empty_cache();
    block = from_driver(size);
  }
  if (block == nullptr) return nullptr;
  if (note_allocation != nullptr) note_allocation(block, bytes, size);
  const std::lock_guard lock(mutex_);
  statistics_.bytes_in_use += size;
  statistics_.blocks_in_use += 1;
  statistics_.blocks_handed_out += 1;
  statistics_.peak_bytes = std::max(statistics_.peak_bytes, statistics_.bytes_in_use);
  return block;
}

void Memory::release(std::byte* block, int64_t bytes) noexcept {
  const int64_t size = size_of_block(bytes);
  const std::lock_guard lock(mutex_);
  statistics_.bytes_in_use -= size;
  statistics_.blocks_in_use -= 1;
  released_.erase(block);
  try {
    if (keeps_blocks()) {
      const Device device = Device::cuda(device_);
      if (note_release != nullptr) {
        note_release(compute_stream(device), block, size);
        count_work(device);
      }
      kept_[size].push_back({block, work_so_far(device)});
      statistics_.bytes_cached += size;
      return;
    }
  } catch (...) {  // no memory on the host for the list
  }
  static_cast<void>(cudaFree(block));  // waits for the device; an error of a kernel is said by its next use
}

void Memory::empty_cache() {
  const Device device = Device::cuda(device_);
  const DeviceGuard guard(device);
  check_result(cudaDeviceSynchronize(), "empty_cache", device);
  const std::lock_guard lock(mutex_);
  for (auto& [size, blocks] : kept_) {
    for (; !blocks.empty(); blocks.pop_back()) {
      check_result(cudaFree(blocks.back().block), "empty_cache", device);
      statistics_.bytes_cached -= size;
    }
  }
}

AllocatorStatistics Memory::statistics() {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

uint64_t Memory::work_before(const std::byte* block) {
  const std::lock_guard lock(mutex_);
  const auto found = released_.find(block);
  return found == released_.end() ? 0 : found->second;
}

std::byte* Memory::take_kept(int64_t size) {
  const std::lock_guard lock(mutex_);
  const auto found = kept_.find(size);
  if (found == kept_.end() || found->second.empty()) return nullptr;
  const Kept kept = found->second.back();
  released_[kept.block] = kept.released;
  found->second.pop_back();
  statistics_.bytes_cached -= size;
  return kept.block;
}

std::byte* Memory::from_driver(int64_t size) {
  void* block = nullptr;
  const cudaError_t result = cudaMalloc(&block, static_cast<size_t>(size));
  if (result == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());  // told by null; CUDA would say it again
    return nullptr;
  }
  check_result(result, "allocate", Device::cuda(device_));
  return static_cast<std::byte*>(block);
}

}  // namespace tensor::cuda
