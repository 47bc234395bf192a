#include "tensor/checks/common.h"
#include "tensor/kernels.h"

namespace tensor::checks {
namespace {

void expect_rows(const Tensor& out, const Tensor& x, const char* op) {
  check(x.rank() > 0 && out.shape() == x.shape(), ErrorKind::shape, "{}: {} into {}", op, x.shape(),
        out.shape());
  check(x.is_contiguous() && out.is_contiguous(), ErrorKind::argument, "{}: {} has to be contiguous", op,
        describe(x));
  check(same_type(out, x), ErrorKind::dtype, "{}: {} into {}", op, describe(x), describe(out));
}

void expect_targets(const Tensor& logits, const Tensor& targets, const Tensor& weight) {
  check(logits.rank() == 2 && targets.rank() == 1 && targets.size(0) == logits.size(0), ErrorKind::shape,
        "cross_entropy: logits (rows, classes) and targets (rows) are needed, not {} and {}", logits.shape(),
        targets.shape());
  check(targets.dtype() == DType::i64, ErrorKind::dtype, "cross_entropy: the targets are {}, not i64",
        describe(targets));
  check(logits.is_contiguous(), ErrorKind::argument, "cross_entropy: the logits {} have to be contiguous",
        describe(logits));
  if (!weight.defined()) return;
  check(weight.shape() == Shape{logits.size(1)}, ErrorKind::shape,
        "cross_entropy: class weights {} for logits {}", describe(weight), describe(logits));
  check(same_type(weight, logits), ErrorKind::dtype, "cross_entropy: class weights {} for logits {}",
        describe(weight), describe(logits));
}

}  // namespace

void softmax(Tensor& out, const Tensor& x) { expect_rows(out, x, "softmax"); }

void log_softmax(Tensor& out, const Tensor& x) { expect_rows(out, x, "log_softmax"); }

void cross_entropy(Tensor& losses, Operand logits, const Tensor& targets, const Tensor& weight,
                   const CrossEntropyOptions&) {
  expect_targets(logits, targets, weight);
  check(losses.shape() == targets.shape() && same_type(losses, logits) && losses.is_contiguous(),
        ErrorKind::shape, "cross_entropy: losses {} for logits {}", describe(losses),
        describe(logits.tensor));
}

void cross_entropy_backward(OperandOut dlogits, Operand logits, const Tensor& targets, const Tensor& weight,
                            const Tensor& row_gradient, const CrossEntropyOptions&) {
  expect_targets(logits, targets, weight);
  check(
      dlogits->shape() == logits->shape() && dlogits->dtype() == logits->dtype() && dlogits->is_contiguous(),
      ErrorKind::shape, "cross_entropy: a gradient {} for logits {}", describe(dlogits.tensor),
      describe(logits.tensor));
  check(row_gradient.shape() == targets.shape() && same_type(row_gradient, logits), ErrorKind::shape,
        "cross_entropy: row gradients {} for logits {}", describe(row_gradient), describe(logits.tensor));
}

}  // namespace tensor::checks
