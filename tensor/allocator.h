// A caching allocator: freed blocks are kept by size and handed out again, because returning the buffers of a
// training step to the system at each step costs more than the arithmetic on them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tensor {

struct AllocatorStatistics {
  int64_t bytes_in_use = 0;  // handed out now
  int64_t peak_bytes = 0;    // the most ever handed out
  int64_t bytes_cached = 0;  // freed and kept
  int64_t blocks_in_use = 0;
};

// At least `bytes` bytes, aligned to 64, contents undefined. Throws an io error when the system has no
// memory.
void* allocate(int64_t bytes);
// `bytes` is what allocate was called with.
void release(void* block, int64_t bytes) noexcept;

AllocatorStatistics allocator_statistics();
// Returns the kept blocks to the system.
void empty_cache();

}  // namespace tensor
