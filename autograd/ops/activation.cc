#include "autograd/ops/common.h"

namespace autograd {

using tensor::BinaryOp;
using tensor::UnaryOp;

namespace {

Tensor activate(const char* op, const Variable& x, UnaryOp kind) {
  expect_floats(op, {&x});
  Tensor out = empty_like(x.data(), x.shape());
  tensor::kernels::unary(out, x.data(), kind);
  return out;
}

// `g` where x compares with the bound, else 0.
Variable keep_where(const Tensor& x, BinaryOp comparison, double bound, const Variable& g) {
  Tensor keep = Tensor::empty(x.shape(), DType::boolean, x.device());
  tensor::kernels::binary(keep, x, constant(bound, x), comparison);
  return where(keep, g, constant(0, g.data()));
}

}  // namespace

// y = max(x, 0): dx = y <= 0 ? 0 : g, which a NaN passes
class ReluBackward final : public Node {
 public:
  explicit ReluBackward(const Tensor& y) : Node("relu"), y_(save_output(y)) {}
  Variables apply(const Variables& g) override {
    const Tensor y = saved(y_).data();
    Tensor off = Tensor::empty(y.shape(), DType::boolean, y.device());
    tensor::kernels::binary(off, y, constant(0, y), BinaryOp::le);
    return {where(off, constant(0, g[0].data()), g[0])};
  }

 private:
  int y_;
};

Variable relu(const Variable& x) {
  const Tensor y = activate("relu", x, UnaryOp::relu);
  return record<ReluBackward>(y, {x}, y);
}

// y = min(max(x, 0), 6): dx = 0 < y < 6 ? g : 0
class Relu6Backward final : public Node {
 public:
  explicit Relu6Backward(const Tensor& y) : Node("relu6"), y_(save_output(y)) {}
  Variables apply(const Variables& g) override {
    const Tensor y = saved(y_).data();
    return {keep_where(y, BinaryOp::gt, 0, keep_where(y, BinaryOp::lt, 6, g[0]))};
  }

 private:
  int y_;
};

Variable relu6(const Variable& x) {
  const Tensor y = activate("relu6", x, UnaryOp::relu6);
  return record<Relu6Backward>(y, {x}, y);
}

// y = tanh x: dx = g (1 - y^2)
class TanhBackward final : public Node {
 public:
  explicit TanhBackward(const Tensor& y) : Node("tanh"), y_(save_output(y)) {}
  Variables apply(const Variables& g) override { return {mul(g[0], affine(square(saved(y_)), -1, 1))}; }

 private:
  int y_;
};

Variable tanh(const Variable& x) {
  const Tensor y = activate("tanh", x, UnaryOp::tanh);
  return record<TanhBackward>(y, {x}, y);
}

// y = 1 / (1 + e^-x): dx = g y (1 - y)
class SigmoidBackward final : public Node {
 public:
  explicit SigmoidBackward(const Tensor& y) : Node("sigmoid"), y_(save_output(y)) {}
  Variables apply(const Variables& g) override {
    const Variable y = saved(y_);
    return {mul(g[0], mul(y, affine(y, -1, 1)))};
  }

 private:
  int y_;
};

Variable sigmoid(const Variable& x) {
  const Tensor y = activate("sigmoid", x, UnaryOp::sigmoid);
  return record<SigmoidBackward>(y, {x}, y);
}

// min(max(x, low), high): dx = low <= x <= high ? g : 0
class ClampBackward final : public Node {
 public:
  ClampBackward(const Variable& x, double low, double high)
      : Node("clamp"), low_(low), high_(high), x_(save(x)) {}
  Variables apply(const Variables& g) override {
    const Tensor x = saved(x_).data();
    return {keep_where(x, BinaryOp::ge, low_, keep_where(x, BinaryOp::le, high_, g[0]))};
  }

 private:
  double low_, high_;
  int x_;
};

Variable clamp(const Variable& x, double low, double high) {
  expect_floats("clamp", {&x});
  Tensor out = empty_like(x.data(), x.shape());
  tensor::kernels::clamp(out, x.data(), low, high);
  return record<ClampBackward>(out, {x}, x, low, high);
}

}  // namespace autograd
