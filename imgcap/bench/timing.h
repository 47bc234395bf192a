// How timings are taken and summed up.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

namespace imgcap::bench {

// Seconds of one call over several.
struct Timing {
  double median = 0, min = 0, max = 0;
  int64_t calls = 0;
};

// Errors: argument (no values).
Timing summary(std::vector<double> seconds);
double median(std::vector<double> values);

// `warm_up` calls that do not count, then `calls` that do.
Timing measure(const std::function<void()>& call, int64_t warm_up, int64_t calls);

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace imgcap::bench
