#include "tensor/cuda/emulation/block.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "tensor/cuda/emulation/fiber.h"
#include "tensor/cuda/emulation/order.h"
#include "tensor/cuda/emulation/places.h"
#include "tensor/cuda/emulation/report.h"
#include "tensor/cuda/emulation/shared_memory.h"
#include "tensor/cuda/emulation/streams.h"
#include "tensor/cuda/emulation/watch.h"

// Constants to the kernels (cuda_device.h), and so declared here alone: each thread finds its own.
uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;
extern const int warpSize;
const int warpSize = 32;

namespace tensor::cuda::emulation {
namespace {

constexpr unsigned kWarp = 32, kThreads = 1024;

enum class State { runnable, at_barrier, in_exchange, ended };

struct Thread {
  Fiber fiber;
  uint3 index{};
  State state = State::runnable;
  const void* place = nullptr;  // where it waits
  unsigned mask = 0;            // for whom,
  Exchange how{};               // and what it wants of them
  int which = 0, width = 0;
  uint64_t value = 0;  // given, then heard
};

// What runs now.
struct Running {
  const Grid* grid = nullptr;
  uint64_t block = 0;  // its index
  Thread threads[kThreads];
  unsigned current = 0, count = 0;       // which of the block's threads has its turn, and how many there are
  std::vector<unsigned> runnable, next;  // in this turn, and in the next one
  bool failed = false;
};
Running& running() {
  static Running* const it = new Running;
  return *it;
}

uint3 index_of(uint64_t linear, const dim3& size) {
  return {static_cast<unsigned>(linear % size.x), static_cast<unsigned>(linear / size.x % size.y),
          static_cast<unsigned>(linear / size.x / size.y)};
}

void begin_block(uint64_t block) {
  const Grid& grid = *running().grid;
  running().block = block;
  blockIdx = index_of(block, grid.grid);
  begin_shared_memory(grid.dynamic_shared, grid.most_shared);
  watch_block(block);
}

// --- a launch without barriers, all on the first thread's stack

void run_loop() {
  Running& r = running();
  const Grid& grid = *r.grid;
  Order blocks(grid.blocks, random_order());
  for (uint64_t b = 0; b < grid.blocks; ++b) {
    begin_block(grid.first_block + blocks.next());
    Order order(r.count, random_order());
    for (unsigned t = 0; t < r.count; ++t) {
      r.current = static_cast<unsigned>(order.next());
      threadIdx = index_of(r.current, grid.block);
      watch_thread(r.current, r.threads[0].fiber);
      in_kernel = true;
      grid.run(grid.arguments);
      in_kernel = false;
    }
  }
  Fiber::suspend();
}

// --- a launch with barriers

void run_thread() {
  in_kernel = true;
  running().grid->run(running().grid->arguments);
  in_kernel = false;
  running().threads[running().current].state = State::ended;
  Fiber::suspend();
}

void shuffle(std::vector<unsigned>& threads) {
  for (size_t n = threads.size(); n > 1; --n) std::swap(threads[n - 1], threads[random_order().below(n)]);
}

std::string waits_at(unsigned thread) {
  return thread_text(running().block, thread) + " waits at " +
         line_of(place_of(running().threads[thread].place));
}

// Where another thread is that does not wait at the same barrier.
std::string is_elsewhere(unsigned thread) {
  const Thread& t = running().threads[thread];
  const std::string name = thread_text(running().block, thread);
  if (t.state == State::ended) return name + " has ended";
  return name + (t.state == State::at_barrier ? " waits for the block at " : " waits for its warp at ") +
         line_of(place_of(t.place));
}

[[noreturn]] void report_and_end(const std::string& text) {
  report(cudaErrorLaunchFailure, text);
  throw WorkEnds{};
}

// A compiler may copy a barrier, so it is known by its line.
bool at_same_barrier(const Thread& a, const Thread& b) {
  return a.state == State::at_barrier && b.state == State::at_barrier &&
         (a.place == b.place || line_of(place_of(a.place)) == line_of(place_of(b.place)));
}

// Of a lane whose warp never comes: the first one that it waits for.
[[noreturn]] void report_absent_lane(unsigned thread) {
  const Running& r = running();
  const unsigned first = thread / kWarp * kWarp;
  for (unsigned l = 0; l < kWarp; ++l) {
    if ((r.threads[thread].mask >> l & 1) == 0) continue;
    const unsigned other = first + l;
    if (other >= r.count)
      report_and_end("an absent lane: " + waits_at(thread) + " for lane " + std::to_string(l) +
                     ", which the block does not have");
    if (r.threads[other].state != State::in_exchange || r.threads[other].mask != r.threads[thread].mask)
      report_and_end("an absent lane: " + waits_at(thread) + ", and " + is_elsewhere(other));
  }
  report_and_end("an absent lane: " + waits_at(thread));
}

// Nobody can go on: all have ended, or all wait at one barrier, or some wait in vain. Whether the block goes on.
bool pass_barrier() {
  Running& r = running();
  for (unsigned t = 0; t < r.count; ++t)
    if (r.threads[t].state == State::in_exchange) report_absent_lane(t);
  unsigned waiting = 0;
  while (waiting < r.count && r.threads[waiting].state != State::at_barrier) ++waiting;
  if (waiting == r.count) return false;
  for (unsigned t = 0; t < r.count; ++t)
    if (!at_same_barrier(r.threads[t], r.threads[waiting]))
      report_and_end("a barrier that not all threads reach: " + waits_at(waiting) + ", and " +
                     is_elsewhere(t));
  for (unsigned t = 0; t < r.count; ++t) {
    r.threads[t].state = State::runnable;
    r.next.push_back(t);
  }
  watch_barrier();
  return true;
}

// Each thread that can go on, until it waits.
void take_turns() {
  Running& r = running();
  std::swap(r.runnable, r.next);
  r.next.clear();
  shuffle(r.runnable);
  for (const unsigned t : r.runnable) {
    r.current = t;
    threadIdx = r.threads[t].index;
    watch_thread(t, r.threads[t].fiber);
    r.threads[t].fiber.resume();
    if (r.failed) throw WorkEnds{};
  }
}

void run_block() {
  Running& r = running();
  r.next.clear();
  for (unsigned t = 0; t < r.count; ++t) {
    r.threads[t].fiber.start(run_thread);
    r.threads[t].state = State::runnable;
    r.threads[t].index = index_of(t, r.grid->block);
    r.next.push_back(t);
  }
  do {
    while (!r.next.empty()) take_turns();
  } while (pass_barrier());
}

[[noreturn]] void refuse(const std::string& text, const void* place) {
  report(cudaErrorLaunchFailure,
         thread_text(running().block, running().current) + " " + text + " at " + line_of(place_of(place)));
  end_launch();
}

// --- exchanges: the last lane that comes does the work for all

// The number of the lane that this one hears.
unsigned lane_heard(const Thread& t, unsigned lane) {
  const int own = static_cast<int>(lane), first = own / t.width * t.width, last = first + t.width - 1;
  const auto within = [&](int heard) {
    return static_cast<unsigned>(heard < first || heard > last ? own : heard);
  };
  switch (t.how) {
    case Exchange::from_lane:
      return static_cast<unsigned>(first + (t.which & (t.width - 1)));
    case Exchange::from_below:
      return within(own - t.which);
    case Exchange::from_above:
      return within(own + t.which);
    case Exchange::from_xor:
      return (own ^ t.which) > last ? lane : static_cast<unsigned>(own ^ t.which);
    default:
      return lane;
  }
}

bool all_came(unsigned first, unsigned mask) {
  const Running& r = running();
  for (unsigned l = 0; l < kWarp; ++l) {
    if ((mask >> l & 1) == 0) continue;
    const unsigned t = first + l;
    if (t >= r.count || r.threads[t].state != State::in_exchange || r.threads[t].mask != mask) return false;
  }
  return true;
}

void answer_all(unsigned first, unsigned mask) {
  Running& r = running();
  uint64_t heard[kWarp] = {}, votes = 0;
  for (unsigned l = 0; l < kWarp; ++l)
    if ((mask >> l & 1) != 0) votes |= (r.threads[first + l].value & 1) << l;
  for (unsigned l = 0; l < kWarp; ++l) {
    if ((mask >> l & 1) == 0) continue;
    const Thread& t = r.threads[first + l];
    const unsigned other = lane_heard(t, l);
    if ((mask >> other & 1) == 0) {
      r.current = first + l;
      refuse("hears lane " + std::to_string(other) + ", which is not of those that exchange,", t.place);
    }
    heard[l] = t.how == Exchange::votes ? votes : r.threads[first + other].value;
  }
  for (unsigned l = 0; l < kWarp; ++l) {
    if ((mask >> l & 1) == 0) continue;
    r.threads[first + l].value = heard[l];
    r.threads[first + l].state = State::runnable;
    if (first + l != r.current) r.next.push_back(first + l);
  }
  watch_exchange(first / kWarp, mask);
}

}  // namespace

void end_launch() {
  running().failed = true;
  Fiber::suspend();
  __builtin_unreachable();
}

void wait_for_block(const void* place) {
  const OutOfKernel out;
  Running& r = running();
  if (!r.grid->barriers) refuse("has a barrier, in a launch that says it has none,", place);
  r.threads[r.current].state = State::at_barrier;
  r.threads[r.current].place = place;
  Fiber::suspend();
}

uint64_t exchange_in_warp(Exchange how, unsigned mask, uint64_t given, int which, int width,
                          const void* place) {
  const OutOfKernel out;
  Running& r = running();
  if (!r.grid->barriers) refuse("exchanges within its warp, in a launch that says it has no barrier,", place);
  const unsigned first = r.current / kWarp * kWarp, lane = r.current % kWarp;
  if ((mask >> lane & 1) == 0) refuse("is not in the mask of its own exchange", place);
  Thread& own = r.threads[r.current];
  own.state = State::in_exchange;
  own.place = place;
  own.how = how;
  own.mask = mask;
  own.which = which;
  own.width = width;
  own.value = given;
  if (all_came(first, mask))
    answer_all(first, mask);
  else
    Fiber::suspend();
  return own.value;
}

void run_grid(const Grid& grid) {
  Running& r = running();
  r.grid = &grid;
  r.failed = false;
  r.count = grid.block.x * grid.block.y * grid.block.z;
  blockDim = grid.block;
  gridDim = grid.grid;
  watch_grid(grid.arguments, grid.argument_bytes);
  if (!grid.barriers) {
    r.threads[0].fiber.start(run_loop);
    r.threads[0].fiber.resume();
    if (r.failed) throw WorkEnds{};
    return;
  }
  Order blocks(grid.blocks, random_order());
  for (uint64_t b = 0; b < grid.blocks; ++b) {
    begin_block(grid.first_block + blocks.next());
    run_block();
  }
}

dim3 grid_size() { return gridDim; }
dim3 block_size() { return blockDim; }

bool is_index(const void* address) {
  const auto of = [&](const auto& object) {
    return reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(&object) < sizeof(object);
  };
  return of(threadIdx) || of(blockIdx) || of(blockDim) || of(gridDim);
}

bool is_on_a_stack(const void* address) {
  return std::ranges::any_of(running().threads, [&](const Thread& t) { return t.fiber.holds(address, 1); });
}
bool is_behind_a_stack(const void* address) {
  return std::ranges::any_of(running().threads,
                             [&](const Thread& t) { return t.fiber.overflows_at(address); });
}

}  // namespace tensor::cuda::emulation
