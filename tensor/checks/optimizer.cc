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

}  // namespace

void adamw(AdamStep step) {
  expect("adamw", step.weights, step.gradients, "gradient");
  expect("adamw", step.weights, step.m, "m");
  expect("adamw", step.weights, step.v, "v");
  expect_float("adamw", step.weights);
  check(step.step >= 1, ErrorKind::argument, "adamw: steps count from 1, not {}", step.step);
}

void sgd(SgdStep step) {
  expect("sgd", step.weights, step.gradients, "gradient");
  if (step.momentum != 0) expect("sgd", step.weights, step.buffers, "momentum buffer");
  expect_float("sgd", step.weights);
}

}  // namespace tensor::checks
