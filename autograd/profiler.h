// Where the time of a training step goes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace autograd {

// What `profile` measured on the calling thread; times in milliseconds.
struct Profile {
  // One op, all its calls together.
  struct Op {
    std::string name;
    int64_t calls = 0, backward_calls = 0;
    double forward_ms = 0, backward_ms = 0;
    int64_t bytes = 0;  // of its results, forward
  };
  // One kernel on devices of type cuda, all its launches together. Other times are the host's, which only asks for them.
  struct Launched {
    std::string name;
    int64_t launches = 0;
    double ms = 0;
  };
  // One interval. `kind`: forward, backward, module, kernel, or launch, which is the device's own.
  struct Event {
    std::string name, kind, scope, shapes;
    double start_ms = 0, duration_ms = 0;
    int64_t bytes = 0;
  };

  std::vector<Op> ops;        // the longest first
  std::vector<Event> events;  // in the order of their ends
  double total_ms = 0;
  std::vector<Launched> launched;          // the longest first
  int64_t peak_bytes = 0;                  // of tensors, the most at one time so far in this process
  std::vector<int64_t> device_peak_bytes;  // the same on each device of type cuda

  // One line per op and a last one for what is in none: adding gradients up, the optimiser, the program
  // itself; one line per kernel on devices.
  std::string table() const;
  // For chrome://tracing or ui.perfetto.dev: modules, ops and kernels as nested bars, and devices' launches below.
  std::string chrome_trace() const;
};

// Runs f and measures it. A forward op's time runs from its first kernel to the recording of its result; a
// backward op's is all that its node's apply takes. Ops are seen when they record a graph, kernels always.
//
//   const autograd::Profile p = autograd::profile([&] { model.loss(batch).backward(); });
//   std::cout << p.table();
Profile profile(const std::function<void()>& f);

}  // namespace autograd
