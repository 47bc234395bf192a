// How a kernel of the page (kernels.h) is called. Each is one object that holds its implementations; a call
// checks that all tensors are on one device, makes the checks that hold on every device, converts 16-bit
// floats where the table (kernel_types.h) says so, and runs the device's implementation.
#pragma once

#include <tuple>
#include <type_traits>
#include <vector>

#include "tensor/kernel_call.h"
#include "tensor/kernel_types.h"
#include "tensor/tensor.h"
#include "tensor/widening.h"

namespace tensor {
namespace internal {

// The device of all defined tensors that it is shown; a device error when they differ, or, for a kernel that
// takes `several`, the first device that is not the CPU.
struct DeviceOf {
  const char* kernel;
  bool several;
  Device device{};
  bool any = false;

  void operator()(const Tensor& t) {
    if (!t.defined()) return;
    if (any && !several && t.device() != device) [[unlikely]]
      devices_differ(kernel, device, t.device());
    if (device.is_cpu()) device = t.device();
    any = true;
  }
};

[[noreturn]] void built_without_cuda(const char* kernel);  // device error "softmax: built without CUDA"

}  // namespace internal

enum class Across { one_device, devices };  // which tensors a kernel takes: of one device, or of several

template <class Signature, Across across = Across::one_device>
class Kernel;

template <class... P, Across across>
class Kernel<void(P...), across> {
 public:
  using Function = void (*)(P...);

  consteval Kernel(const char* name, Function check, Function cpu, Function cuda)
      : name_(name), widens_(!types_of(name).widened.empty()), check_(check), cpu_(cpu), cuda_(cuda) {}

  void operator()(P... arguments) const {
    const internal::KernelCall call(name_);
    const Device device = device_of(arguments...);
    check_(arguments...);
    const Function run = device.is_cpu() ? cpu_ : cuda_;
    if (run == nullptr) internal::built_without_cuda(name_);
    if (widens_ && has_half(arguments...)) {
      std::tuple<internal::Widened<P>...> wide{internal::Widened<P>{arguments}...};
      std::apply(
          [&](auto&... w) {
            run(w.get()...);
            (w.round(), ...);
          },
          wide);
    } else {
      run(arguments...);
    }
  }

  constexpr const char* name() const { return name_; }

 private:
  Device device_of(P&... arguments) const {
    internal::DeviceOf all{name_, across == Across::devices};
    (internal::for_each_tensor(arguments, all), ...);
    return all.device;
  }
  static bool has_half(P&... arguments) {
    internal::AnyHalf half;
    (internal::for_each_tensor(arguments, half), ...);
    return half.any;
  }

  const char* name_;
  bool widens_;
  Function check_, cpu_, cuda_;
};

}  // namespace tensor
