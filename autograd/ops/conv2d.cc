#include "autograd/ops/common.h"
#include "tensor/window.h"

namespace autograd {
namespace {

using tensor::Conv2dOptions;

// dx[n, c, i, j] = sum of dout[n, o, p, q] w[o, c, a, b] over i = p stride - pad + a dilation (j alike),
// dw[o, c, a, b] = sum of dout[n, o, p, q] x[n, c, i, j] over the same, dbias[o] = sum of dout[:, o]
class Conv2dBackward final : public OnceDifferentiable {
 public:
  Conv2dBackward(const Variable& x, const Variable& weight, const Conv2dOptions& options)
      : OnceDifferentiable("conv2d"), options_(options), x_(save(x)), weight_(save(weight)) {}

  std::vector<Tensor> apply_once(const std::vector<Tensor>& gradients) override {
    const Tensor dout = gradients[0].contiguous(), x = saved(x_).data(), w = saved(weight_).data();
    Tensor dx, dw, db;
    if (needs(0)) {
      dx = empty_like(x, x.shape());
      tensor::kernels::conv2d_backward_input(dx, dout, w.contiguous(), options_);
    }
    if (needs(1)) {
      dw = empty_like(w, w.shape());
      tensor::kernels::conv2d_backward_weight(dw, dout, x.contiguous(), options_);
    }
    if (needs(2)) {
      db = empty_like(w, {w.size(0)});
      tensor::kernels::reduce(db, dout, {0, 2, 3}, tensor::ReduceOp::sum);
    }
    return {dx, dw, db};
  }

 private:
  Conv2dOptions options_;
  int x_, weight_;
};

}  // namespace

// out[n, o, p, q] = bias[o] + sum over c, a, b of x[n, c, p stride - pad + a dilation, ...] w[o, c, a, b],
// where c runs over the group of o and what lies outside of x counts as 0 (a cross-correlation, as everywhere
// in deep learning)
Variable conv2d(const Variable& given, const Variable& given_weight, const Variable& given_bias,
                const Conv2dOptions& options) {
  const Variable x = autocast_lower(given), weight = autocast_lower(given_weight),
                 bias = autocast_lower(given_bias);
  expect_floats("conv2d", {&x, &weight});
  if (bias.defined()) expect_floats("conv2d", {&x, &bias});
  Tensor out =
      empty_like(x.data(), tensor::conv2d_output_shape(x.shape(), weight.shape(), options, "conv2d"));
  tensor::kernels::conv2d(out, x.data().contiguous(), weight.data().contiguous(),
                          bias.defined() ? bias.data().contiguous() : Tensor(), options);
  return record<Conv2dBackward>(out, {x, weight, bias}, x, weight, options);
}

}  // namespace autograd
