#include "autograd/grad_mode.h"

namespace autograd {
namespace {
thread_local bool enabled = true;
}

bool grad_enabled() { return enabled; }

GradMode::GradMode(bool on) : previous_(enabled) { enabled = on; }
GradMode::~GradMode() { enabled = previous_; }

}  // namespace autograd
