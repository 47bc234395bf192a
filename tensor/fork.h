// What makes kernels work in a child after fork(), where only the thread that called it goes on: the child's
// pool starts workers of its own when it first needs them.
#pragma once

#include <mutex>

namespace tensor::internal {

// fork() waits for `mutex`, which is never destroyed, so that the child does not find it locked by a thread
// that it does not have; there `in_child` runs before it is given back. For mutexes inside of which no other
// is taken; to be called while the program is loaded, before there are threads that could be inside.
// Objects that other threads were using at that moment may be half changed in the child.
void hold_at_fork(std::mutex& mutex, void (*in_child)() = nullptr);

}  // namespace tensor::internal
