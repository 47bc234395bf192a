// What the tests of the emulated device itself have in common: a device's memory by CUDA's own calls, and its reports.
#pragma once

#include <cuda_runtime.h>

#include <string>
#include <vector>

#include "tensor/cuda/emulation/emulation.h"

namespace tests {

// A stream of a device, with memory for it. Reports are not shown while one lives.
class DeviceRun {
 public:
  explicit DeviceRun(int device = 0) {
    tensor::cuda::emulation::show_reports(false);
    cudaSetDevice(device);
    cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking);
  }
  ~DeviceRun() {
    cudaStreamSynchronize(stream_);
    tensor::cuda::emulation::take_reports();
    for (void* block : blocks_) cudaFree(block);
    cudaStreamDestroy(stream_);
    cudaSetDevice(0);
    cudaGetLastError();
    tensor::cuda::emulation::show_reports(true);
  }
  DeviceRun(const DeviceRun&) = delete;
  DeviceRun& operator=(const DeviceRun&) = delete;

  cudaStream_t stream() const { return stream_; }

  template <class T>
  T* empty(size_t count) {
    T* block = nullptr;
    cudaMalloc(&block, count * sizeof(T));
    blocks_.push_back(block);
    return block;
  }
  // The numbers 0, 1, ...
  template <class T>
  T* numbers(size_t count) {
    std::vector<T> values(count);
    for (size_t i = 0; i < count; ++i) values[i] = static_cast<T>(i);
    T* block = empty<T>(count);
    cudaMemcpyAsync(block, values.data(), count * sizeof(T), cudaMemcpyHostToDevice, stream_);
    return block;
  }
  template <class T>
  std::vector<T> values(const T* block, size_t count) {
    std::vector<T> values(count);
    cudaMemcpyAsync(values.data(), block, count * sizeof(T), cudaMemcpyDeviceToHost, stream_);
    return values;
  }

  // Waits, and gives the first report, or what the wait returned without one, or nothing.
  std::string fault() {
    const cudaError_t error = cudaStreamSynchronize(stream_);
    const std::vector<std::string> reports = tensor::cuda::emulation::take_reports();
    if (!reports.empty()) return reports[0] + " [" + cudaGetErrorName(error) + "]";
    return error == cudaSuccess ? "" : cudaGetErrorName(error);
  }

 private:
  cudaStream_t stream_ = nullptr;
  std::vector<void*> blocks_;
};

}  // namespace tests
