#include "autograd/ops/common.h"

namespace autograd {
namespace {

// See batch_norm_backward in tensor/cpu/norm.cc for the formula.
class BatchNormBackward final : public OnceDifferentiable {
 public:
  BatchNormBackward(const Variable& x, const Variable& weight, Tensor mean, Tensor rstd, bool train)
      : OnceDifferentiable("batch_norm"),
        mean_(std::move(mean)),
        rstd_(std::move(rstd)),
        train_(train),
        x_(save(x)),
        weight_(save(weight)) {}

  std::vector<Tensor> apply_once(const std::vector<Tensor>& gradients) override {
    const Tensor x = saved(x_).data().contiguous();
    const Variable weight = saved(weight_);
    const auto parameter_gradient = [&](size_t input) {
      return Tensor::empty(mean_.shape(),
                           needs(static_cast<int>(input)) ? input_metas()[input].dtype : mean_.dtype(),
                           mean_.device());
    };
    Tensor dx = empty_like(x, x.shape()), dweight = parameter_gradient(1), dbias = parameter_gradient(2);
    tensor::kernels::batch_norm_backward({.dx = dx,
                                          .dweight = dweight,
                                          .dbias = dbias,
                                          .dout = gradients[0].contiguous(),
                                          .x = x,
                                          .mean = mean_,
                                          .rstd = rstd_,
                                          .weight = weight.defined() ? weight.data().contiguous() : Tensor(),
                                          .train = train_});
    return {needs(0) ? dx : Tensor(), needs(1) ? dweight : Tensor(), needs(2) ? dbias : Tensor()};
  }

 private:
  Tensor mean_, rstd_;
  bool train_;
  int x_, weight_;
};

}  // namespace

// out = (x - mean) / sqrt(variance + eps) weight + bias for each channel (dimension 1), with mean and biased
// variance of the batch over all other dimensions (train) or the running ones
Variable batch_norm(const Variable& x, const Variable& weight, const Variable& bias,
                    const Tensor& running_mean, const Tensor& running_var, bool train, double eps,
                    BatchNormStatistics* statistics) {
  expect_floats("batch_norm", {&x});
  expect_one_device("batch_norm", x, weight, bias, running_mean, running_var);
  check(x.rank() >= 2, ErrorKind::shape, "batch_norm: input {} must be (n, c, ...)", x.shape());
  check(x.size(1) > 0 || !weight.defined(), ErrorKind::shape, "batch_norm: input {} has no channels",
        x.shape());
  const Shape channels{x.size(1)};
  for (const Variable* v : {&weight, &bias}) {
    if (!v->defined()) continue;
    if (!(tensor::is_half(x.dtype()) && v->dtype() == DType::f32)) expect_floats("batch_norm", {&x, v});
    check(v->shape() == channels, ErrorKind::shape, "batch_norm: weight or bias {} for input {}", v->shape(),
          x.shape());
  }
  const Tensor input = x.data().contiguous();
  const DType wide = tensor::is_half(x.dtype()) ? DType::f32 : x.dtype();
  Tensor mean, variance;
  if (train) {
    int64_t count = x.size(0);  // 0 is fine: nothing to normalise
    for (int d = 2; d < x.rank(); ++d) count *= x.size(d);
    check(count != 1, ErrorKind::shape,
          "batch_norm: training needs more than one value per channel, input is {}", x.shape());
    mean = Tensor::empty(channels, wide, x.device());
    variance = Tensor::empty(channels, DType::f64, x.device());  // squares of f32 numbers may not fit f32
    tensor::kernels::batch_norm_statistics(mean, variance, input);
  } else {
    check(running_mean.defined() && running_var.defined(), ErrorKind::argument,
          "batch_norm: evaluation needs running statistics");
    check(running_mean.shape() == channels && running_var.shape() == channels, ErrorKind::shape,
          "batch_norm: running statistics {} and {} for input {}", running_mean.shape(), running_var.shape(),
          x.shape());
    // Copies: the running statistics may be updated before the backward pass.
    mean = running_mean.clone().to(wide);
    variance = running_var.to(wide).contiguous();
  }
  Tensor rstd = Tensor::empty(channels, variance.dtype(), x.device());
  tensor::kernels::affine(rstd, variance, 1, eps);
  tensor::kernels::unary(rstd, rstd, tensor::UnaryOp::rsqrt);
  rstd = rstd.to(wide);
  Tensor out = empty_like(input, input.shape());
  tensor::kernels::batch_norm_apply(out, input, mean, rstd,
                                    weight.defined() ? weight.data().contiguous() : Tensor(),
                                    bias.defined() ? bias.data().contiguous() : Tensor());
  if (statistics != nullptr)
    *statistics = train ? BatchNormStatistics{mean, variance.to(wide)} : BatchNormStatistics{};
  return record<BatchNormBackward>(out, {x, weight, bias}, x, weight, mean, rstd, train);
}

}  // namespace autograd
