#include "tensor/checks/common.h"
#include "tensor/kernels.h"

namespace tensor::checks {
namespace {

void expect_input(const Tensor& x, const char* op) {
  check(x.rank() >= 2, ErrorKind::shape, "{}: input {} must be (n, c, ...)", op, x.shape());
  expect_contiguous(op, {{"input", x}});
}

// One value per channel of x, or undefined where that may be.
void expect_channels(const Tensor& t, const Tensor& x, const char* op, const char* name) {
  check(t.shape() == Shape{x.size(1)} && t.is_contiguous(), ErrorKind::shape,
        "{}: {} {} must be ({}) and contiguous", op, name, t.shape(), x.size(1));
  check(same_type(t, x), ErrorKind::dtype, "{}: {} {} for input {}", op, name, describe(t), describe(x));
}

}  // namespace

void batch_norm_statistics(Tensor& mean, Tensor& variance, const Tensor& x) {
  expect_input(x, "batch_norm_statistics");
  expect_channels(mean, x, "batch_norm_statistics", "mean");
  const char* op = "batch_norm_statistics";
  check(variance.shape() == mean.shape() && variance.is_contiguous() &&
            (variance.dtype() == DType::f64 || same_type(variance, x)),
        ErrorKind::shape, "{}: variance {} must be ({}), of the input's type or f64, and contiguous", op,
        describe(variance), x.size(1));
}

void batch_norm_apply(Tensor& out, const Tensor& x, const Tensor& mean, const Tensor& rstd,
                      const Tensor& weight, const Tensor& bias) {
  const char* op = "batch_norm_apply";
  expect_input(x, op);
  check(out.shape() == x.shape() && out.is_contiguous(), ErrorKind::shape,
        "{}: output {} must be like input {}", op, describe(out), describe(x));
  check(same_type(out, x), ErrorKind::dtype, "{}: {} into {}", op, describe(x), describe(out));
  expect_channels(mean, x, op, "mean");
  expect_channels(rstd, x, op, "rstd");
  if (weight.defined()) expect_channels(weight, x, op, "weight");
  if (bias.defined()) expect_channels(bias, x, op, "bias");
}

void batch_norm_backward(BatchNormBackward a) {
  const char* op = "batch_norm_backward";
  expect_input(a.x, op);
  for (const Tensor* t : {&a.dx, &a.dout})
    check(t->shape() == a.x.shape() && t->is_contiguous() && same_type(*t, a.x), ErrorKind::shape,
          "{}: gradient {} must be contiguous and like input {}", op, describe(*t), describe(a.x));
  for (const Tensor* t : {&a.dweight, &a.dbias, &a.mean, &a.rstd})
    expect_channels(*t, a.x, op, "a statistic or gradient");
  if (a.weight.defined()) expect_channels(a.weight, a.x, op, "weight");
}

}  // namespace tensor::checks
