// Whether ops record a graph on this thread.
#pragma once

namespace autograd {

// True (the default) when ops on variables that require gradients record nodes.
bool grad_enabled();

// Sets the mode for its lifetime and restores the former one: `NoGrad guard;` or `GradMode guard(true);`.
class GradMode {
 public:
  explicit GradMode(bool enabled);
  ~GradMode();
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;

 private:
  bool previous_;
};

class NoGrad : public GradMode {
 public:
  NoGrad() : GradMode(false) {}
};

}  // namespace autograd
