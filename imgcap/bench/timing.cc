#include "imgcap/bench/timing.h"

#include <algorithm>

#include "tensor/error.h"

namespace imgcap::bench {

double median(std::vector<double> values) {
  tensor::check(!values.empty(), tensor::ErrorKind::argument, "median: no values");
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

Timing summary(std::vector<double> seconds) {
  Timing timing;
  timing.median = median(seconds);
  timing.min = *std::min_element(seconds.begin(), seconds.end());
  timing.max = *std::max_element(seconds.begin(), seconds.end());
  timing.calls = static_cast<int64_t>(seconds.size());
  return timing;
}

Timing measure(const std::function<void()>& call, int64_t warm_up, int64_t calls) {
  for (int64_t i = 0; i < warm_up; ++i) call();
  std::vector<double> seconds;
  for (int64_t i = 0; i < calls; ++i) {
    const auto start = std::chrono::steady_clock::now();
    call();
    seconds.push_back(seconds_since(start));
  }
  return summary(std::move(seconds));
}

}  // namespace imgcap::bench
