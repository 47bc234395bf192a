// How a kernel is launched on a device of type cuda, real or emulated: by launch() alone, so that each launch is
// checked, counted, and says what it costs. For .cu files.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "tensor/device.h"

namespace tensor::cuda {

// Whether the threads of a block wait for one another (__syncthreads, __syncwarp, shuffles): without, the emulated
// device runs them one after the other in a plain loop, and there such a call is an error.
enum class Barriers { none, some };

// One launch. The grid follows the size of the work: there is at least one block.
struct Launch {
  const char* op;  // as in kernels.h
  Device device;
  dim3 grid = 1, block = 1;
  Barriers barriers = Barriers::none;
  int64_t dynamic_shared = 0;  // bytes
  double flops = 0;            // of the whole launch
  double bytes = 0;            // read and written, each once, by the formula at the kernel
};

// What comes before and after: the device is made the thread's own, the launch counted. Errors: cuda ("softmax: cuda:0:
// an illegal memory access was encountered").
cudaStream_t begin_launch(const Launch& launch);
void end_launch(const Launch& launch, cudaError_t result);

// `arguments` are converted to the kernel's parameters. The kernel runs after what was launched on the device before.
template <class... P, class... A>
void launch(const Launch& launch, void (*kernel)(P...), const A&... arguments) {
  static_assert(sizeof...(P) == sizeof...(A));
  cudaLaunchConfig_t config{};
  config.gridDim = launch.grid;
  config.blockDim = launch.block;
  config.dynamicSmemBytes = static_cast<size_t>(launch.dynamic_shared);
  config.stream = begin_launch(launch);
  end_launch(launch, cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...));
}

// The emulated device is told what CUDA's own call does not say; null on a real one.
[[gnu::weak]] void note_launch(const Launch& launch);

}  // namespace tensor::cuda
