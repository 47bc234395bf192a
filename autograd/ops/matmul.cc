#include "autograd/ops/common.h"
#include "autograd/packed_weights.h"

namespace autograd {
namespace {

// Leading dimensions of `shape` with the last two dropped.
Shape leading(const Shape& shape) { return Shape(std::span(shape.begin(), shape.end() - 2)); }

Shape with_matrix(Shape lead, int64_t rows, int64_t cols) {
  lead.push_back(rows);
  lead.push_back(cols);
  return lead;
}

// The product of two matrices or of two stacks of them, on tensors.
Tensor product(const Tensor& a, const Tensor& b) {
  check(a.rank() >= 2 && b.rank() >= 2, ErrorKind::shape,
        "matmul: two dimensions or more are needed: {} x {}", a.shape(), b.shape());
  check(a.dtype() == b.dtype(), ErrorKind::dtype, "matmul: {} x {}: cast one with to()", tensor::describe(a),
        tensor::describe(b));
  tensor::expect_same_device(a, b, "matmul");
  const int64_t m = a.size(-2), k = a.size(-1), n = b.size(-1);
  check(b.size(-2) == k, ErrorKind::shape, "matmul: inner sizes differ: {} x {}", a.shape(), b.shape());
  const Shape lead = tensor::broadcast(leading(a.shape()), leading(b.shape()), "matmul");
  Tensor out = Tensor::empty(with_matrix(lead, m, n), a.dtype(), a.device());
  if (lead.empty()) {
    tensor::kernels::matmul(out, a, b, 1, 0);
  } else {
    const int64_t stack = lead.numel();  // not -1 in the shapes below: a size may be 0
    Tensor flat = out.view({stack, m, n});
    tensor::kernels::matmul(flat, a.expand(with_matrix(lead, m, k)).reshape({stack, m, k}),
                            b.expand(with_matrix(lead, k, n)).reshape({stack, k, n}), 1, 0);
  }
  return out;
}

class MatmulBackward final : public Node {
 public:
  MatmulBackward(const Variable& a, const Variable& b) : Node("matmul"), a_(save(a)), b_(save(b)) {}
  Variables apply(const Variables& gradients) override {
    const Variable &g = gradients[0], a = saved(a_), b = saved(b_);
    return {needs(0) ? matmul(g, transpose(b, -2, -1)) : Variable(),
            needs(1) ? matmul(transpose(a, -2, -1), g) : Variable()};
  }

 private:
  int a_, b_;
};

}  // namespace

// c = a b;  da = dc b^T,  db = a^T dc
Variable matmul(const Variable& given_a, const Variable& given_b) {
  const Variable a = autocast_lower(given_a), b = autocast_lower(given_b);
  return record<MatmulBackward>(product(a.data(), b.data()), {a, b}, a, b);
}

namespace {

// The product of all sizes but the last.
int64_t row_count(const Shape& shape) { return Shape(std::span(shape.begin(), shape.end() - 1)).numel(); }

class LinearBackward final : public Node {
 public:
  LinearBackward(const Variable& x, const Variable& weight)
      : Node("linear"), x_(save(x)), weight_(save(weight)) {}
  Variables apply(const Variables& gradients) override {
    const Variable &g = gradients[0], x = saved(x_), weight = saved(weight_);
    const int64_t out = weight.size(0), in = weight.size(1), n = row_count(x.shape());
    const Variable rows = reshape(g, {n, out});
    return {needs(0) ? reshape(matmul(rows, weight), x.shape()) : Variable(),
            needs(1) ? matmul(transpose(rows, 0, 1), reshape(x, {n, in})) : Variable(),
            needs(2) ? sum(rows, {0}) : Variable()};
  }

 private:
  int x_, weight_;
};

}  // namespace

// y = x W^T + b;  dx = dy W,  dW = dy^T x,  db = sum of dy over the rows
Variable linear(const Variable& given, const Variable& given_weight, const Variable& given_bias) {
  const Variable x = autocast_lower(given), weight = autocast_lower(given_weight),
                 bias = autocast_lower(given_bias);
  check(weight.rank() == 2 && x.rank() >= 1 && x.size(-1) == weight.size(1), ErrorKind::shape,
        "linear: input {} with weight {}: the last size has to be {}", x.shape(), weight.shape(),
        weight.rank() == 2 ? weight.size(1) : -1);
  check(x.dtype() == weight.dtype(), ErrorKind::dtype, "linear: input {} with weight {}: cast one with to()",
        tensor::describe(x.data()), tensor::describe(weight.data()));
  check(!bias.defined() || bias.shape() == Shape{weight.size(0)}, ErrorKind::shape,
        "linear: bias {} with weight {}", bias.defined() ? bias.shape() : Shape{}, weight.shape());
  expect_one_device("linear", x, weight, bias);
  Shape shape = x.shape();
  shape[shape.rank() - 1] = weight.size(0);
  Tensor out = Tensor::empty(shape, x.dtype(), x.device());
  Tensor rows = out.view({row_count(x.shape()), weight.size(0)});
  const bool has_bias = bias.defined();
  if (has_bias) rows.copy_(bias.data());
  multiply_weight(rows, x.data().reshape({rows.size(0), weight.size(1)}), weight.data(), has_bias);
  return record<LinearBackward>(out, {x, weight, bias}, x, weight);
}

}  // namespace autograd
