// Looks at what work on a device reads and writes, before it does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "tensor/cuda/emulation/cuda_types.h"
#include "tensor/cuda/emulation/memory.h"
#include "tensor/cuda/emulation/shadow.h"

namespace tensor::cuda::emulation {

class Fiber;

// Whether this thread of the program is within a kernel: only there the hooks look at accesses.
extern constinit thread_local bool in_kernel;

// While one lives a kernel's thread is in our own functions, which may touch what they want.
class OutOfKernel {
 public:
  OutOfKernel() { in_kernel = false; }
  ~OutOfKernel() { in_kernel = true; }
  OutOfKernel(const OutOfKernel&) = delete;
  OutOfKernel& operator=(const OutOfKernel&) = delete;
};

enum class Touch { read, write, update };  // the last one: both at once, as atomicAdd does

// A kernel's thread does this at a place in the program. Errors: there is a report, and the launch ends. `aligned`: the
// address has to be a multiple of the size.
void touch(Touch how, const void* address, size_t bytes, bool aligned, const void* return_address);

// For work that is no kernel, of whatever device: ends it with a report unless the bytes are in one block and, if they are
// read, were written.
void check_read(int device, const void* address, size_t bytes);
void check_write(int device, void* address, size_t bytes);

// --- who touches

// A work begins on a device; its number.
uint32_t watch_work(int device);
void watch_grid(const void* arguments, size_t argument_bytes);
void watch_block(uint64_t linear);                       // its index
void watch_barrier();                                    // all threads of the block were there
void watch_thread(unsigned thread, const Fiber& fiber);  // whose turn it is
// Lanes of a warp have waited for each other.
void watch_exchange(unsigned warp, unsigned mask);

// The stretch with which the next work begins; all until now comes before it.
uint32_t next_stretch();

// --- memory of devices

void watch_memory(int device, const std::byte* start, size_t bytes);
void unwatch_memory(int device, const std::byte* start, size_t bytes);

// --- what was touched, of the devices' memory, since the last call

struct Touched {
  int64_t read = 0, written = 0;                    // bytes
  int64_t distinct_read = 0, distinct_written = 0;  // each once
};
Touched take_touched();

// "block (1,0,0), thread (5,0,0)"
std::string thread_text(uint64_t block, unsigned thread);
std::string running_thread_text();

}  // namespace tensor::cuda::emulation
