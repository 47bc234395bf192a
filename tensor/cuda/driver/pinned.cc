#include "tensor/cuda/driver/pinned.h"

#include "tensor/cuda/driver/check.h"
#include "tensor/cuda/driver/streams.h"

namespace tensor::cuda {

PinnedBlock Pinned::take() {
  const Device device = Device::cuda(device_);
  const DeviceGuard guard(device);
  const std::lock_guard lock(mutex_);
  if (given_back_.empty()) return make();  // more than the most only while many threads copy at one time
  const PinnedBlock oldest = given_back_.front();
  cudaError_t read = cudaEventQuery(oldest.read);
  if (read == cudaErrorNotReady) {
    static_cast<void>(cudaGetLastError());  // no error
    if (made_ < most_) return make();
    read = cudaEventSynchronize(oldest.read);
  }
  check_result(read, "copy", device);
  given_back_.pop_front();
  return oldest;
}

void Pinned::give_back(const PinnedBlock& block) {
  const std::lock_guard lock(mutex_);
  given_back_.push_back(block);
}

PinnedBlock Pinned::make() {
  const Device device = Device::cuda(device_);
  PinnedBlock block;
  void* data = nullptr;
  check_result(cudaMallocHost(&data, static_cast<size_t>(bytes_)), "copy", device);
  block.data = static_cast<std::byte*>(data);
  check_result(cudaEventCreateWithFlags(&block.read, cudaEventDisableTiming), "copy", device);
  ++made_;
  return block;
}

}  // namespace tensor::cuda
