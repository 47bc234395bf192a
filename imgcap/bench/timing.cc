#include "imgcap/bench/timing.h"

#include <algorithm>

#include "tensor/cuda/runtime.h"
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

namespace {

std::map<std::string, tensor::cuda::LaunchCount> counted_so_far() {
  if (tensor::cuda::launch_statistics == nullptr) return {};
  return tensor::cuda::launch_statistics();
}

DeviceWork work_of(const std::function<void()>& call, const tensor::Device& device,
                   tensor::cuda::Runtime& runtime) {
  const auto before = counted_so_far();
  runtime.measure_launches();
  call();
  DeviceWork work;
  for (const tensor::cuda::LaunchTime& launch : runtime.measured_launches()) {
    if (launch.device != device) continue;
    ++work.launches;
    work.seconds += launch.duration_ms / 1e3;
    work.ops[launch.op].seconds += launch.duration_ms / 1e3;
  }
  for (const auto& [op, all] : counted_so_far()) {
    const auto first = before.find(op);
    const tensor::cuda::LaunchCount none, &earlier = first == before.end() ? none : first->second;
    if (all.launches > earlier.launches)
      work.ops[op].count = {all.launches - earlier.launches, all.flops - earlier.flops,
                            all.bytes - earlier.bytes};
  }
  return work;
}

Timing measure_on(const tensor::Device& device, const std::function<void()>& call, int64_t calls) {
  tensor::cuda::Runtime& runtime = tensor::cuda::runtime_of(device, "bench");
  runtime.wait(device.index);
  const auto start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < calls; ++i) call();
  runtime.wait(device.index);
  const double each = seconds_since(start) / static_cast<double>(calls);
  return {each, each, each, calls, work_of(call, device, runtime)};
}

}  // namespace

Timing measure(const std::function<void()>& call, int64_t warm_up, int64_t calls,
               const tensor::Device& device) {
  for (int64_t i = 0; i < warm_up; ++i) call();
  if (!device.is_cpu()) return measure_on(device, call, calls);
  std::vector<double> seconds;
  for (int64_t i = 0; i < calls; ++i) {
    const auto start = std::chrono::steady_clock::now();
    call();
    seconds.push_back(seconds_since(start));
  }
  return summary(std::move(seconds));
}

}  // namespace imgcap::bench
