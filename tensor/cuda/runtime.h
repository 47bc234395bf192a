// What a build brings for devices of type cuda. Which one is decided when a program is linked: nothing, and then each
// use of such a device is an error; CUDA's own or emulated devices (driver/); or the tests' fake device
// (tests/fake_device/). Kernels are found the same way:
// kernels.h declares cuda::NAME for each, and where none is linked it is null.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tensor/allocator.h"
#include "tensor/device.h"
#include "tensor/error.h"

namespace tensor::cuda {

// What a kernel does on the host, as a call without arguments.
struct HostCall {
  void (*run)(void* context);
  void* context;
};

// A copy to the host that is under way.
class Fetch {
 public:
  virtual ~Fetch() = default;
  // The bytes, when they have come; they stay as long as this object. Errors: as Runtime::wait.
  virtual const std::byte* wait() = 0;
};

// Of a kernel for which a device has no code.
class NoDeviceCode : public Error {
 public:
  NoDeviceCode(const char* kernel, Device device)
      : Error(ErrorKind::device,
              tensor::format("{}: {}: there is no device code for it yet", kernel, to_string(device))),
        kernel_(kernel) {}
  const char* kernel() const { return kernel_; }

 private:
  const char* kernel_;
};

// What one launch took, in milliseconds; `start` counts from the first one on its device that is measured.
struct LaunchTime {
  const char* op;
  Device device;
  double start_ms, duration_ms;
};

// A device's memory, in bytes: all of it, and what a program could still get.
struct DeviceMemory {
  int64_t total = 0, free = 0;
};

class Runtime {
 public:
  virtual int device_count() = 0;
  // Why the count is 0, for people: "no NVIDIA driver was found".
  virtual std::string why_none() = 0;
  // For people: "NVIDIA H100 80GB HBM3, sm_90, 79.19 GiB, driver for CUDA 13.0". Errors: cuda.
  virtual std::string describe(int device) = 0;
  // Whether its devices are the processor's own, for tests: nobody gains time by them.
  virtual bool is_emulated() = 0;
  // What this program keeps for itself counts as free. Errors: cuda.
  virtual DeviceMemory device_memory(int device) = 0;
  // At least `bytes` bytes of the device's memory, aligned to 256, contents undefined; null when there is no room.
  virtual std::byte* allocate(int device, int64_t bytes) = 0;
  // `bytes` is what allocate was called with. What was launched before may still use the block.
  virtual void release(int device, std::byte* block, int64_t bytes) noexcept = 0;
  virtual AllocatorStatistics memory_statistics(int device) = 0;
  // Until everything that was launched on the device has run. Errors: of the kernels that ran since the last wait (a
  // bad index), cuda.
  virtual void wait(int device) = 0;
  // Begins to copy what `bytes` bytes of the device's memory hold after all that was launched before; what is launched
  // afterwards does not change the copy, nor is it waited for.
  virtual std::unique_ptr<Fetch> fetch(int device, const std::byte* source, int64_t bytes) = 0;
  // From now on each launch is measured, by the device itself; what was measured before is forgotten.
  virtual void measure_launches() = 0;
  // Ends that, waits, and says what was measured, in the order of the launches. Errors: as wait.
  virtual std::vector<LaunchTime> measured_launches() = 0;
  // Runs a kernel for which this device has no code of its own by that of the CPU, if it can, which reads and writes
  // the device's memory. Errors: NoDeviceCode (it cannot), those of the kernel.
  virtual void run_on_host(const char* kernel, Device device, HostCall call) = 0;

 protected:
  ~Runtime() = default;  // never deleted: it outlives all tensors
};

// The one that is linked; null where there is none.
[[gnu::weak]] Runtime* linked_runtime();

// Errors: device ("OP: cuda:0: built without CUDA"; "OP: cuda:0: no NVIDIA driver was found"; "OP: cuda:2: there is 1
// device").
Runtime& runtime_of(Device device, const char* op);
// 0 in a build without.
int device_count();

}  // namespace tensor::cuda
