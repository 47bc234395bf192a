// A caching allocator: freed blocks are kept by size and handed out again, because returning the buffers of a
// training step to the system at each step costs more than the arithmetic on them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tensor {

struct AllocatorStatistics {
  int64_t bytes_in_use = 0;  // handed out now
  int64_t peak_bytes = 0;    // the most ever handed out
  int64_t bytes_cached = 0;  // freed and kept
  int64_t blocks_in_use = 0;
  int64_t blocks_handed_out = 0;  // so far, new ones and kept ones
};

// At least `bytes` bytes, aligned to 64, contents undefined. Errors: io (the system has no memory).
void* allocate(int64_t bytes);
// `bytes` is what allocate was called with.
void release(void* block, int64_t bytes) noexcept;

AllocatorStatistics allocator_statistics();
// Returns the kept blocks to the system.
void empty_cache();

// While one lives, this thread's new blocks below 2 MiB are cut from larger ones, which the system gives in huge
// pages: ten thousand small page faults take longer than laying out the weights of a model that is loaded. What
// is released is kept and handed out again as any other block; empty_cache() returns a large one when none of it
// is in use.
class LargePages {
 public:
  LargePages();
  ~LargePages();
  LargePages(const LargePages&) = delete;
  LargePages& operator=(const LargePages&) = delete;

 private:
  const LargePages* previous_;
};

// For tests: while one lives, each new block has a pattern before and behind exactly the bytes that were
// asked for, and is full of 0xff (NaN in floating types). A write outside of a block, or a read of memory
// that nobody wrote, shows.
class AllocationGuards {
 public:
  AllocationGuards();
  ~AllocationGuards();
  AllocationGuards(const AllocationGuards&) = delete;
  AllocationGuards& operator=(const AllocationGuards&) = delete;
  // A sentence for each block, released or still in use, whose surroundings were written to since the last
  // call.
  std::vector<std::string> broken() const;
};

}  // namespace tensor
