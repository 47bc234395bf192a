#include "tensor/cuda/runtime.h"

#include <cuda_runtime.h>

#include "tensor/cuda/driver/bad_index.h"
#include "tensor/cuda/driver/check.h"
#include "tensor/cuda/driver/launches.h"
#include "tensor/cuda/driver/memory.h"
#include "tensor/cuda/driver/per_device.h"
#include "tensor/cuda/driver/streams.h"
#include "tensor/cuda/driver/transfer.h"
#include "tensor/cuda/launch.h"
#include "tensor/error.h"

namespace tensor::cuda {
namespace {

// "13.0" of 13000.
std::string version(int number) { return tensor::format("{}.{}", number / 1000, number % 1000 / 10); }

int driver_version() {
  int number = 0;
  static_cast<void>(cudaDriverGetVersion(&number));  // 0 where there is none
  return number;
}

struct Devices {
  int count = 0;
  std::string why_none;
};

std::string why_none(cudaError_t result) {
  if (driver_version() == 0) return "no NVIDIA driver was found";
  int runtime = 0;
  static_cast<void>(cudaRuntimeGetVersion(&runtime));
  if (result == cudaErrorInsufficientDriver)
    return tensor::format("the NVIDIA driver knows CUDA {} only, and this program needs {}",
                          version(driver_version()), version(runtime));
  if (result == cudaErrorNoDevice || result == cudaSuccess) return "the NVIDIA driver found no device";
  return cudaGetErrorString(result);
}

Devices look_for_devices() {
  Devices found;
  const cudaError_t result = cudaGetDeviceCount(&found.count);
  if (result != cudaSuccess) found.count = 0;
  if (found.count == 0) found.why_none = why_none(result);
  static_cast<void>(cudaGetLastError());
  return found;
}

class CudaRuntime final : public Runtime {
 public:
  int device_count() override { return devices().count; }
  std::string why_none() override { return devices().why_none; }

  std::string describe(int device) override {
    cudaDeviceProp properties{};
    check_result(cudaGetDeviceProperties(&properties, device), "describe", Device::cuda(device));
    return tensor::format("{}, sm_{}{}, {:.2f} GiB, driver for CUDA {}", properties.name, properties.major,
                          properties.minor, static_cast<double>(properties.totalGlobalMem) / (1 << 30),
                          version(driver_version()));
  }

  bool is_emulated() override { return note_launch != nullptr; }

  DeviceMemory device_memory(int index) override {
    const Device device = Device::cuda(index);
    const DeviceGuard guard(device);
    size_t free = 0, total = 0;
    check_result(cudaMemGetInfo(&free, &total), "device_memory", device);
    return {static_cast<int64_t>(total), static_cast<int64_t>(free) + memory_statistics(index).bytes_cached};
  }

  std::byte* allocate(int device, int64_t bytes) override {
    return of_device<Memory>(device).allocate(bytes);
  }
  void release(int device, std::byte* block, int64_t bytes) noexcept override {
    of_device<Memory>(device).release(block, bytes);
  }
  AllocatorStatistics memory_statistics(int device) override {
    return of_device<Memory>(device).statistics();
  }

  void wait(int index) override {
    const Device device = Device::cuda(index);
    const DeviceGuard guard(device);
    BadIndexReading indices(device);
    check_result(cudaStreamSynchronize(compute_stream(device)), "wait", device);
    indices.expect_none();
  }

  std::unique_ptr<Fetch> fetch(int device, const std::byte* source, int64_t bytes) override {
    return cuda::fetch(Device::cuda(device), source, bytes);
  }

  void measure_launches() override { cuda::measure_launches(); }
  std::vector<LaunchTime> measured_launches() override { return cuda::measured_launches(); }

  void run_on_host(const char* kernel, Device device, HostCall) override {
    throw NoDeviceCode(kernel, device);
  }

 private:
  static const Devices& devices() {
    static const Devices& found = *new Devices(look_for_devices());
    return found;
  }
};

}  // namespace

Runtime* linked_runtime() {
  static CudaRuntime& runtime = *new CudaRuntime;
  return &runtime;
}

}  // namespace tensor::cuda
