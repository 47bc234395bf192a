// An op of a user's own, outside of autograd, with nothing but its public headers: the one of custom_op.h.
#include "autograd/custom_op.h"

#include <doctest/doctest.h>

#include <cmath>

#include "autograd/ops.h"
#include "autograd/testing/op_suite.h"

namespace stranger {

using autograd::Variable;
using tensor::Tensor;

class TimesExpBackward final : public autograd::OnceDifferentiable {
 public:
  explicit TimesExpBackward(const Variable& x, double factor = 1)
      : OnceDifferentiable("times_exp"), x_(save(x)), factor_(factor) {}

  // dx = g (1 + x) e^x
  std::vector<Tensor> apply_once(const std::vector<Tensor>& gradients) override {
    const Tensor x = saved(x_).data();
    Tensor dx = autograd::empty_like(x, x.shape()), slope = autograd::empty_like(x, x.shape());
    tensor::kernels::unary(dx, x, tensor::UnaryOp::exp);
    tensor::kernels::affine(slope, x, factor_, 1);
    tensor::kernels::binary(dx, dx, slope, tensor::BinaryOp::mul);
    tensor::kernels::binary(dx, dx, gradients[0], tensor::BinaryOp::mul);
    return {dx};
  }

 private:
  int x_;  // the name of what was saved
  double factor_;
};

// x e^x. `factor` other than 1 plants a mistake.
Variable times_exp(const Variable& x, double factor = 1) {
  autograd::expect_floats("times_exp", {&x});
  Tensor out = autograd::empty_like(x.data(), x.shape());
  tensor::kernels::unary(out, x.data(), tensor::UnaryOp::exp);
  tensor::kernels::binary(out, out, x.data(), tensor::BinaryOp::mul);
  return autograd::record<TimesExpBackward>(out, {x}, x, factor);
}

autograd::testing::OpRecord record(double factor) {
  using namespace autograd::testing;
  OpRecord record{"times_exp", "stranger", OpRecord::Derivatives::once};
  record.file = "stranger.cc";
  record.tolerance.roundings = 4;  // of e^x, of the product, and of the two of the gradient
  for (const tensor::Shape& shape : {tensor::Shape{2, 3}, tensor::Shape{}, tensor::Shape{0, 2}})
    record.samples.push_back(
        {to_string(shape),
         {floating(random_array(shape, 7))},
         [factor](const autograd::Variables& in) { return autograd::Variables{times_exp(in[0], factor)}; },
         [](const std::vector<Array>& in) {
           Array out = in[0];
           for (double& v : out.values) v *= std::exp(v);
           return std::vector<Array>{out};
         }});
  record.errors = {{"integers",
                    [] { times_exp(Tensor::zeros({2}, tensor::DType::i64)); },
                    tensor::ErrorKind::dtype,
                    {"times_exp", "(2)"}}};
  return record;
}

}  // namespace stranger

TEST_CASE("an op of a stranger goes through the suite, and a mistake in it is found") {
  const autograd::testing::OpReport right = check_op(stranger::record(1));
  for (const std::string& failure : right.failures) FAIL_CHECK(failure);
  CHECK(right.samples == 3);
  CHECK(stranger::record(1).path() == "stranger.cc");
  const autograd::testing::OpReport wrong = check_op(stranger::record(0.5));
  CHECK(!wrong.ok());
}
