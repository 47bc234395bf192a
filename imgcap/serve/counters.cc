#include "imgcap/serve/counters.h"

#include "tensor/format.h"

namespace imgcap::serve {

using tensor::format;

void Counters::answered(const std::string& route, int status, double seconds) {
  const std::lock_guard lock(mutex_);
  ++answers_[{route, status}];
  Durations& durations = durations_[route];
  ++durations.count;
  durations.sum += seconds;
  for (size_t i = 0; i < kBounds.size(); ++i) durations.counts[i] += seconds <= kBounds[i];
}

void Counters::captioned(int64_t photos) {
  const std::lock_guard lock(mutex_);
  photos_ += photos;
}

std::string Counters::text(const std::vector<Gauge>& gauges) const {
  const std::lock_guard lock(mutex_);
  std::string out;
  const auto head = [&](const char* name, const char* help, const char* type) {
    out += format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  };
  head("imgcap_answers_total", "Answers by route and status.", "counter");
  for (const auto& [key, count] : answers_)
    out += format("imgcap_answers_total{{route=\"{}\",status=\"{}\"}} {}\n", key.first, key.second, count);
  head("imgcap_answer_seconds", "From a request's first byte to its answer's last, in seconds.", "histogram");
  for (const auto& [route, durations] : durations_) {
    for (size_t i = 0; i < kBounds.size(); ++i)
      out += format("imgcap_answer_seconds_bucket{{route=\"{}\",le=\"{}\"}} {}\n", route, kBounds[i],
                    durations.counts[i]);
    out += format("imgcap_answer_seconds_bucket{{route=\"{0}\",le=\"+Inf\"}} {1}\n", route, durations.count);
    out += format("imgcap_answer_seconds_sum{{route=\"{}\"}} {}\n", route, durations.sum);
    out += format("imgcap_answer_seconds_count{{route=\"{}\"}} {}\n", route, durations.count);
  }
  head("imgcap_photos_total", "Photos that were captioned.", "counter");
  out += format("imgcap_photos_total {}\n", photos_);
  for (const Gauge& gauge : gauges) {
    head(gauge.name, gauge.help, "gauge");
    out += format("{} {}\n", gauge.name, gauge.value);
  }
  return out;
}

}  // namespace imgcap::serve
