#include "tensor/step_block.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/kernels.h"

namespace tensor::cpu {
namespace {

// Whether the sum of squares is finite: then all numbers are. Squares of f32 numbers do not overflow f64, those of f64
// numbers may.
bool all_finite(const std::vector<Tensor>& tensors) {
  Tensor sum = Tensor::empty({1}, DType::f64);
  double* squares = sum.mutable_data<double>();
  sum_squares(sum, tensors);
  return std::isfinite(*squares);
}

}  // namespace

void first_not_finite(Tensor& out, const std::vector<Tensor>& tensors) {
  double* found = out.mutable_device_data<double>();
  found[0] = -1, found[1] = found[2] = 0;
  if (all_finite(tensors)) return;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor dense = tensors[i].contiguous();
    const bool stop = dispatch_float(dense.dtype(), "first_not_finite", [&]<class T>() {
      const T* x = dense.device_data<T>();
      const T* bad = std::find_if(x, x + dense.numel(), [](T v) { return !std::isfinite(v); });
      if (bad == x + dense.numel()) return false;
      found[0] = static_cast<double>(i), found[1] = static_cast<double>(bad - x);
      found[2] = static_cast<double>(*bad);
      return true;
    });
    if (stop) return;
  }
}

void finish_step(FinishStep p) {
  tensor::finish_step(p.block.mutable_device_data<double>(), *p.loss.device_data<double>(), p.tokens,
                      *p.squares.device_data<double>(),
                      p.bad.defined() ? p.bad.device_data<double>() : nullptr, p.clip_norm,
                      {p.growth_factor, p.backoff_factor, p.growth_interval});
  if (p.origin.defined()) p.origin.mutable_device_data<int64_t>()[1] += p.drawn;
}

}  // namespace tensor::cpu
