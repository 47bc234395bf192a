// Our allocator keeps blocks and hands them out again (driver/memory.h), larger than what was asked for. What of them is
// memory, and that nobody has written it, is known here, so that a kernel that goes on where a tensor ends, reads what a
// former one left, or uses what was released is found all the same.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>

#include "tensor/cuda/driver/memory.h"
#include "tensor/cuda/emulation/emulation.h"
#include "tensor/cuda/emulation/memory.h"
#include "tensor/cuda/emulation/streams.h"
#include "tensor/cuda/emulation/watch.h"

namespace tensor::cuda {
namespace emulation {
namespace {

// A block's lives follow one another in the order of the device's work; the program is ahead of that.
struct Lives {
  int releases = 0;            // that are queued
  std::deque<int64_t> coming;  // the bytes of lives that begin behind one of these
};

std::map<std::byte*, Lives>& all_lives() {
  static auto* const lives = new std::map<std::byte*, Lives>;
  return *lives;
}

// The devices' pages are open.
void begin_life(std::byte* block, int64_t bytes, int64_t size) {
  const int device = device_of(block);
  unwatch_memory(device, block, static_cast<size_t>(size));
  watch_memory(device, block, static_cast<size_t>(bytes));
}

void end_life(std::byte* block, int64_t size) {
  Lives& lives = all_lives()[block];
  --lives.releases;
  if (!lives.coming.empty()) {
    begin_life(block, lives.coming.front(), size);
    lives.coming.pop_front();
  } else {
    unwatch_memory(device_of(block), block, static_cast<size_t>(size));
  }
}

}  // namespace
}  // namespace emulation

void note_allocation(std::byte* block, int64_t bytes, int64_t size) {
  using namespace emulation;
  if (counts_only()) return;
  const std::lock_guard lock(api_mutex());
  Lives& lives = all_lives()[block];
  if (lives.releases > 0) {
    lives.coming.push_back(bytes);
    return;
  }
  const OpenMemory open;
  begin_life(block, bytes, size);
}

void note_release(cudaStream_t stream, std::byte* block, int64_t size) {
  using namespace emulation;
  if (counts_only()) return;
  const std::lock_guard lock(api_mutex());
  ++all_lives()[block].releases;
  queue_work(stream, "release", [block, size] { end_life(block, size); });
}

}  // namespace tensor::cuda
