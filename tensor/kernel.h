// How a kernel of the page (kernels.h) is called. Each is one object that holds its implementations; a call
// checks that all tensors are on one device, makes the checks that hold on every device, converts 16-bit
// floats where the table (kernel_types.h) says so, and runs the device's implementation. One that is not linked
// is null; then it is the device's affair what to do (cuda/runtime.h).
#pragma once

#include <tuple>
#include <type_traits>
#include <vector>

#include "tensor/cuda/runtime.h"
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

}  // namespace internal

enum class Across { one_device, devices };  // which tensors a kernel takes: of one device, or of several

template <class Signature, Across across = Across::one_device>
class Kernel;

template <class... P, Across across>
class Kernel<void(P...), across> {
 public:
  using Function = void (*)(P...);

  // `cuda` gives the device's function, or null: what is linked is no constant.
  consteval Kernel(const char* name, Function check, Function cpu, Function (*cuda)())
      : name_(name), types_(types_of(name)), check_(check), cpu_(cpu), cuda_(cuda) {}

  void operator()(P... arguments) const {
    const internal::KernelCall call(name_);
    const Device device = device_of(arguments...);
    check_(arguments...);
    if (device.is_cpu()) return run(cpu_, kNone, arguments...);
    if (const Function on_device = cuda_()) return run(on_device, types_.cuda_native, arguments...);
    auto on_host = [&] { run(cpu_, kNone, arguments...); };
    const auto call_it = [](void* context) { (*static_cast<decltype(on_host)*>(context))(); };
    cuda::runtime_of(device, name_).run_on_host(name_, device, {call_it, &on_host});
  }

  constexpr const char* name() const { return name_; }

 private:
  Device device_of(P&... arguments) const {
    internal::DeviceOf all{name_, across == Across::devices};
    (internal::for_each_tensor(arguments, all), ...);
    return all.device;
  }
  // `halves`: which 16-bit floats the function takes as they are, where all floats are of one type.
  void run(Function function, DTypeSet halves, P&... arguments) const {
    if (types_.widened.empty()) return function(arguments...);
    internal::FloatTypes floats;
    (internal::for_each_tensor(arguments, floats), ...);
    if (!floats.any_half || (!floats.mixed && halves.has(floats.type))) return function(arguments...);
    std::tuple<internal::Widened<P>...> wide{internal::Widened<P>{arguments, types_.adds}...};
    std::apply(
        [&](auto&... w) {
          function(w.get()...);
          (w.round(), ...);
        },
        wide);
  }

  const char* name_;
  KernelTypes types_;
  Function check_, cpu_;
  Function (*cuda_)();
};

}  // namespace tensor
