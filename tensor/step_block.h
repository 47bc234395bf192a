// How the numbers of a training step come from its loss and gradients (StepPlace in kernel_options.h): once, for the host
// and for devices.
#pragma once

#include <cmath>
#include <cstdint>

#include "tensor/host_device.h"
#include "tensor/kernel_options.h"

namespace tensor {

// min(1, max_norm / (norm + 1e-6)), torch.nn.utils.clip_grad_norm_'s coefficient; NaN for a NaN norm.
IMGCAP_HOST_DEVICE inline double clip_coefficient(double norm, double max_norm) {
  const double coefficient = max_norm / (norm + 1e-6);
  return coefficient > 1 ? 1 : coefficient;
}

// A loss scale's rules: torch.amp.GradScaler's.
struct LossScaling {
  double growth_factor, backoff_factor;
  int64_t growth_interval;
};

struct LossScale {
  double scale;    // in f32, as PyTorch's
  int64_t growth;  // good steps in a row since it changed
};

// After a step whose gradients overflowed with it, or did not.
IMGCAP_HOST_DEVICE inline LossScale after_step(const LossScale& now, bool overflowed,
                                               const LossScaling& rules) {
  if (overflowed) return {static_cast<double>(static_cast<float>(now.scale * rules.backoff_factor)), 0};
  if (now.growth + 1 < rules.growth_interval) return {now.scale, now.growth + 1};
  const auto higher = static_cast<float>(now.scale * rules.growth_factor);
  return {higher - higher == 0 ? static_cast<double>(higher) : now.scale, 0};  // unless it is infinite
}

// The kernel finish_step. `bad`: three numbers, or null where there is no loss scale.
IMGCAP_HOST_DEVICE inline void finish_step(double* block, double loss, int64_t tokens, double squares,
                                           const double* bad, double clip_norm, const LossScaling& rules) {
  if (block[StepPlace::skip] == 0) block[StepPlace::good] += 1;
  block[StepPlace::loss] = loss;
  block[StepPlace::tokens] = static_cast<double>(tokens);
  block[StepPlace::squares] = squares;
  block[StepPlace::gradient_scale] = clip_norm > 0 ? clip_coefficient(std::sqrt(squares), clip_norm) : 1;
  block[StepPlace::bad_tensor] = bad != nullptr ? bad[0] : -1;
  block[StepPlace::bad_element] = bad != nullptr ? bad[1] : 0;
  block[StepPlace::bad_value] = bad != nullptr ? bad[2] : 0;
  const bool overflowed = block[StepPlace::bad_tensor] >= 0;
  if (bad != nullptr) {
    const LossScale next = after_step(
        {block[StepPlace::loss_scale], static_cast<int64_t>(block[StepPlace::growth])}, overflowed, rules);
    block[StepPlace::loss_scale] = next.scale;
    block[StepPlace::growth] = static_cast<double>(next.growth);
  }
  block[StepPlace::skip] = overflowed || loss - loss != 0 ? 1 : 0;  // a loss that is not finite
}

}  // namespace tensor
