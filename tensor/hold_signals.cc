#include "tensor/hold_signals.h"

#include <initializer_list>

namespace tensor {
namespace {

thread_local bool held = false;

// glibc keeps out the two that it needs itself.
sigset_t all_but_faults() {
  sigset_t set;
  sigfillset(&set);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) sigdelset(&set, fault);
  return set;
}

}  // namespace

HoldSignals::HoldSignals() : outermost_(!held) {
  if (!outermost_) return;
  const sigset_t set = all_but_faults();
  pthread_sigmask(SIG_BLOCK, &set, &previous_);
  held = true;
}

HoldSignals::~HoldSignals() {
  if (!outermost_) return;
  held = false;
  pthread_sigmask(SIG_SETMASK, &previous_, nullptr);
}

}  // namespace tensor
