#include "tensor/cuda/driver/launches.h"

#include <atomic>
#include <mutex>
#include <string_view>
#include <utility>

#include "tensor/cuda/driver/check.h"
#include "tensor/cuda/driver/streams.h"

namespace tensor::cuda {
namespace {

struct Counts {
  std::mutex mutex;
  std::map<std::string, LaunchCount, std::less<>> by_op;
};

Counts& counts() {
  static Counts& all = *new Counts;
  return all;
}

// --- measuring: an event before and one behind each launch, on its stream

struct Measured {
  const char* op;
  Device device;
  cudaEvent_t begin = nullptr, end = nullptr;
};

struct Measurements {
  std::mutex mutex;
  std::vector<Measured> launches;
  std::map<int, cudaEvent_t> starts;  // of each device, before its first launch
};

std::atomic<bool> measures{false};
constinit thread_local cudaEvent_t begin_of_launch = nullptr;

Measurements& measurements() {
  static Measurements& all = *new Measurements;
  return all;
}

// Recorded on the device's compute stream; the device is selected.
cudaEvent_t recorded_event(Device device, const char* op) {
  cudaEvent_t event = nullptr;
  check_result(cudaEventCreateWithFlags(&event, cudaEventDefault), op, device);
  check_result(cudaEventRecord(event, compute_stream(device)), op, device);
  return event;
}

void measure_begin(const Launch& launch) {
  Measurements& all = measurements();
  const std::lock_guard lock(all.mutex);
  if (!all.starts.contains(launch.device.index))
    all.starts[launch.device.index] = recorded_event(launch.device, launch.op);
  begin_of_launch = recorded_event(launch.device, launch.op);
}

void measure_end(const Launch& launch, cudaEvent_t begin) {
  Measurements& all = measurements();
  const cudaEvent_t end = recorded_event(launch.device, launch.op);
  const std::lock_guard lock(all.mutex);
  all.launches.push_back({launch.op, launch.device, begin, end});
}

double milliseconds(cudaEvent_t from, cudaEvent_t to, Device device) {
  float ms = 0;
  check_result(cudaEventElapsedTime(&ms, from, to), "profile", device);
  return static_cast<double>(ms);
}

// What was measured before is let go of.
void forget(Measurements& all) {
  for (const Measured& launch : all.launches)
    for (const cudaEvent_t event : {launch.begin, launch.end}) static_cast<void>(cudaEventDestroy(event));
  for (const auto& [device, event] : all.starts) static_cast<void>(cudaEventDestroy(event));
  all.launches.clear();
  all.starts.clear();
}

}  // namespace

std::map<std::string, LaunchCount> launch_statistics() {
  Counts& all = counts();
  const std::lock_guard lock(all.mutex);
  return {all.by_op.begin(), all.by_op.end()};
}

void count_launch(const Launch& launch) {
  Counts& all = counts();
  const std::lock_guard lock(all.mutex);
  auto op = all.by_op.find(std::string_view(launch.op));
  if (op == all.by_op.end()) op = all.by_op.emplace(launch.op, LaunchCount{}).first;
  op->second.launches += 1;
  op->second.flops += launch.flops;
  op->second.bytes += launch.bytes;
}

void measure_launches() {
  Measurements& all = measurements();
  const std::lock_guard lock(all.mutex);
  forget(all);
  measures = true;
}

std::vector<LaunchTime> measured_launches() {
  measures = false;
  Measurements& all = measurements();
  const std::lock_guard lock(all.mutex);
  std::vector<LaunchTime> times;
  for (const Measured& launch : all.launches) {
    const DeviceGuard guard(launch.device);
    check_result(cudaEventSynchronize(launch.end), "profile", launch.device);
    times.push_back({launch.op, launch.device,
                     milliseconds(all.starts.at(launch.device.index), launch.begin, launch.device),
                     milliseconds(launch.begin, launch.end, launch.device)});
  }
  forget(all);
  return times;
}

cudaStream_t begin_launch(const Launch& launch) {
  const cudaStream_t stream = compute_stream(launch.device);
  select(launch.device);
  count_launch(launch);
  if (measures.load(std::memory_order_relaxed)) [[unlikely]]
    measure_begin(launch);
  if (note_launch != nullptr) note_launch(launch);
  return stream;
}

void end_launch(const Launch& launch, cudaError_t result) {
  const cudaEvent_t begin = std::exchange(begin_of_launch, nullptr);
  count_work(launch.device);
  const cudaError_t last = cudaGetLastError();  // which also forgets what is no device's lasting error
  check_result(result != cudaSuccess ? result : last, launch.op, launch.device);
  if (begin != nullptr) [[unlikely]]
    measure_end(launch, begin);
  if (waits_after_each_launch())
    check_result(cudaStreamSynchronize(compute_stream(launch.device)), launch.op, launch.device);
}

}  // namespace tensor::cuda
