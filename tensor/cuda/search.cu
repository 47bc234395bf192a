// Searches that stay on the device, from step to step; what they do is in tensor/search_step.h, for the CPU, too.
#include <algorithm>

#include "tensor/cuda/device.h"
#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/kernels.h"
#include "tensor/search_step.h"

namespace tensor::cuda {
namespace {

// An image a thread. Bytes, at most: the candidates 2 beam times and what is written. FLOPs: an addition for each.
template <class T>
__global__ void beams_of_images(BeamMemory<T> memory) {
  const int64_t image = thread_index();  // few a block, so that they spread over the device
  if (image < memory.images) BeamOfImage<T>(memory, image).advance();
}

// A caption a thread. Bytes: its state once, and the tokens, states and streams of all.
__global__ void samples_of_rows(SampleMemory memory) {
  const int64_t i = thread_index();
  if (i < memory.n) tensor::sample_step(memory, i);
}

}  // namespace

void beam_step(BeamStep step) {
  dispatch_float(step.values.dtype(), "beam_step", [&]<class T>() {
    const BeamMemory<T> memory(step);
    const auto looks = static_cast<double>(2 * memory.beam * step.values.numel());
    const int64_t blocks = std::max<int64_t>(1, (memory.images + kWarp - 1) / kWarp);
    launch({.op = "beam_step",
            .device = step.scores.device(),
            .grid = dim3(static_cast<unsigned>(blocks)),
            .block = kWarp,
            .flops = looks,
            .bytes = looks * static_cast<double>(sizeof(T) + sizeof(int64_t)) +
                     static_cast<double>(step.tree.bytes() + step.rows.bytes() + step.words.bytes() +
                                         step.next_scores.bytes() + step.ended.bytes())},
           beams_of_images<T>, memory);
  });
}

void sample_step(SampleStep step) {
  const SampleMemory memory(step);
  const auto n = static_cast<double>(memory.n);
  launch({.op = "sample_step",
          .device = step.tokens.device(),
          .grid = grid_of(memory.n),
          .block = kThreads,
          .flops = 0,
          .bytes = 90 * n},
         samples_of_rows, memory);
}

}  // namespace tensor::cuda
