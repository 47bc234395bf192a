// Weights of encoders by a formula, so that features are neither tiny nor huge.
#pragma once

#include <cmath>

#include "nn/module.h"
#include "tests/made.h"

namespace tests {

// `fill` of make_cnn.py.
inline void fill(nn::Module& model) {
  uint32_t seed = 0;
  nn::StateDict state;
  for (const auto& [name, t] : model.state_dict()) {
    if (name.ends_with("num_batches_tracked")) {
      state[name] = t;
      continue;
    }
    tensor::Tensor v;
    if (t.rank() > 1) {
      const double bound = std::sqrt(3.0 / static_cast<double>(t.numel() / t.size(0)));
      v = made(seed, t.shape(), -bound, bound);
    } else if (name.ends_with("running_var") || name.ends_with("weight")) {
      v = made(seed, t.shape(), 0.5, 1.5);
    } else {
      v = made(seed, t.shape(), -0.2, 0.2);
    }
    state[name] = v.to(tensor::DType::f32);
    ++seed;
  }
  model.load_state_dict(state);
}

}  // namespace tests
