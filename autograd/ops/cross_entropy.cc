#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "autograd/ops/common.h"

namespace autograd {
namespace {

// What the mean divides by: the rows that count, or the weights of their targets.
double total_weight(const Tensor& targets, int64_t ignore_index, const Tensor& weight) {
  const Tensor rows = targets.contiguous();
  const int64_t* target = rows.data<int64_t>();
  const std::vector<double> weights =
      weight.defined() ? weight.to(DType::f64).to_vector<double>() : std::vector<double>();
  double total = 0;
  for (int64_t i = 0; i < rows.numel(); ++i)
    if (target[i] != ignore_index) total += weight.defined() ? weights[static_cast<size_t>(target[i])] : 1.0;
  return total;
}

// The same, (), of targets on a device: the host neither looks nor waits.
Tensor total_weight_there(const Tensor& targets, int64_t ignore_index, const Tensor& weight, DType dtype) {
  const Tensor counts =
      compare(targets, Tensor::full({}, static_cast<double>(ignore_index), DType::i64, targets.device()),
              BinaryOp::ne);
  Tensor terms = counts.to(dtype);
  if (weight.defined() && weight.numel() > 0) {
    // Of a target that does not count the first class's weight is read, and not taken.
    const Tensor zero = Tensor::zeros({}, DType::i64, targets.device());
    Tensor classes = empty_like(targets, targets.shape()),
           weights = Tensor::empty({targets.numel(), 1}, dtype, targets.device());
    tensor::kernels::where(classes, counts, targets, zero);
    tensor::kernels::embedding(weights, weight.to(dtype).reshape({-1, 1}), classes);
    tensor::kernels::where(terms, counts, weights.view(targets.shape()), zero.to(dtype));
  }
  Tensor total = Tensor::empty({}, dtype, targets.device());
  tensor::kernels::reduce(total, terms, {0}, tensor::ReduceOp::sum);
  return total;
}

// What a mean divides by. 0 where nothing counts.
class Divisor {
 public:
  Divisor() = default;  // 1
  Divisor(const Tensor& targets, int64_t ignore_index, const Tensor& weight, DType dtype) {
    if (targets.device().is_cpu())
      value_ = std::max(0.0, total_weight(targets, ignore_index, weight));
    else
      there_ =
          total_weight_there(targets, ignore_index, weight, dtype == DType::f64 ? DType::f64 : DType::f32);
  }

  // x / it, or x times `otherwise` where it is 0, so that what is no number stays none.
  Tensor divide(const Tensor& x, double otherwise) const {
    if (!there_.defined() && value_ > 0) return divided(x, value_);
    Tensor rest = empty_like(x, x.shape());
    tensor::kernels::affine(rest, x, otherwise, 0);
    if (!there_.defined()) return rest;
    Tensor quotient = empty_like(x, x.shape()), result = empty_like(x, x.shape());
    tensor::kernels::binary(quotient, x, there_, BinaryOp::div);
    tensor::kernels::where(result, compare(there_, 0, BinaryOp::gt), quotient, rest);
    return result;
  }

 private:
  double value_ = 1;
  Tensor there_;
};

}  // namespace

// With p = softmax(logits) and smoothing s, the loss of a row is -(1 - s) ln p[target] - s / v sum_k ln p[k],
// so d loss / d logits = p - (1 - s) onehot(target) - s / v. With class weights w each ln p[k] has w[k]
// before it. No probabilities are kept.
class CrossEntropyBackward final : public OnceDifferentiable {
 public:
  // `computed`: the type of the losses, f32 where logits are of 16 bits.
  CrossEntropyBackward(const Variable& logits, const Tensor& targets, const Tensor& weight,
                       int64_t ignore_index, double smoothing, Divisor divisor, DType computed)
      : OnceDifferentiable("cross_entropy"),
        computed_(computed),
        ignore_index_(ignore_index),
        smoothing_(smoothing),
        divisor_(std::move(divisor)),
        logits_(save(logits)),
        targets_(save(targets)),
        weight_(save(weight)) {}

  std::vector<Tensor> apply_once(const std::vector<Tensor>& g) override {
    Tensor logits, targets = saved(targets_).data();
    // A leaf's memory may be somebody's, whom it only reads.
    bool own = false;
    {
      const Variable input = saved(logits_);
      logits = input.data();
      own = input.grad_fn() != nullptr;
    }
    const Variable weight = saved(weight_);
    Tensor row_gradient = Tensor::empty(targets.shape(), computed_, logits.device());
    row_gradient.copy_(divisor_.divide(g[0], 0));  // one for all rows broadcasts
    own = release_for_writing() && own && logits.is_unique() && logits.is_contiguous();
    // A copy that is made and dropped: after that, what a thread that held the tensor did with it has happened.
    if (own) {
      const Tensor seen = logits;
    }
    const Tensor x = logits.contiguous();
    Tensor dlogits = own ? logits : empty_like(x, x.shape());
    tensor::kernels::cross_entropy_backward(dlogits, x, targets, weight.defined() ? weight.data() : Tensor(),
                                            row_gradient, {ignore_index_, smoothing_});
    return {dlogits};
  }

 private:
  DType computed_;
  int64_t ignore_index_;
  double smoothing_;
  Divisor divisor_;
  int logits_, targets_, weight_;
};

// Under autocast logits of 16 bits are read as they are, with losses in f32: what a conversion before it would give.
Variable cross_entropy(const Variable& logits, const Tensor& targets, int64_t ignore_index,
                       double label_smoothing, Reduction reduction, const Tensor& weight) {
  expect_floats("cross_entropy", {&logits});
  expect_one_device("cross_entropy", logits, targets, weight);
  check(logits.rank() == 2 && targets.rank() == 1 && logits.size(0) == targets.size(0), ErrorKind::shape,
        "cross_entropy: logits (rows, classes) and targets (rows) are needed, not {} and {}", logits.shape(),
        targets.shape());
  check(label_smoothing >= 0 && label_smoothing <= 1, ErrorKind::argument,
        "cross_entropy: label smoothing {} is not between 0 and 1", label_smoothing);
  check(targets.dtype() == DType::i64, ErrorKind::dtype, "cross_entropy: the targets are {}, not i64",
        tensor::describe(targets));
  const DType computed = autocast_dtype() && tensor::is_half(logits.dtype()) ? DType::f32 : logits.dtype();
  Tensor losses = Tensor::empty(targets.shape(), computed, logits.device());
  tensor::kernels::cross_entropy(losses, logits.data().contiguous(), targets, weight,
                                 {ignore_index, label_smoothing});
  Divisor divisor;
  if (reduction != Reduction::none) {
    Tensor total = empty_like(losses, {});
    tensor::kernels::reduce(total, losses, {0}, tensor::ReduceOp::sum);
    if (reduction == Reduction::mean) {
      divisor = Divisor(targets, ignore_index, weight, losses.dtype());
      total = divisor.divide(total, targets.numel() > 0 ? 0 : NAN);
    }
    losses = total;
  }
  return record<CrossEntropyBackward>(losses, {logits}, logits, targets, weight, ignore_index,
                                      label_smoothing, divisor, computed);
}

}  // namespace autograd
