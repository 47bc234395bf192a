// The dimensions of several tensors that are walked over together, on any device: neighbouring ones are merged where
// all operands allow it, and those of size 1 are dropped.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "tensor/tensor.h"

namespace tensor {

// The strides of `t` seen as `shape` (broadcasting gives 0).
inline Shape broadcast_strides(const Tensor& t, const Shape& shape) { return t.expand(shape).strides(); }

// At least one dimension is left.
template <int N>
struct MergedDims {
  Shape shape;
  std::array<Shape, N> strides;  // in elements

  MergedDims(const Shape& sizes, const std::array<Shape, N>& all) {
    for (int d = 0; d < sizes.rank(); ++d) {
      if (sizes[d] == 1) continue;
      const int last = shape.rank() - 1;
      bool mergeable = last >= 0;
      for (size_t k = 0; mergeable && k < N; ++k) mergeable = strides[k][last] == all[k][d] * sizes[d];
      if (mergeable) {
        shape[last] *= sizes[d];
        for (size_t k = 0; k < N; ++k) strides[k][last] = all[k][d];
      } else {
        shape.push_back(sizes[d]);
        for (size_t k = 0; k < N; ++k) strides[k].push_back(all[k][d]);
      }
    }
    if (shape.empty()) {
      shape.push_back(1);
      for (size_t k = 0; k < N; ++k) strides[k].push_back(0);
    }
  }
};

}  // namespace tensor
