// Stacks of their own for the threads of a block: one runs until it hands back to whoever resumed it.
#pragma once

#include <cstddef>

namespace tensor::cuda::emulation {

class Fiber {
 public:
  static constexpr size_t kStack = size_t{1} << 17;

  Fiber() = default;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // From the start, wherever it was: what lay on its stack is forgotten. `entry` ends by a call of suspend().
  void start(void (*entry)());
  void resume();
  // Back to whoever resumed the fiber that calls this.
  static void suspend();

  // Whether these bytes are of its stack.
  bool holds(const void* address, size_t bytes) const;
  // Whether the address is in the page below its stack, on which nothing may lie.
  bool overflows_at(const void* address) const;

 private:
  std::byte* stack_ = nullptr;  // kept for the next block, and never given back
  void* context_ = nullptr;
  void (*entry_)() = nullptr;
};

}  // namespace tensor::cuda::emulation
