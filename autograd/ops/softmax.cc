#include "autograd/ops/common.h"

namespace autograd {
namespace {

// The kernels work along a contiguous last dimension.
Tensor along(const tensor::Kernel<void(Tensor&, const Tensor&)>& kernel, const Variable& x, int dim) {
  expect_floats(kernel.name(), {&x});
  const Tensor rows = x.data().transpose(dim, -1).contiguous();
  Tensor out = empty_like(rows, rows.shape());
  kernel(out, rows);
  return out.transpose(dim, -1).contiguous();
}

}  // namespace

// y[i] = e^x[i] / sum_j e^x[j]: dx = y (g - sum(g y)). A row of nothing but -inf gives NaN.
class SoftmaxBackward final : public Node {
 public:
  SoftmaxBackward(const Tensor& y, int dim) : Node("softmax"), dim_(dim), y_(save_output(y)) {}
  Variables apply(const Variables& g) override {
    const Variable y = saved(y_), gy = mul(g[0], y);
    return {sub(gy, mul(y, sum(gy, {dim_}, true)))};
  }

 private:
  int dim_;
  int y_;
};

Variable softmax(const Variable& given, int dim) {
  const Variable x = autocast_f32(given);
  const int d = tensor::normalize_dim(dim, x.rank(), "softmax");
  const Tensor y = along(tensor::kernels::softmax, x, d);
  return record<SoftmaxBackward>(y, {x}, y, d);
}

// y[i] = x[i] - ln sum_j e^x[j]: dx = g - e^y sum(g)
class LogSoftmaxBackward final : public Node {
 public:
  LogSoftmaxBackward(const Tensor& y, int dim) : Node("log_softmax"), dim_(dim), y_(save_output(y)) {}
  Variables apply(const Variables& g) override {
    return {sub(g[0], mul(exp(saved(y_)), sum(g[0], {dim_}, true)))};
  }

 private:
  int dim_;
  int y_;
};

Variable log_softmax(const Variable& given, int dim) {
  const Variable x = autocast_f32(given);
  const int d = tensor::normalize_dim(dim, x.rank(), "log_softmax");
  const Tensor y = along(tensor::kernels::log_softmax, x, d);
  return record<LogSoftmaxBackward>(y, {x}, y, d);
}

}  // namespace autograd
