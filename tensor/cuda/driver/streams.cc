#include "tensor/cuda/driver/streams.h"

#include <array>
#include <atomic>
#include <mutex>

#include "tensor/cuda/driver/check.h"
#include "tensor/cuda/driver/per_device.h"

namespace tensor::cuda {
namespace {

// An event that was recorded when at least `work` pieces were queued before it.
struct Mark {
  uint64_t work = 0;
  cudaEvent_t event = nullptr;
};

struct Streams {
  static constexpr size_t kMarks = 16;

  explicit Streams(int index) {
    const Device device = Device::cuda(index);
    const DeviceGuard guard(device);
    for (cudaStream_t* stream : {&compute, &copy})
      check_result(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking), "stream", device);
    for (cudaEvent_t* point : {&compute_point, &copy_point})
      check_result(cudaEventCreateWithFlags(point, cudaEventDisableTiming), "stream", device);
    for (Mark& mark : marks)
      check_result(cudaEventCreateWithFlags(&mark.event, cudaEventDisableTiming), "stream", device);
  }

  // The latest one is `last`, before it the others, the oldest behind it.
  const Mark& mark_before(size_t n) const { return marks[(last + kMarks - n) % kMarks]; }

  cudaStream_t compute = nullptr, copy = nullptr;
  std::atomic<uint64_t> work{0};
  std::mutex mutex;  // of what follows
  // Where a stream was when another began to wait for it.
  cudaEvent_t compute_point = nullptr, copy_point = nullptr;
  std::array<Mark, kMarks> marks;
  size_t last = 0;
};

int selected() {
  int index = 0;
  static_cast<void>(cudaGetDevice(&index));  // as each thread begins, where CUDA has nothing to say
  return index;
}

}  // namespace

cudaStream_t compute_stream(Device device) { return of_device<Streams>(device.index).compute; }
cudaStream_t copy_stream(Device device) { return of_device<Streams>(device.index).copy; }

void select(Device device) {
  if (device.index != selected()) check_result(cudaSetDevice(device.index), "select", device);
}

DeviceGuard::DeviceGuard(Device device) : former_(Device::cuda(selected())) { select(device); }

DeviceGuard::~DeviceGuard() {
  // It was the thread's before, so this cannot fail but for a broken device, whose next use says so.
  if (former_.index != selected()) static_cast<void>(cudaSetDevice(former_.index));
}

void wait_for_stream(cudaStream_t waiting, cudaStream_t first, Device device, const char* op) {
  const DeviceGuard guard(device);
  Streams& streams = of_device<Streams>(device.index);
  const std::lock_guard lock(streams.mutex);
  const cudaEvent_t point = first == streams.copy ? streams.copy_point : streams.compute_point;
  check_result(cudaEventRecord(point, first), op, device);
  check_result(cudaStreamWaitEvent(waiting, point, 0), op, device);
}

void count_work(Device device) { of_device<Streams>(device.index).work.fetch_add(1); }
uint64_t work_so_far(Device device) { return of_device<Streams>(device.index).work.load(); }

void wait_for_work(cudaStream_t waiting, uint64_t number, Device device, const char* op) {
  const DeviceGuard guard(device);
  Streams& streams = of_device<Streams>(device.index);
  const std::lock_guard lock(streams.mutex);
  if (const uint64_t now = streams.work.load(); streams.mark_before(0).work < now) {
    streams.last = (streams.last + 1) % Streams::kMarks;
    Mark& mark = streams.marks[streams.last];
    mark.work = now;
    check_result(cudaEventRecord(mark.event, streams.compute), op, device);
  }
  if (number == 0) return;
  size_t n = 0;  // the earliest that is behind the work
  while (n + 1 < Streams::kMarks && streams.mark_before(n + 1).work >= number) ++n;
  check_result(cudaStreamWaitEvent(waiting, streams.mark_before(n).event, 0), op, device);
}

}  // namespace tensor::cuda
