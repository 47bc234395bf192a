#include "autograd/packed_weights.h"

#include <utility>

#include "autograd/grad_mode.h"
#include "tensor/kernels.h"

namespace autograd {
namespace {

constinit thread_local PackedWeights* current = nullptr;

}  // namespace

std::shared_ptr<const tensor::PackedMatrix> PackedWeights::of(const Tensor& weight) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[{weight.device_raw(), weight.size(0), weight.size(1)}];
  const TensorIdentity identity(weight);
  if (!entry.packed || entry.version != weight.version() || entry.weight != identity)
    entry = {identity, weight.version(), std::make_shared<const tensor::PackedMatrix>(weight.t())};
  return entry.packed;
}

void PackedWeights::clear() {
  const std::lock_guard lock(mutex_);
  entries_.clear();
}

PackedGuard::PackedGuard(PackedWeights& weights) : previous_(std::exchange(current, &weights)) {}

PackedGuard::~PackedGuard() { current = previous_; }

void multiply_weight(Tensor& out, const Tensor& x, const Tensor& weight, bool accumulate) {
  if (current != nullptr && !grad_enabled() && weight.dtype() == DType::f32)
    current->of(weight)->multiply(out, x, accumulate);
  else
    tensor::kernels::matmul(out, x, weight.t(), 1, accumulate ? 1 : 0);
}

}  // namespace autograd
