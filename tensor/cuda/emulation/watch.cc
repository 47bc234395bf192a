#include "tensor/cuda/emulation/watch.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tensor/cuda/emulation/block.h"
#include "tensor/cuda/emulation/fiber.h"
#include "tensor/cuda/emulation/history.h"
#include "tensor/cuda/emulation/library.h"
#include "tensor/cuda/emulation/pinned.h"
#include "tensor/cuda/emulation/places.h"
#include "tensor/cuda/emulation/report.h"
#include "tensor/cuda/emulation/shared_memory.h"
#include "tensor/cuda/emulation/streams.h"

namespace tensor::cuda::emulation {

constinit thread_local bool in_kernel = false;

namespace {

constexpr unsigned kWarp = 32, kWarps = 32;
constexpr uint32_t kMostStretches = 3'500'000'000u;  // then the order of the past is forgotten

// For each lane, what it knows of each lane's clock.
struct Clocks {
  uint32_t of[kWarp][kWarp] = {};
  bool used = false;
};

struct Watch {
  std::array<Shadow, kDevices> memory{Shadow(memory_of(0).base(), DeviceMemory::kAddresses),
                                      Shadow(memory_of(1).base(), DeviceMemory::kAddresses)};
  Shadow shared{shared_base(), kSharedAddresses};
  int device = 0;
  uint32_t stretch = 1;  // of the work or thread that runs
  uint32_t work_first = 1, block_first = 1;
  std::vector<std::pair<uint32_t, uint64_t>> blocks;  // of this launch: the first stretch, and the index
  unsigned thread = 0;
  const Fiber* fiber = nullptr;
  const std::byte* arguments = nullptr;
  size_t argument_bytes = 0;
  std::array<Clocks, kWarps> clocks;
  Touched touched;

  Watch() { shared.add(0, kSharedAddresses); }
};
Watch& watch() {
  static Watch* const it = new Watch;
  return *it;
}

bool is_ordered(const Watch& w, const Access& a) {
  if (a.stretch == w.stretch) {
    if (a.thread == w.thread) return true;
    if (a.thread / kWarp != w.thread / kWarp) return false;
    return w.clocks[w.thread / kWarp].of[w.thread % kWarp][a.thread % kWarp] > a.clock;
  }
  if (a.stretch >= w.block_first) return true;  // before a barrier
  if (a.stretch >= w.work_first) return false;  // another block
  return comes_before(a.stretch);
}

// Memory that is watched. What was done before stretch `since` does not count: to shared memory by other blocks.
struct Ground {
  Shadow& shadow;
  uint32_t since;
  Touched* touched;  // null: not counted
};

bool conflicts(const Watch& w, const Access& a, bool atomic, const Ground& ground) {
  return a.stretch >= ground.since && !(atomic && a.atomic) && !is_ordered(w, a);
}

// One of another block is kept longest: no writer is in order with both. Within a block the two last ones are kept that no
// barrier divides. Of other streams' one is kept that is in no order with this.
void record_read(const Watch& w, const Ground& ground, Cell& cell, const Access& me) {
  const Access& last = cell.read;
  const bool same = last.stretch == me.stretch && last.thread == me.thread;
  const bool other_block_kept =
      cell.other_read.stretch >= w.work_first && cell.other_read.stretch < w.block_first;
  const bool other_block = last.stretch >= w.work_first && last.stretch < w.block_first;
  if (!same && (other_block || (!other_block_kept && conflicts(w, last, false, ground))))
    cell.other_read = last;
  cell.read = me;
}

enum class Fault { none, no_memory, unwritten, race };
struct Found {
  Fault fault = Fault::none;
  size_t offset = 0;  // of the first byte
  Access other{};     // of a race
  bool other_wrote = false;
};

Found look(const Watch& w, const Ground& ground, const Shadow::Cells& cells, Touch how, const Access& me) {
  const auto count = static_cast<int64_t>(cells.piece);
  for (size_t i = 0; i < cells.count; ++i) {
    Cell& cell = cells.first[i];
    const size_t at = i * cells.piece;
    if (cell.write.stretch == kNoMemory) return {Fault::no_memory, at};
    if (how != Touch::write && cell.write.stretch < ground.since) return {Fault::unwritten, at};
    if (conflicts(w, cell.write, me.atomic, ground)) return {Fault::race, at, cell.write, true};
    if (how == Touch::read) {
      if (ground.touched != nullptr && cell.read.stretch < w.work_first)
        ground.touched->distinct_read += count;
      record_read(w, ground, cell, me);
      continue;
    }
    if (conflicts(w, cell.read, me.atomic, ground)) return {Fault::race, at, cell.read, false};
    if (conflicts(w, cell.other_read, me.atomic, ground)) return {Fault::race, at, cell.other_read, false};
    if (ground.touched != nullptr && cell.write.stretch < w.work_first)
      ground.touched->distinct_written += count;
    cell.write = me;
  }
  return {};
}

Found look(const Watch& w, const Ground& ground, size_t offset, size_t bytes, Touch how, const Access& me) {
  for (size_t done = 0; done < bytes;) {
    const Shadow::Cells cells = ground.shadow.cells(offset + done, bytes - done);
    Found found = look(w, ground, cells, how, me);
    found.offset += done;
    if (found.fault != Fault::none) return found;
    done += cells.count * cells.piece;
  }
  return {};
}

// --- sentences

std::string index_text(uint64_t linear, const dim3& size) {
  return "(" + std::to_string(linear % size.x) + "," + std::to_string(linear / size.x % size.y) + "," +
         std::to_string(linear / size.x / size.y) + ")";
}

uint64_t block_of(const Watch& w, uint32_t stretch) {
  const auto after = std::ranges::upper_bound(w.blocks, stretch, {}, &std::pair<uint32_t, uint64_t>::first);
  return after == w.blocks.begin() ? 0 : std::prev(after)->second;
}

const char* verb(Touch how) {
  return how == Touch::read ? "reads" : how == Touch::write ? "writes" : "changes";
}

// What a thread does, or a work that is no kernel.
std::string deed(Touch how, size_t bytes, uint32_t place) {
  const std::string what =
      std::string(verb(how)) + " " + std::to_string(bytes) + " byte" + (bytes == 1 ? "" : "s");
  if (place == 0) return what;
  return running_thread_text() + " " + what + " at " + line_of(place);
}

std::string device_address_text(int device, const void* address) {
  const DeviceMemory& memory = memory_of(device);
  const auto* block = memory.block_before(address);
  if (block == nullptr)
    return memory.was_released(address) ? "in a block that was given back" : "in no block of memory";
  const auto offset =
      static_cast<size_t>(static_cast<const std::byte*>(address) - memory.base()) - block->first;
  const std::string size = " a block of " + std::to_string(block->second.bytes) + " bytes";
  if (offset < block->second.bytes) return "at byte " + std::to_string(offset) + " of" + size;
  if (memory.was_released(address)) return "in a block that was given back";
  return std::to_string(offset - block->second.bytes) + " bytes behind the end of" + size;
}

std::string address_text(const Watch& w, const void* address) {
  const int device = device_of(address);
  if (device >= 0 && device != w.device) return "in the memory of cuda:" + std::to_string(device);
  if (device >= 0) return device_address_text(device, address);
  if (const std::string shared = shared_address_text(address); !shared.empty()) return shared;
  if (address == nullptr) return "at a null pointer";
  if (is_on_a_stack(address)) return "on another thread's stack";
  if (is_pinned(address, 1)) return "in pinned memory of the host, which a kernel here never reads";
  return "in the host's memory";
}

std::string race_text(const Watch& w, const Found& found) {
  const Access& other = found.other;
  const std::string did = found.other_wrote ? " wrote" : " read";
  if (other.stretch < w.work_first) {
    const std::string line = other.place == 0 ? "" : " at " + line_of(other.place);
    return ", which " + work_of(other.stretch) + did + line + " on another stream, and no event is between";
  }
  const bool same_block = other.stretch >= w.block_first;
  return ", which " +
         (same_block ? "thread " + index_text(other.thread, block_size())
                     : thread_text(block_of(w, other.stretch), other.thread)) +
         did + " at " + line_of(other.place) +
         (same_block ? ", and no barrier is between" : ", and blocks don't wait for each other");
}

// `place` 0: work that is no kernel.
void report_found(const Watch& w, const Found& found, Touch how, const void* address, size_t bytes,
                  uint32_t place) {
  const std::string what = deed(how, bytes, place);
  address = static_cast<const std::byte*>(address) + found.offset;
  switch (found.fault) {
    case Fault::no_memory:
      return report(cudaErrorIllegalAddress, what + ", " + address_text(w, address));
    case Fault::unwritten:
      return report(cudaErrorLaunchFailure,
                    what + " that nobody wrote" +
                        (is_shared(address, 1) ? " (or not yet, for want of a barrier), " : ", ") +
                        address_text(w, address));
    default:
      return report(cudaErrorLaunchFailure, "race: " + what + race_text(w, found));
  }
}

void look_or_end(const Watch& w, const Ground& ground, Touch how, const void* address, size_t bytes,
                 const void* return_address) {
  Access me;
  me.stretch = w.stretch;
  me.place = place_of(return_address);
  me.thread = w.thread & 1023;
  me.atomic = how == Touch::update;
  me.clock = w.clocks[w.thread / kWarp].of[w.thread % kWarp][w.thread % kWarp] & ((1u << 21) - 1);
  const auto offset = static_cast<size_t>(static_cast<const std::byte*>(address) - ground.shadow.base());
  const Found found = look(w, ground, offset, bytes, how, me);
  if (found.fault == Fault::none) return;
  report_found(w, found, how, address, bytes, me.place);
  end_launch();
}

void check_bulk(int device, Touch how, const void* address, size_t bytes) {
  Watch& w = watch();
  Access me;
  me.stretch = w.stretch;
  if (bytes == 0) return;
  const std::byte* start = static_cast<const std::byte*>(address);
  Found found{Fault::no_memory};
  if (memory_of(device).in_one_block(address, bytes))
    found = look(w, {w.memory[static_cast<size_t>(device)], 1, nullptr},
                 static_cast<size_t>(start - memory_of(device).base()), bytes, how, me);
  if (found.fault == Fault::none) return;
  report_found(w, found, how, address, bytes, 0);
  throw WorkEnds{};
}

}  // namespace

void touch(Touch how, const void* address, size_t bytes, bool aligned, const void* return_address) {
  const OutOfKernel out;
  Watch& w = watch();
  if (w.fiber->holds(address, bytes)) return;
  const auto misaligned = [&] { return aligned && reinterpret_cast<uintptr_t>(address) % bytes != 0; };
  Shadow& memory = w.memory[static_cast<size_t>(w.device)];
  const auto at = reinterpret_cast<uintptr_t>(address);
  if (at - reinterpret_cast<uintptr_t>(memory.base()) < DeviceMemory::kAddresses) {
    if (!misaligned()) {
      (how == Touch::read ? w.touched.read : w.touched.written) += static_cast<int64_t>(bytes);
      return look_or_end(w, {memory, 1, &w.touched}, how, address, bytes, return_address);
    }
  } else if (is_shared(address, bytes)) {
    if (!misaligned())
      return look_or_end(w, {w.shared, w.block_first, nullptr}, how, address, bytes, return_address);
  } else if (how == Touch::read && (at - reinterpret_cast<uintptr_t>(w.arguments) < w.argument_bytes ||
                                    is_index(address) || are_constants(address, bytes))) {
    return;
  }
  const std::string what = deed(how, bytes, place_of(return_address));
  if (misaligned())
    report(cudaErrorMisalignedAddress, what + " at an address that is no multiple of that");
  else
    report(cudaErrorIllegalAddress, what + ", " + address_text(w, address));
  end_launch();
}

void check_read(int device, const void* address, size_t bytes) {
  check_bulk(device, Touch::read, address, bytes);
}
void check_write(int device, void* address, size_t bytes) {
  check_bulk(device, Touch::write, address, bytes);
}
void will_read(const void* address, size_t bytes) { check_read(running_stream()->device, address, bytes); }
void will_write(void* address, size_t bytes) { check_write(running_stream()->device, address, bytes); }

uint32_t watch_work(int device) {
  Watch& w = watch();
  if (w.stretch > kMostStretches) {
    for (Shadow& memory : w.memory) memory.forget_order();
    w.shared.forget_order();
    w.stretch = 1;
    forget_history(2);
  }
  w.device = device;
  w.work_first = w.block_first = ++w.stretch;
  w.thread = 0;
  w.blocks.clear();
  return w.stretch;
}

void watch_grid(const void* arguments, size_t argument_bytes) {
  watch().arguments = static_cast<const std::byte*>(arguments);
  watch().argument_bytes = argument_bytes;
}

void watch_block(uint64_t linear) {
  Watch& w = watch();
  watch_barrier();
  w.block_first = w.stretch;
  w.blocks.emplace_back(w.stretch, linear);
}

void watch_barrier() {
  Watch& w = watch();
  ++w.stretch;
  for (Clocks& clocks : w.clocks)
    if (clocks.used) clocks = {};
}

void watch_thread(unsigned thread, const Fiber& fiber) {
  watch().thread = thread;
  watch().fiber = &fiber;
}

void watch_exchange(unsigned warp, unsigned mask) {
  Clocks& clocks = watch().clocks[warp];
  clocks.used = true;
  uint32_t all[kWarp] = {};
  for (unsigned l = 0; l < kWarp; ++l) {
    if ((mask >> l & 1) == 0) continue;
    ++clocks.of[l][l];
    for (unsigned k = 0; k < kWarp; ++k) all[k] = std::max(all[k], clocks.of[l][k]);
  }
  for (unsigned l = 0; l < kWarp; ++l)
    if ((mask >> l & 1) != 0) std::memcpy(clocks.of[l], all, sizeof(all));
}

uint32_t next_stretch() { return watch().stretch + 1; }

void watch_memory(int device, const std::byte* start, size_t bytes) {
  watch().memory[static_cast<size_t>(device)].add(static_cast<size_t>(start - memory_of(device).base()),
                                                  bytes);
}
void unwatch_memory(int device, const std::byte* start, size_t bytes) {
  watch().memory[static_cast<size_t>(device)].remove(static_cast<size_t>(start - memory_of(device).base()),
                                                     bytes);
}

Touched take_touched() { return std::exchange(watch().touched, {}); }

std::string thread_text(uint64_t block, unsigned thread) {
  return "block " + index_text(block, grid_size()) + ", thread " + index_text(thread, block_size());
}

std::string running_thread_text() { return thread_text(watch().blocks.back().second, watch().thread); }

}  // namespace tensor::cuda::emulation
