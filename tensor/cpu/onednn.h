// Who may call oneDNN, and when.
#pragma once

#if defined(IMGCAP_HAVE_ONEDNN)
#include "tensor/fork.h"
#include "tensor/hold_signals.h"
#endif

namespace tensor::cpu {

#if defined(IMGCAP_HAVE_ONEDNN)
// For the duration of a whole product, not of each of its tiles: holds this thread's signals, lets fork() wait
// (for the locks of oneDNN's caches and of its first calls), and says whether oneDNN may be called. It may not
// once the program ends: its generated code goes with its static objects. What comes later, from the destructor
// of another static object or from a thread that nobody waits for, is computed without it; what is running then
// is waited for.
class OneDnnProduct {
 public:
  OneDnnProduct();
  bool allowed() const { return counted_.allowed; }

 private:
  // Counts a product while it lives, unless oneDNN is gone.
  struct Counted {
    bool allowed;

    Counted();
    ~Counted();
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
  };

  const HoldSignals hold_;  // first, so that no handler forks inside
  const tensor::internal::NoFork no_fork_;
  const Counted counted_;  // a member: it counts down when the constructor throws
};

// To be called on each thread before a tile: oneDNN's OpenMP threads would fight with our pool for the cores.
void keep_onednn_on_this_thread();
#endif

}  // namespace tensor::cpu
