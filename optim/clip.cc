#include "optim/clip.h"

#include <cmath>

#include "optim/grad_scaler.h"
#include "tensor/error.h"
#include "tensor/kernels.h"

namespace optim {

using autograd::Variable;
using tensor::check;
using tensor::ErrorKind;
using tensor::Tensor;

namespace {

// The gradient of `parameter`, of its own memory and contiguous, for changing it in place.
Tensor& own_gradient(const Variable& parameter) {
  Variable gradient = parameter.grad();
  if (!gradient.data().is_contiguous()) {
    Variable(parameter).set_grad(gradient.data().contiguous());
    gradient = parameter.grad();
  }
  return gradient.mutable_data();
}

}  // namespace

double grad_norm(const Variables& parameters) {
  expect_unscaled("grad_norm", parameters);
  std::vector<Tensor> gradients;
  for (const Variable& parameter : parameters)
    if (parameter.grad().defined()) gradients.push_back(parameter.grad().data());
  if (gradients.empty()) return 0;
  Tensor sum = Tensor::empty({1}, tensor::DType::f64, gradients.front().device());
  tensor::kernels::sum_squares(sum, gradients);
  return std::sqrt(sum.item());
}

double clip_grad_norm_(const Variables& parameters, double max_norm, bool error_if_nonfinite) {
  expect_unscaled("clip_grad_norm", parameters);
  check(max_norm >= 0, ErrorKind::argument, "clip_grad_norm: the norm must not be negative, as {} is",
        max_norm);
  const double norm = grad_norm(parameters);
  check(!error_if_nonfinite || std::isfinite(norm), ErrorKind::data,
        "clip_grad_norm: the norm of the gradients is {}; lower the learning rate or the loss scale", norm);
  const double coefficient = clip_coefficient(norm, max_norm);
  if (coefficient == 1) return norm;
  for (const Variable& parameter : parameters) {
    if (!parameter.grad().defined()) continue;
    Tensor& gradient = own_gradient(parameter);
    tensor::kernels::affine(gradient, gradient, coefficient, 0);
  }
  return norm;
}

void clip_grad_value_(const Variables& parameters, double limit) {
  expect_unscaled("clip_grad_value", parameters);
  check(limit >= 0, ErrorKind::argument, "clip_grad_value: the limit must not be negative, as {} is", limit);
  for (const Variable& parameter : parameters) {
    if (!parameter.grad().defined()) continue;
    Tensor& gradient = own_gradient(parameter);
    tensor::kernels::clamp(gradient, gradient, -limit, limit);
  }
}

}  // namespace optim
