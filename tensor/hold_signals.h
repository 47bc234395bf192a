// Code that must not be interrupted by a signal's handler.
#pragma once

#include <signal.h>

namespace tensor {

// While it lives, this thread takes no signal but those that a fault of its own raises (SIGSEGV and the
// like); a signal that comes meanwhile waits, or goes to another thread. Threads that are started meanwhile
// begin that way.
//
// oneDNN 2.6's generated matrix product uses its workspace as a stack, so the frame of a handler, whoever
// installed it, would land in the heap. Inside another one, and on the pool's workers, it costs nothing; else
// two system calls.
class HoldSignals {
 public:
  HoldSignals();
  ~HoldSignals();
  HoldSignals(const HoldSignals&) = delete;
  HoldSignals& operator=(const HoldSignals&) = delete;

 private:
  bool outermost_;
  sigset_t previous_;
};

}  // namespace tensor
