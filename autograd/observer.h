// What hears of each op and each step of a backward pass on this thread: the profiler, anomaly mode,
// summaries.
#pragma once

#include <string>
#include <vector>

#include "autograd/variable.h"

namespace autograd {

class Observer;

namespace internal {
extern constinit thread_local Observer* observers;  // the newest; null nearly always, and then all is free
}

// Listens on the thread that made it, for its lifetime. The last one made has to go first.
class Observer {
 public:
  Observer() : next_(internal::observers) { internal::observers = this; }
  virtual ~Observer() { internal::observers = next_; }
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;
  Observer* next() const { return next_; }

  // An op has given its results. `node`: null when no graph is recorded.
  virtual void op(const Node* /*node*/, const std::vector<Tensor>& /*outputs*/, const Variables& /*inputs*/) {
  }
  virtual void backward_begins(const Node& /*node*/) {}
  // `gradients` went in, `results` came out (none for a leaf).
  virtual void backward_ended(const Node& /*node*/, const Variables& /*gradients*/,
                              const Variables& /*results*/) {}
  virtual void scope_entered() {}
  virtual void scope_left() {}  // while it is still the current one
  // A module is called inside another that does not know its parameters; `what` says which and where.
  virtual void module_left_out(const std::string& /*what*/) {}

 private:
  Observer* next_;
};

}  // namespace autograd
