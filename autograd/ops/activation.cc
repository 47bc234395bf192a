#include "autograd/ops/common.h"

namespace autograd {
namespace {

// `g` where x compares with the bound, else 0.
Variable keep_where(const Variable& x, BinaryOp comparison, double bound, const Variable& g) {
  return where(compare(x.data(), bound, comparison), g, constant(0, g.data()));
}

}  // namespace

// y = max(x, 0): dx = y <= 0 ? 0 : g, which a NaN passes
Variable relu(const Variable& x) {
  return record_saving_result("relu", unary("relu", x, UnaryOp::relu), x,
                              [](const Variable& g, const Variable& y) {
                                return where(compare(y.data(), 0, BinaryOp::le), constant(0, g.data()), g);
                              });
}

// y = min(max(x, 0), 6): dx = 0 < y < 6 ? g : 0
Variable relu6(const Variable& x) {
  return record_saving_result("relu6", unary("relu6", x, UnaryOp::relu6), x,
                              [](const Variable& g, const Variable& y) {
                                return keep_where(y, BinaryOp::gt, 0, keep_where(y, BinaryOp::lt, 6, g));
                              });
}

// y = tanh x: dx = g (1 - y^2)
Variable tanh(const Variable& x) {
  return record_saving_result(
      "tanh", unary("tanh", x, UnaryOp::tanh), x,
      [](const Variable& g, const Variable& y) { return mul(g, affine(square(y), -1, 1)); });
}

// y = 1 / (1 + e^-x): dx = g y (1 - y)
Variable sigmoid(const Variable& x) {
  return record_saving_result(
      "sigmoid", unary("sigmoid", x, UnaryOp::sigmoid), x,
      [](const Variable& g, const Variable& y) { return mul(g, mul(y, affine(y, -1, 1))); });
}

// min(max(x, low), high): dx = low <= x <= high ? g : 0
Variable clamp(const Variable& x, double low, double high) {
  expect_floats("clamp", {&x});
  Tensor out = empty_like(x.data(), x.shape());
  tensor::kernels::clamp(out, x.data(), low, high);
  return record_saving("clamp", out, x, x, [=](const Variable& g, const Variable& saved_x) {
    return keep_where(saved_x, BinaryOp::ge, low, keep_where(saved_x, BinaryOp::le, high, g));
  });
}

}  // namespace autograd
