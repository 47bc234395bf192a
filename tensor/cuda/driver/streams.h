// The order in which a device does its work. Each has two streams: kernels run on one, one after the other; what comes
// from the host is copied on the other meanwhile. Neither waits for CUDA's legacy stream.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "tensor/device.h"

namespace tensor::cuda {

cudaStream_t compute_stream(Device device);
cudaStream_t copy_stream(Device device);

// Makes the device the calling thread's: CUDA's calls concern that one. Asks CUDA, which remembers it for each thread, as
// other code of the program may choose, too.
void select(Device device);

// The device is the thread's while one lives; then the former one is again.
class DeviceGuard {
 public:
  explicit DeviceGuard(Device device);
  ~DeviceGuard();
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  Device former_;
};

// What is queued on `waiting` from now on runs after all that is queued on `first`, a stream of `device`, so far. Errors:
// cuda.
void wait_for_stream(cudaStream_t waiting, cudaStream_t first, Device device, const char* op);

// The work on a compute stream is counted, so that others may wait for a part of it. After something was queued there:
void count_work(Device device);
uint64_t work_so_far(Device device);
// As wait_for_stream, for the first `number` pieces of the device's work, and as little beyond as events allow: each call
// leaves one where the stream is. Errors: cuda.
void wait_for_work(cudaStream_t waiting, uint64_t number, Device device, const char* op);

}  // namespace tensor::cuda
