// Element by element; shapes broadcast, and the engine sums the gradients back to the inputs' shapes.
#include <cmath>
#include <limits>

#include "autograd/ops/common.h"

namespace autograd {

namespace {

Tensor binary(const char* op, const Variable& a, const Variable& b, BinaryOp kind) {
  expect_floats(op, {&a, &b});
  Tensor out = empty_like(a.data(), tensor::broadcast(a.shape(), b.shape(), op));
  tensor::kernels::binary(out, a.data(), b.data(), kind);
  return out;
}

// An input that the gradient of another one needs: nothing is kept when that one has none.
Variable if_needed(const Variable& input, const Variable& other) {
  return other.requires_grad() ? input : Variable();
}

}  // namespace

Tensor unary(const char* op, const Variable& x, UnaryOp kind) {
  expect_floats(op, {&x});
  Tensor out = empty_like(x.data(), x.shape());
  tensor::kernels::unary(out, x.data(), kind);
  return out;
}

Tensor compare(const Tensor& a, const Tensor& b, BinaryOp kind) {
  Tensor out = Tensor::empty(tensor::broadcast(a.shape(), b.shape(), "compare"), DType::boolean, a.device());
  tensor::kernels::binary(out, a, b, kind);
  return out;
}

Tensor compare(const Tensor& a, double b, BinaryOp kind) { return compare(a, constant(b, a), kind); }

// a + b: da = g, db = g
class AddBackward final : public Node {
 public:
  AddBackward() : Node("add") {}
  Variables apply(const Variables& g) override {
    return {needs(0) ? g[0] : Variable(), needs(1) ? g[0] : Variable()};
  }
};

Variable add(const Variable& a, const Variable& b) {
  if (const auto type = autocast_promoted({&a, &b})) return add(to(a, *type), to(b, *type));
  return record<AddBackward>(binary("add", a, b, BinaryOp::add), {a, b});
}

// a - b: da = g, db = -g
class SubBackward final : public Node {
 public:
  SubBackward() : Node("sub") {}
  Variables apply(const Variables& g) override {
    return {needs(0) ? g[0] : Variable(), needs(1) ? neg(g[0]) : Variable()};
  }
};

Variable sub(const Variable& a, const Variable& b) {
  if (const auto type = autocast_promoted({&a, &b})) return sub(to(a, *type), to(b, *type));
  return record<SubBackward>(binary("sub", a, b, BinaryOp::sub), {a, b});
}

// a b: da = g b, db = g a
class MulBackward final : public Node {
 public:
  MulBackward(const Variable& a, const Variable& b)
      : Node("mul"), a_(save(if_needed(a, b))), b_(save(if_needed(b, a))) {}
  Variables apply(const Variables& g) override {
    return {needs(0) ? mul(g[0], saved(b_)) : Variable(), needs(1) ? mul(g[0], saved(a_)) : Variable()};
  }

 private:
  int a_, b_;
};

Variable mul(const Variable& a, const Variable& b) {
  if (const auto type = autocast_promoted({&a, &b})) return mul(to(a, *type), to(b, *type));
  return record<MulBackward>(binary("mul", a, b, BinaryOp::mul), {a, b}, a, b);
}

// a / b: da = g / b, db = -g / b * (a / b)
class DivBackward final : public Node {
 public:
  DivBackward(const Variable& a, const Variable& b) : Node("div"), a_(save(if_needed(a, b))), b_(save(b)) {}
  Variables apply(const Variables& g) override {
    const Variable b = saved(b_), da = div(g[0], b);
    return {needs(0) ? da : Variable(), needs(1) ? neg(mul(da, div(saved(a_), b))) : Variable()};
  }

 private:
  int a_, b_;
};

Variable div(const Variable& a, const Variable& b) {
  if (const auto type = autocast_promoted({&a, &b})) return div(to(a, *type), to(b, *type));
  return record<DivBackward>(binary("div", a, b, BinaryOp::div), {a, b}, a, b);
}

// x / divisor, the divisor in the type that x is computed in. Kernels take a subnormal divisor for 0: it is
// made larger by a power of two, and so is the quotient.
Tensor divided(const Tensor& x, double divisor) {
  const bool f64 = x.dtype() == DType::f64;
  const double least = f64 ? std::numeric_limits<double>::min() : double{std::numeric_limits<float>::min()};
  const double power = std::abs(divisor) < least && divisor != 0 ? (f64 ? 0x1p512 : 0x1p64) : 1;
  Tensor out = empty_like(x, x.shape());
  const Tensor y = Tensor::full({}, divisor * power, f64 ? DType::f64 : DType::f32, x.device());
  tensor::kernels::binary(out, x, y, BinaryOp::div);
  if (power != 1) tensor::kernels::affine(out, out, power, 0);
  return out;
}

// x / c: dx = g / c
Variable div_by(const Variable& x, double divisor) {
  expect_floats("div", {&x});
  return record_unary("div", divided(x.data(), divisor), x,
                      [=](const Variable& g) { return div_by(g, divisor); });
}

// s x + t: dx = s g
Variable affine(const Variable& x, double scale, double shift) {
  expect_floats("affine", {&x});
  Tensor out = empty_like(x.data(), x.shape());
  tensor::kernels::affine(out, x.data(), scale, shift);
  return record_unary("affine", out, x, [=](const Variable& g) { return affine(g, scale, 0); });
}

// -x: dx = -g
Variable neg(const Variable& x) { return record_unary("neg", unary("neg", x, UnaryOp::neg), x, neg); }

// x^p: dx = g p x^(p - 1), and 0 everywhere for p = 0
Variable pow(const Variable& given, double exponent) {
  const Variable x = autocast_f32(given);
  expect_floats("pow", {&x});
  Tensor out = empty_like(x.data(), x.shape());
  if (exponent == 2)
    tensor::kernels::unary(out, x.data(), UnaryOp::square);
  else if (exponent == -1)
    tensor::kernels::unary(out, x.data(), UnaryOp::reciprocal);
  else if (exponent == 1)
    tensor::kernels::copy(out, x.data());
  else
    tensor::kernels::binary(out, x.data(), constant(exponent, x.data()), BinaryOp::pow);
  return record_saving("pow", out, x, x, [=](const Variable& g, const Variable& saved_x) -> Variable {
    if (exponent == 0) return Tensor::zeros(g.shape(), g.dtype(), g.device());
    return mul(g, affine(pow(saved_x, exponent - 1), exponent, 0));
  });
}

// y = e^x: dx = g y
Variable exp(const Variable& given) {
  const Variable x = autocast_f32(given);
  return record_saving_result("exp", unary("exp", x, UnaryOp::exp), x, mul);
}

// ln x: dx = g / x
Variable log(const Variable& given) {
  const Variable x = autocast_f32(given);
  return record_saving("log", unary("log", x, UnaryOp::log), x, x, div);
}

// y = sqrt x: dx = g / (2 y)
Variable sqrt(const Variable& given) {
  const Variable x = autocast_f32(given);
  return record_saving_result("sqrt", unary("sqrt", x, UnaryOp::sqrt), x,
                              [](const Variable& g, const Variable& y) { return affine(div(g, y), 0.5, 0); });
}

// x^2: dx = 2 g x
Variable square(const Variable& given) {
  const Variable x = autocast_f32(given);
  return record_saving(
      "square", unary("square", x, UnaryOp::square), x, x,
      [](const Variable& g, const Variable& saved_x) { return mul(affine(g, 2, 0), saved_x); });
}

// |x|: dx = g sign x
Variable abs(const Variable& x) {
  return record_saving("abs", unary("abs", x, UnaryOp::abs), x, x,
                       [](const Variable& g, const Variable& saved_x) {
                         return mul(g, unary("abs", saved_x, UnaryOp::sign));
                       });
}

// max(a, b) or min(a, b): the gradient goes to all but the one that lost, half of it to each of equals. A
// choice, not a product with 0 or 1: 0 * inf would be NaN.
class ExtremumBackward final : public Node {
 public:
  ExtremumBackward(const char* name, const Variable& a, const Variable& b, BinaryOp wins)
      : Node(name), wins_(wins), a_(save(a)), b_(save(b)) {}
  Variables apply(const Variables& g) override {
    const Tensor a = saved(a_).data(), b = saved(b_).data();
    const Variable zero = constant(0, g[0].data());
    const Variable share = where(compare(a, b, BinaryOp::eq), affine(g[0], 0.5, 0), g[0]);
    return {needs(0) ? where(compare(b, a, wins_), zero, share) : Variable(),
            needs(1) ? where(compare(a, b, wins_), zero, share) : Variable()};
  }

 private:
  BinaryOp wins_;
  int a_, b_;
};

Variable maximum(const Variable& a, const Variable& b) {
  if (const auto type = autocast_promoted({&a, &b})) return maximum(to(a, *type), to(b, *type));
  return record<ExtremumBackward>(binary("maximum", a, b, BinaryOp::maximum), {a, b}, "maximum", a, b,
                                  BinaryOp::gt);
}

Variable minimum(const Variable& a, const Variable& b) {
  if (const auto type = autocast_promoted({&a, &b})) return minimum(to(a, *type), to(b, *type));
  return record<ExtremumBackward>(binary("minimum", a, b, BinaryOp::minimum), {a, b}, "minimum", a, b,
                                  BinaryOp::lt);
}

// c ? a : b: da = c ? g : 0, db = c ? 0 : g
class WhereBackward final : public Node {
 public:
  explicit WhereBackward(const Tensor& condition) : Node("where"), condition_(save(condition)) {}
  Variables apply(const Variables& g) override {
    const Tensor condition = saved(condition_).data();
    const Variable zero = constant(0, g[0].data());
    return {needs(0) ? where(condition, g[0], zero) : Variable(),
            needs(1) ? where(condition, zero, g[0]) : Variable()};
  }

 private:
  int condition_;
};

Variable where(const Tensor& condition, const Variable& a, const Variable& b) {
  if (const auto type = autocast_promoted({&a, &b})) return where(condition, to(a, *type), to(b, *type));
  expect_floats("where", {&a, &b});
  check(condition.dtype() == DType::boolean, ErrorKind::dtype, "where: the condition is {}, not bool",
        tensor::describe(condition));
  expect_same_device(a.data(), condition, "where");
  const Shape values = tensor::broadcast(a.shape(), b.shape(), "where");
  Tensor out = empty_like(a.data(), tensor::broadcast(condition.shape(), values, "where"));
  tensor::kernels::where(out, condition, a.data(), b.data());
  return record<WhereBackward>(out, {a, b}, condition);
}

}  // namespace autograd
