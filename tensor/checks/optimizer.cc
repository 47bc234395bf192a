#include "tensor/checks/common.h"
#include "tensor/kernels.h"

namespace tensor::checks {
namespace {

using Tensors = std::vector<Tensor>;

void expect(const char* op, const Tensors& weights, const Tensors& others, const char* what) {
  check(weights.size() == others.size(), ErrorKind::argument, "{}: {} weights, but {} {}", op, weights.size(),
        others.size(), what);
  for (size_t i = 0; i < weights.size(); ++i) {
    check(weights[i].shape() == others[i].shape(), ErrorKind::shape, "{}: weight {} is {}, its {} {}", op, i,
          describe(weights[i]), what, describe(others[i]));
    check(weights[i].dtype() == others[i].dtype(), ErrorKind::dtype, "{}: weight {} is {}, its {} {}", op, i,
          describe(weights[i]), what, describe(others[i]));
    check(weights[i].is_contiguous() && others[i].is_contiguous(), ErrorKind::argument,
          "{}: weight {} or its {} is not contiguous", op, i, what);
  }
}

void expect_float(const char* op, const Tensors& weights) {
  for (const Tensor& weight : weights) dispatch_float(weight.dtype(), op, []<class T>() {});
}

void expect_floating(const char* op, const Tensors& tensors) {
  for (const Tensor& t : tensors)
    check(is_floating(t.dtype()), ErrorKind::dtype, "{}: floating types are needed, not {}", op,
          name_of(t.dtype()));
}

bool is_numbers(const Tensor& t, int64_t count) {
  return t.defined() && t.dtype() == DType::f64 && t.shape() == Shape{count} && t.is_contiguous();
}

void expect_numbers(const char* op, const char* what, const Tensor& t, int64_t count) {
  check(is_numbers(t, count), ErrorKind::shape, "{}: {} has to be ({}) f64 and contiguous, not {}", op, what,
        count, describe(t));
}

void expect_block(const char* op, const FromBlock& from) {
  if (!from.block.defined() && !from.rates.defined()) return;
  expect_numbers(op, "the block", from.block, StepPlace::count);
  check(from.rates.defined() && from.rates.numel() > 0, ErrorKind::shape, "{}: a block comes with rates", op);
  expect_numbers(op, "rates", from.rates, from.rates.numel());
}

}  // namespace

void adamw(AdamStep step) {
  expect("adamw", step.weights, step.gradients, "gradient");
  expect("adamw", step.weights, step.m, "m");
  expect("adamw", step.weights, step.v, "v");
  expect_float("adamw", step.weights);
  expect_block("adamw", step.from);
  check(step.step >= 1, ErrorKind::argument, "adamw: steps count from 1, not {}", step.step);
}

void sgd(SgdStep step) {
  expect("sgd", step.weights, step.gradients, "gradient");
  if (step.momentum != 0) expect("sgd", step.weights, step.buffers, "momentum buffer");
  expect_float("sgd", step.weights);
  expect_block("sgd", step.from);
  check(step.step >= 1, ErrorKind::argument, "sgd: steps count from 1, not {}", step.step);
}

void average(AverageStep step) {
  expect("average", step.averages, step.parameters, "parameter");
  expect_floating("average", step.averages);
  if (step.block.defined()) expect_numbers("average", "the block", step.block, StepPlace::count);
  check(step.t >= 0, ErrorKind::argument, "average: {} updates", step.t);
}

void first_not_finite(Tensor& out, const Tensors& tensors) {
  expect_numbers("first_not_finite", "the output", out, 3);
  expect_floating("first_not_finite", tensors);
}

void finish_step(FinishStep step) {
  expect_numbers("finish_step", "the block", step.block, StepPlace::count);
  expect_numbers("finish_step", "the loss", step.loss, 1);
  expect_numbers("finish_step", "the sum of squares", step.squares, 1);
  if (step.bad.defined()) expect_numbers("finish_step", "what is not finite", step.bad, 3);
  if (step.origin.defined()) expect_origin(step.origin, "finish_step");
}

}  // namespace tensor::checks
