#include "tensor/cuda/driver/bad_index.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>

#include "tensor/cuda/driver/check.h"
#include "tensor/cuda/driver/per_device.h"
#include "tensor/cuda/driver/streams.h"
#include "tensor/error.h"

namespace tensor::cuda {
namespace {

// A device's note, and what would be said of its launches.
struct BadIndexes {
  static constexpr uint64_t kTexts = 1024;  // of the last launches; a training step has about a hundred

  explicit BadIndexes(int index) : device(Device::cuda(index)) {
    const DeviceGuard guard(device);
    check_result(cudaMalloc(&note, sizeof(BadIndexNote)), "check_indices", device);
    clear();
  }
  void clear() const {
    check_result(cudaMemsetAsync(note, 0, sizeof(BadIndexNote), compute_stream(device)), "check_indices",
                 device);
  }

  const Device device;
  BadIndexNote* note = nullptr;
  std::mutex mutex;  // of what follows
  uint64_t last = 0, read = 0,
           reported = 0;  // launches: all, those whose note has come, those before an error
  std::array<std::pair<uint64_t, BadIndexText>, kTexts> texts;
};

std::string text_of(const BadIndexes& all, const BadIndexNote& note) {
  const auto& [launch, text] = all.texts[note.launch % BadIndexes::kTexts];
  const auto index = static_cast<int64_t>(note.index), position = static_cast<int64_t>(note.position);
  if (launch == note.launch) return text(index, position);
  return tensor::format("{}: a kernel has met index {} at position {}, which is out of range",
                        to_string(all.device), index, position);
}

}  // namespace

IndexCheck check_indices(Device device, BadIndexText text) {
  auto& all = of_device<BadIndexes>(device.index);
  const std::lock_guard lock(all.mutex);
  ++all.last;
  all.texts[all.last % BadIndexes::kTexts] = {all.last, std::move(text)};
  return {all.note, all.last};
}

BadIndexReading::BadIndexReading(Device device) : device_(device) {
  auto& all = of_device<BadIndexes>(device.index);
  {
    const std::lock_guard lock(all.mutex);
    if (all.last == all.read) return;
    last_launch_ = all.last;
  }
  const DeviceGuard guard(device);
  block_ = of_device<StagingMemory>(device.index).small.take();
  const cudaStream_t stream = compute_stream(device);
  cudaError_t result =
      cudaMemcpyAsync(block_.data, all.note, sizeof(BadIndexNote), cudaMemcpyDeviceToHost, stream);
  if (result == cudaSuccess) result = cudaEventRecord(block_.read, stream);
  check_result(result, "wait", device);
}

BadIndexReading::~BadIndexReading() {
  if (block_.data != nullptr) of_device<StagingMemory>(device_.index).small.give_back(block_);
}

void BadIndexReading::expect_none() {
  if (block_.data == nullptr) return;
  const auto& note = *reinterpret_cast<const BadIndexNote*>(block_.data);
  auto& all = of_device<BadIndexes>(device_.index);
  const std::lock_guard lock(all.mutex);
  all.read = std::max(all.read, last_launch_);
  if (note.launch <= all.reported) return;
  all.reported = all.last;
  all.clear();
  throw Error(ErrorKind::index, text_of(all, note));
}

}  // namespace tensor::cuda
