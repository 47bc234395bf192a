#include "optim/step_block.h"

#include <cmath>

#include "autograd/ops.h"
#include "optim/clip.h"
#include "tensor/error.h"
#include "tensor/kernels.h"

namespace optim {

using tensor::check;
using tensor::DType;
using tensor::StepPlace;

StepBlock::StepBlock(Optimizer& optimizer, GradScaler& scaler, const StepBlockOptions& options)
    : optimizer_(optimizer),
      scaler_(scaler),
      options_(options),
      device_(optimizer.parameters().front().device()) {
  for (const Variable& parameter : optimizer.parameters())
    check(parameter.device() == device_, ErrorKind::argument,
          "StepBlock: parameters on {} and {}: a block is for one device", to_string(device_),
          to_string(parameter.device()));
}

StepBlock::~StepBlock() {
  if (options_.generator != nullptr) options_.generator->set_origin({});
}

// From what the host knows, when nothing is queued.
void StepBlock::begin() {
  if (begun_) return;
  begun_ = true;
  std::vector<double> numbers(StepPlace::count, 0);
  numbers[StepPlace::skip] = 1;  // there is no step before to be counted
  numbers[StepPlace::bad_tensor] = -1;
  numbers[StepPlace::loss_scale] = scaler_.scale();
  numbers[StepPlace::growth] = static_cast<double>(scaler_.growth_tracker());
  block_ = Tensor::from(numbers, {StepPlace::count}, device_);
  if (tensor::Generator* generator = options_.generator; generator != nullptr) {
    const auto [seed, offset] = generator->state();
    const std::vector<int64_t> place{static_cast<int64_t>(seed), static_cast<int64_t>(offset)};
    origin_ = Tensor::from(place, {2}, device_);
    generator->set_origin(origin_);
  }
  counted_ = queued_since_ = 0;
  rates_.clear();
  if (options_.scheduler != nullptr) {
    for (const std::vector<double>& rates : options_.scheduler->rates_ahead(options_.steps_ahead))
      rates_.push_back(Tensor::from(rates, {static_cast<int64_t>(rates.size())}, device_));
  } else {
    for (const ParameterGroup& group : optimizer_.groups())
      rates_.push_back(Tensor::full({1}, group.lr, DType::f64, device_));
  }
}

Variable StepBlock::scale(const Variable& loss) {
  begin();
  if (!scaler_.is_enabled()) return loss;
  scaler_.note_scaled(loss);
  return loss * Variable(number(StepPlace::loss_scale).to(loss.dtype()).view(loss.shape()));
}

void StepBlock::queue(const Variable& loss, int64_t tokens) {
  begin();
  check(queued_since_ <= options_.steps_ahead, ErrorKind::argument,
        "StepBlock: over {} steps without settling all", options_.steps_ahead);
  ++queued_since_;
  if (scaler_.is_enabled()) unscale();
  const Variables parameters = optimizer_.parameters();
  if (options_.clip_value > 0) clip_grad_value_(parameters, options_.clip_value);
  std::vector<Tensor> gradients;
  for (const Variable& parameter : parameters)
    if (parameter.grad().defined()) gradients.push_back(parameter.grad().data());
  Tensor squares = Tensor::empty({1}, DType::f64, device_);
  tensor::kernels::sum_squares(squares, gradients);
  const GradScalerOptions& scaling = scaler_.options_;
  tensor::Generator* generator = options_.generator;
  tensor::kernels::finish_step({.block = block_,
                                .loss = loss.data().to(DType::f64).view({1}),
                                .squares = squares,
                                .bad = bad_,
                                .origin = origin_,
                                .drawn = generator != nullptr ? static_cast<int64_t>(generator->drawn()) : 0,
                                .tokens = tokens,
                                .clip_norm = options_.clip_norm,
                                .growth_factor = scaling.growth_factor,
                                .backoff_factor = scaling.backoff_factor,
                                .growth_interval = scaling.growth_interval});
  if (generator != nullptr) generator->set_origin(origin_);
  optimizer_.queue_step({.block = block_, .rates = rates_, .counted = counted_, .first = outcomes_.empty()});
  if (options_.average != nullptr) options_.average->queue_update(block_, counted_);
  scaler_.forget_step();
  outcomes_.emplace_back(block_);
}

void StepBlock::unscale() {
  gradients_ = scaler_.gradients_to_unscale(optimizer_);
  bad_ = Tensor::empty({3}, DType::f64, device_);
  tensor::kernels::first_not_finite(bad_, gradients_.tensors);
  Tensor factor = Tensor::empty({1}, DType::f64, device_);
  tensor::kernels::unary(factor, number(StepPlace::loss_scale), tensor::UnaryOp::reciprocal);
  factor = factor.to(DType::f32);  // as a scale is
  for (Tensor& gradient : gradients_.tensors)
    tensor::kernels::binary(gradient, gradient, factor.to(gradient.dtype()), tensor::BinaryOp::mul);
  scaler_.note_unscaled(optimizer_);
}

StepOutcome StepBlock::settle() {
  check(!outcomes_.empty(), ErrorKind::argument, "StepBlock: no step is queued");
  const Tensor numbers = outcomes_.front().take();
  outcomes_.pop_front();
  begun_ = !outcomes_.empty();
  const auto* at = numbers.data<double>();
  StepOutcome outcome;
  outcome.loss = at[StepPlace::loss];
  outcome.tokens = static_cast<int64_t>(at[StepPlace::tokens]);
  outcome.gradient_norm = std::sqrt(at[StepPlace::squares]);
  outcome.lr = optimizer_.lr();
  outcome.was_skipped = at[StepPlace::bad_tensor] >= 0;
  if (at[StepPlace::skip] == 0) {
    ++counted_;
    optimizer_.count_step();
    if (options_.scheduler != nullptr) options_.scheduler->step();
    if (options_.average != nullptr) options_.average->count_update();
  }
  if (outcome.was_skipped)
    scaler_.first_bad_ =
        gradients_.name_bad(at[StepPlace::bad_tensor], at[StepPlace::bad_element], at[StepPlace::bad_value]);
  if (scaler_.is_enabled() && std::isfinite(outcome.loss)) scaler_.adjust(outcome.was_skipped);
  return outcome;
}

}  // namespace optim
