// How kernels walk over tensors with any strides: dimensions are merged (tensor/merged_dims.h), and the innermost one
// is handed to the kernel as a run.
#pragma once

#include <array>
#include <cstdint>

#include "tensor/merged_dims.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {

inline constexpr int64_t kElementGrain = 16384;  // elements per tile: less is not worth another thread

template <int N>
struct StridedLoop : MergedDims<N> {
  using MergedDims<N>::MergedDims;
  using MergedDims<N>::shape;
  using MergedDims<N>::strides;

  // Calls run(offsets, length, run_strides): offsets[k] is operand k's element offset at the run's start.
  template <class Run>
  void for_each(Run run) const {
    const int inner = shape.rank() - 1;
    const int64_t length = shape[inner];
    int64_t outer = 1;
    for (int d = 0; d < inner; ++d) outer *= shape[d];
    if (length == 0 || outer == 0) return;
    std::array<int64_t, N> step;
    for (size_t k = 0; k < N; ++k) step[k] = strides[k][inner];
    if (outer == 1) {
      parallel_for(length, kElementGrain, [&](int64_t begin, int64_t end) {
        std::array<int64_t, N> offset;
        for (size_t k = 0; k < N; ++k) offset[k] = begin * step[k];
        run(offset, end - begin, step);
      });
      return;
    }
    parallel_each(outer, kElementGrain / length, [&](int64_t i) {
      std::array<int64_t, N> offset{};
      int64_t rest = i;
      for (int d = inner - 1; d >= 0; --d) {
        const int64_t at = rest % shape[d];
        rest /= shape[d];
        for (size_t k = 0; k < N; ++k) offset[k] += at * strides[k][d];
      }
      run(offset, length, step);
    });
  }
};

}  // namespace tensor::cpu
