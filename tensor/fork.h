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

// While one lives, fork() waits, and while fork() is at work, who wants to make one waits: for what takes several
// locks, or some that are not ours (of a library's caches and first calls). Held by a thread that the child does
// not have, they would stay locked there for ever. Several threads may have one each. Inside of another on the
// same thread it does nothing; tiles of a parallel_for that is called inside of one must make none.
//
// What is left: a function's static object that is made at its first call, outside of one. Ours are made while
// the program is loaded, inside of one, or with a mutex of hold_at_fork() held, but for tables (of checksums,
// tokenisers and names), which take less than a millisecond. Locks of the libraries that read and write
// pictures, and of the C library but for its allocator, are theirs.
class NoFork {
 public:
  NoFork();
  ~NoFork();
  NoFork(const NoFork&) = delete;
  NoFork& operator=(const NoFork&) = delete;
};

}  // namespace tensor::internal
