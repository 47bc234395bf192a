// cudaLaunchKernelEx, for include/cuda_runtime.h.
#pragma once

#include <algorithm>
#include <tuple>

#include "tensor/cuda/emulation/cuda_types.h"

namespace tensor::cuda::emulation {

// A kernel with the arguments that it was launched with.
struct KernelCall {
  const void* kernel;
  void* arguments;  // in one piece, which a kernel may read
  size_t bytes;     // of that piece
  size_t parameter_bytes;
  void (*run)(const void* arguments);  // one thread of it
  void (*destroy)(void* arguments);
};

cudaError_t launch_kernel(const cudaLaunchConfig_t& config, const KernelCall& call);

// As they lie one behind the other, each aligned.
template <class... P>
constexpr size_t size_of_parameters() {
  size_t end = 0;
  ((end = (end + alignof(P) - 1) / alignof(P) * alignof(P) + sizeof(P)), ...);
  return end;
}

}  // namespace tensor::cuda::emulation

template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... arguments) {
  struct Arguments {
    void (*kernel)(P...);
    std::tuple<P...> values;
  };
  auto* kept = new Arguments{kernel, std::tuple<P...>(static_cast<A&&>(arguments)...)};
  return tensor::cuda::emulation::launch_kernel(
      *config, {reinterpret_cast<const void*>(kernel), kept, sizeof(Arguments),
                tensor::cuda::emulation::size_of_parameters<P...>(),
                [](const void* all) {
                  const auto& these = *static_cast<const Arguments*>(all);
                  std::apply(these.kernel, these.values);
                },
                [](void* all) { delete static_cast<Arguments*>(all); }});
}
