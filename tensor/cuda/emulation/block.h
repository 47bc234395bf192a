// Runs the blocks of a launch, one after the other: without barriers as a loop over the threads, with them as fibers that
// take turns in an order that the seed gives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "tensor/cuda/emulation/cuda_types.h"
#include "tensor/cuda/emulation/exchange.h"

namespace tensor::cuda::emulation {

struct Grid {
  std::string what;  // for reports
  dim3 grid, block;
  bool barriers;
  size_t dynamic_shared, most_shared;  // bytes
  uint64_t first_block, blocks;        // which of them run
  void (*run)(const void* arguments);  // one thread
  const void* arguments;
  size_t argument_bytes;
};

// Errors: WorkEnds, after a report.
void run_grid(const Grid& grid);

// What the thread that runs asks for; `place` is where it does.
void wait_for_block(const void* place);
// Among the lanes of `mask`: what the lane hears. Its order follows in any case.
uint64_t exchange_in_warp(Exchange how, unsigned mask, uint64_t given, int which, int width,
                          const void* place);

// Leaves the thread that runs, and the whole launch, after a report.
[[noreturn]] void end_launch();

dim3 grid_size();
dim3 block_size();
// Whether it is one of threadIdx and its like.
bool is_index(const void* address);
bool is_on_a_stack(const void* address);
bool is_behind_a_stack(const void* address);  // where a stack that is full goes on

}  // namespace tensor::cuda::emulation
