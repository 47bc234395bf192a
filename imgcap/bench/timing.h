// How timings are taken and summed up.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tensor/cuda/launch_count.h"
#include "tensor/device.h"

namespace imgcap::bench {

// What one call asks of a device, by the device's own clock.
struct DeviceWork {
  struct Op {
    tensor::cuda::LaunchCount count;  // with what launches say that they compute and move
    double seconds = 0;
  };

  int64_t launches = 0;           // kernels, and copies on the stream of the kernels
  double seconds = 0;             // that they take; what lies between two of them is idle
  std::map<std::string, Op> ops;  // by name; also transfers on other streams, whose time is not known
};

// Seconds of one call over several.
struct Timing {
  double median = 0, min = 0, max = 0;
  int64_t calls = 0;
  std::optional<DeviceWork> device{};
};

// Errors: argument (no values).
Timing summary(std::vector<double> seconds);
double median(std::vector<double> values);

// `warm_up` calls that do not count, then `calls` that do. On a device they are not waited for one by one: median, min and
// max are their mean, from when the device was idle to when it is again; and a call more tells what each asks of it.
Timing measure(const std::function<void()>& call, int64_t warm_up, int64_t calls,
               const tensor::Device& device = {});

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace imgcap::bench
