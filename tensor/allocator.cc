#include "tensor/allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "tensor/error.h"
#include "tensor/fork.h"
#include "tensor/size_class.h"

namespace tensor {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kHugePage = int64_t{2} << 20;

constexpr int64_t kSlab = 4 * kHugePage;

// A large block that smaller ones are cut from (LargePages).
struct Slab {
  int64_t used = 0;    // bytes that are cut off
  int64_t pieces = 0;  // that are in use or kept, and one while more may be cut
};
using Slabs = std::map<std::byte*, Slab>;

struct Cache {
  Cache() { internal::hold_at_fork(mutex); }

  std::mutex mutex;
  std::map<int64_t, std::vector<void*>> free_blocks;
  Slabs slabs;
  AllocatorStatistics statistics;
};

// Never destroyed: tensors with static lifetime may be released after it would be.
Cache& cache() {
  static Cache* const instance = new Cache;
  return *instance;
}

void* system_allocate(int64_t bytes) {
  const int64_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  void* block = std::aligned_alloc(static_cast<size_t>(alignment),
                                   static_cast<size_t>((bytes + alignment - 1) / alignment * alignment));
#if defined(MADV_HUGEPAGE)
  if (block != nullptr && alignment == kHugePage) madvise(block, static_cast<size_t>(bytes), MADV_HUGEPAGE);
#endif
  return block;
}

// The slab that this thread's blocks are cut from; null: none yet, or no guard.
constinit thread_local const LargePages* large_pages = nullptr;
constinit thread_local std::byte* open_slab = nullptr;

// With the lock held.
void release_piece(Cache& c, Slabs::iterator slab) {
  if (--slab->second.pieces > 0) return;
  std::free(slab->first);
  c.slabs.erase(slab);
}

// With the lock held: a block to the system, or a piece to its slab.
void give_back(Cache& c, void* block) {
  const auto after = c.slabs.upper_bound(static_cast<std::byte*>(block));
  if (after != c.slabs.begin())
    if (const auto slab = std::prev(after); static_cast<std::byte*>(block) < slab->first + kSlab)
      return release_piece(c, slab);
  std::free(block);
}

// What is in use and what is kept may together exceed the most that was ever in use by this part of it,
// or by a few huge pages.
constexpr int64_t kSparePart = 32, kSpareBytes = 8 * kHugePage;

// With the lock held, before the system is asked for a block that is counted as in use: blocks of other sizes go
// back, the largest first, where all would get larger than the program has ever needed. Else steps whose buffers
// change in size, or are wanted at different moments, would keep some of each size.
void make_room(Cache& c) {
  const AllocatorStatistics& s = c.statistics;
  const int64_t most = std::max(s.peak_bytes, s.bytes_in_use);
  const int64_t limit = most + std::max(most / kSparePart, kSpareBytes);
  for (auto blocks = c.free_blocks.rbegin(); blocks != c.free_blocks.rend(); ++blocks) {
    for (std::vector<void*>& free = blocks->second; !free.empty(); free.pop_back()) {
      if (s.bytes_in_use + s.bytes_cached <= limit) return;
      give_back(c, free.back());
      c.statistics.bytes_cached -= blocks->first;
    }
  }
}

void close_slab() {
  if (open_slab == nullptr) return;
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  release_piece(c, c.slabs.find(std::exchange(open_slab, nullptr)));
}

// A piece of a slab; null where the system has no memory for one.
void* cut(int64_t size) {
  Cache& c = cache();
  {
    const std::lock_guard lock(c.mutex);
    if (open_slab != nullptr)
      if (Slab& slab = c.slabs.at(open_slab); slab.used + size <= kSlab) {
        ++slab.pieces;
        return open_slab + std::exchange(slab.used, slab.used + size);
      }
  }
  close_slab();
  auto* block = static_cast<std::byte*>(system_allocate(kSlab));
  if (block == nullptr) return nullptr;
  const std::lock_guard lock(c.mutex);
  c.slabs.emplace(block, Slab{size, 2});
  return open_slab = block;
}

// With the lock held.
void note_peak(Cache& c) {
  c.statistics.peak_bytes = std::max(c.statistics.peak_bytes, c.statistics.bytes_in_use);
}

void* allocate_block(int64_t bytes) {
  check(bytes >= 0 && bytes < (int64_t{1} << 46), ErrorKind::argument, "allocate: {} bytes asked for", bytes);
  const int64_t size = internal::size_class(bytes, kAlignment);
  Cache& c = cache();
  {
    const std::lock_guard lock(c.mutex);
    c.statistics.bytes_in_use += size;
    c.statistics.blocks_in_use += 1;
    c.statistics.blocks_handed_out += 1;
    const auto found = c.free_blocks.find(size);
    if (found != c.free_blocks.end() && !found->second.empty()) {
      void* block = found->second.back();
      found->second.pop_back();
      c.statistics.bytes_cached -= size;
      note_peak(c);
      return block;
    }
    make_room(c);
  }
  void* block = large_pages != nullptr && size < kHugePage ? cut(size) : nullptr;
  if (block == nullptr) block = system_allocate(size);
  if (block == nullptr) {
    empty_cache();
    block = system_allocate(size);
  }
  const std::lock_guard lock(c.mutex);
  if (block == nullptr) {
    c.statistics.bytes_in_use -= size;
    c.statistics.blocks_in_use -= 1;
    fail(ErrorKind::io, "allocate: the system has no {} bytes of memory left", size);
  }
  note_peak(c);
  return block;
}

void release_block(void* block, int64_t bytes) noexcept {
  if (block == nullptr) return;
  const int64_t size = internal::size_class(bytes, kAlignment);
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  c.statistics.bytes_in_use -= size;
  c.statistics.blocks_in_use -= 1;
  try {
    c.free_blocks[size].push_back(block);
    c.statistics.bytes_cached += size;
  } catch (...) {
    give_back(c, block);
  }
}

// --- guards

constexpr int64_t kGuard = 64;
constexpr unsigned char kPattern = 0xa5, kFresh = 0xff;

struct Guarded {
  Guarded() { internal::hold_at_fork(mutex); }

  std::mutex mutex;
  std::map<void*, int64_t> blocks;  // what was handed out -> bytes
  std::vector<std::string> broken;
};

Guarded& guarded() {
  static Guarded* const instance = new Guarded;
  return *instance;
}

// Before there are threads: a fork() while one of them makes these would leave the child waiting for that.
[[maybe_unused]] const bool made_at_load = (cache(), guarded(), true);

std::atomic<int> guards{0};              // AllocationGuards that live
std::atomic<int64_t> guarded_blocks{0};  // still handed out

bool is_pattern(const unsigned char* from, int64_t bytes) {
  return std::all_of(from, from + bytes, [](unsigned char b) { return b == kPattern; });
}

// With the lock held.
void look_at(Guarded& g, void* block, int64_t bytes) {
  auto* data = static_cast<unsigned char*>(block);
  const bool before = is_pattern(data - kGuard, kGuard), behind = is_pattern(data + bytes, kGuard);
  if (before && behind) return;
  g.broken.push_back(
      tensor::format("something was written {} a block of {} bytes", before ? "behind" : "before", bytes));
  std::fill_n(data - kGuard, kGuard, kPattern);  // told once
  std::fill_n(data + bytes, kGuard, kPattern);
}

}  // namespace

LargePages::LargePages() : previous_(std::exchange(large_pages, this)) {}
LargePages::~LargePages() {
  large_pages = previous_;
  if (large_pages == nullptr) close_slab();
}

AllocationGuards::AllocationGuards() { ++guards; }
AllocationGuards::~AllocationGuards() { --guards; }

std::vector<std::string> AllocationGuards::broken() const {
  Guarded& g = guarded();
  const std::lock_guard lock(g.mutex);
  for (const auto& [block, bytes] : g.blocks) look_at(g, block, bytes);
  return std::exchange(g.broken, {});
}

void* allocate(int64_t bytes) {
  if (guards.load(std::memory_order_relaxed) == 0) return allocate_block(bytes);
  auto* data = static_cast<unsigned char*>(allocate_block(bytes + 2 * kGuard)) + kGuard;
  std::fill_n(data - kGuard, kGuard, kPattern);
  std::fill_n(data, bytes, kFresh);
  std::fill_n(data + bytes, kGuard, kPattern);
  Guarded& g = guarded();
  const std::lock_guard lock(g.mutex);
  g.blocks.emplace(data, bytes);
  ++guarded_blocks;
  return data;
}

void release(void* block, int64_t bytes) noexcept {
  if (block != nullptr && guarded_blocks.load(std::memory_order_relaxed) > 0) {
    Guarded& g = guarded();
    const std::lock_guard lock(g.mutex);
    if (const auto found = g.blocks.find(block); found != g.blocks.end()) {
      look_at(g, block, bytes);
      g.blocks.erase(found);
      --guarded_blocks;
      block = static_cast<unsigned char*>(block) - kGuard;
      bytes += 2 * kGuard;
    }
  }
  release_block(block, bytes);
}

AllocatorStatistics allocator_statistics() {
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  return c.statistics;
}

void empty_cache() {
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  for (auto& [size, blocks] : c.free_blocks)
    for (void* block : blocks) give_back(c, block);
  c.free_blocks.clear();
  c.statistics.bytes_cached = 0;
}

}  // namespace tensor
