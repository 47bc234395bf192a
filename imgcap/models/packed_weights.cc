#include "imgcap/models/packed_weights.h"

#include "autograd/node.h"
#include "autograd/ops.h"
#include "tensor/error.h"

namespace imgcap {

using tensor::DType;
using tensor::PackedMatrix;
using tensor::Tensor;

void PackedWeights::clear() {
  const std::lock_guard lock(mutex_);
  entries_.clear();
}

std::shared_ptr<const PackedMatrix> PackedWeights::packed(const std::string& name, const Tensor& weight) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[name];
  const bool same = entry.packed && entry.weight.device_raw() == weight.device_raw() &&
                    entry.weight.shape() == weight.shape() && entry.version == weight.version();
  if (!same) entry = {weight, weight.version(), std::make_shared<const PackedMatrix>(weight.t())};
  return entry.packed;
}

void PackedWeights::add_product(const std::string& name, Tensor& out, const Tensor& x, const Tensor& weight) {
  packed(name, weight)->multiply(out, x.contiguous(), true);
}

Tensor PackedWeights::linear(const std::string& name, const Tensor& x, const Tensor& weight,
                             const Tensor& bias) {
  if (x.dtype() != DType::f32 || weight.dtype() != DType::f32) {
    const autograd::NoGrad no_grad;
    return autograd::linear(x, weight, bias).data();
  }
  tensor::check(weight.rank() == 2 && x.rank() >= 1 && x.size(-1) == weight.size(1), tensor::ErrorKind::shape,
                "{}: input {} with weight {}: the last size has to be {}", name, x.shape(), weight.shape(),
                weight.size(-1));
  tensor::Shape shape = x.shape();
  shape[shape.rank() - 1] = weight.size(0);
  Tensor out = Tensor::empty(shape, DType::f32, x.device());
  Tensor rows = out.view({x.numel() / weight.size(1), weight.size(0)});
  if (bias.defined()) rows.copy_(bias);
  packed(name, weight)
      ->multiply(rows, x.reshape({rows.size(0), weight.size(1)}).contiguous(), bias.defined());
  autograd::internal::tell_op(nullptr, {out}, {});  // it is an op to a profiler and to summaries
  return out;
}

}  // namespace imgcap
