// What the files of op_database/ share.
#pragma once

#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "autograd/testing/op_database.h"

namespace autograd::testing {

inline std::string text(const Shape& shape) { return to_string(shape); }

// An error sample whose tensors are zeros of the given shapes.
inline ErrorSample refuses(std::string label, std::function<void()> call, ErrorKind kind,
                           std::vector<std::string> says) {
  return {std::move(label), std::move(call), kind, std::move(says)};
}

inline Variable zeros(const Shape& shape, DType dtype = DType::f32) { return Tensor::zeros(shape, dtype); }

}  // namespace autograd::testing
