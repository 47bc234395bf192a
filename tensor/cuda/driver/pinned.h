// Host memory that a device reads by itself, without the processor, for what goes there. Blocks are used again when the
// device has read them.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>

namespace tensor::cuda {

struct PinnedBlock {
  std::byte* data = nullptr;
  cudaEvent_t read = nullptr;  // to be recorded behind the copy from it
};

// A device's blocks of one size. Safe to use from several threads.
class Pinned {
 public:
  Pinned(int device, int64_t bytes, int64_t most) : device_(device), bytes_(bytes), most_(most) {}

  int64_t bytes() const { return bytes_; }  // of a block
  // One that nobody reads: kept, new, or, where there are `most` already, the first that will be free, for which it
  // waits. Errors: cuda.
  PinnedBlock take();
  // It is taken again when `read` has passed.
  void give_back(const PinnedBlock& block);

 private:
  PinnedBlock make();

  const int device_;
  const int64_t bytes_, most_;
  std::mutex mutex_;
  std::deque<PinnedBlock> given_back_;  // the oldest first
  int64_t made_ = 0;
};

// For single numbers and rows, and for batches, which take several blocks.
struct StagingMemory {
  explicit StagingMemory(int device)
      : small(device, int64_t{64} << 10, 256), large(device, int64_t{4} << 20, 64) {}

  Pinned small, large;
};

}  // namespace tensor::cuda
