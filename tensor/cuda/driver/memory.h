// A device's memory. Released blocks are kept by size and handed out again, because the driver's own calls take as long as
// a kernel, and one of them waits for the device. All kernels of a device run one after the other, so a block may be
// handed out while kernels that were launched before its release still use it.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "tensor/allocator.h"

namespace tensor::cuda {

// Safe to use from several threads.
class Memory {
 public:
  explicit Memory(int device);

  // At least `bytes` bytes, aligned to 256; null when there is no room, even with nothing kept. Errors: cuda.
  std::byte* allocate(int64_t bytes);
  // `bytes` is what allocate was called with.
  void release(std::byte* block, int64_t bytes) noexcept;
  // Waits for the device and returns what is kept to the driver. Errors: cuda.
  void empty_cache();
  AllocatorStatistics statistics();
  // How much of the device's work was queued when a block that is now in use was last released (wait_for_work): who
  // writes to it on another stream, as the first, waits for that.
  uint64_t work_before(const std::byte* block);

 private:
  struct Kept {
    std::byte* block;
    uint64_t released;  // the work so far at that time
  };

  std::byte* take_kept(int64_t size);
  std::byte* from_driver(int64_t size);

  const int device_;
  std::mutex mutex_;
  std::map<int64_t, std::vector<Kept>> kept_;                // by size
  std::unordered_map<const std::byte*, uint64_t> released_;  // of blocks in use that were kept before
  AllocatorStatistics statistics_;
};

// The emulated device is told what of the driver's blocks is in use; null on a real one. `block`, of `size` bytes, is handed
// out for `bytes` of them; it is released when the work that is on `stream` now has run.
[[gnu::weak]] void note_allocation(std::byte* block, int64_t bytes, int64_t size);
[[gnu::weak]] void note_release(cudaStream_t stream, std::byte* block, int64_t size);

}  // namespace tensor::cuda
