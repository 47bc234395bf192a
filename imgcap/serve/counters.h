// What the service counts, as Prometheus reads it (text format 0.0.4).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace imgcap::serve {

class Counters {
 public:
  // `route`: one of the service's own names, never a client's text.
  void answered(const std::string& route, int status, double seconds);
  void captioned(int64_t photos);

  // The text, and one line more for each of `gauges`: name, sentence, value.
  struct Gauge {
    const char *name, *help;
    int64_t value;
  };
  std::string text(const std::vector<Gauge>& gauges) const;

 private:
  static constexpr std::array<double, 10> kBounds = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
  struct Durations {
    std::array<int64_t, kBounds.size()> counts{};  // of those up to each bound
    int64_t count = 0;
    double sum = 0;
  };

  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, int64_t> answers_;
  std::map<std::string, Durations> durations_;
  int64_t photos_ = 0;
};

}  // namespace imgcap::serve
