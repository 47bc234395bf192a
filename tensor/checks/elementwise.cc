#include "tensor/checks/common.h"
#include "tensor/kernels.h"

namespace tensor {

const char* name_of(UnaryOp op) {
  constexpr const char* kNames[] = {"neg",  "abs",   "exp",  "log",     "sqrt",   "rsqrt", "reciprocal",
                                    "relu", "relu6", "tanh", "sigmoid", "square", "sign"};
  return kNames[static_cast<int>(op)];
}

const char* name_of(BinaryOp op) {
  constexpr const char* kNames[] = {"add", "sub", "mul", "div", "pow", "maximum", "minimum",
                                    "eq",  "ne",  "lt",  "le",  "gt",  "ge"};
  return kNames[static_cast<int>(op)];
}

namespace checks {
namespace {

void expect_broadcast(const Tensor& out, const Tensor& x, const char* op) {
  bool fits = x.rank() <= out.rank();
  for (int i = 1; fits && i <= x.rank(); ++i) {
    const int64_t size = x.shape()[x.rank() - i];
    fits = size == 1 || size == out.shape()[out.rank() - i];
  }
  check(fits, ErrorKind::shape, "{}: {} does not broadcast to the output {}", op, x.shape(), out.shape());
}

void expect_same_type(const Tensor& a, const Tensor& b, const char* op) {
  check(same_type(a, b), ErrorKind::dtype, "{}: {} and {} do not mix; convert one with to()", op, describe(a),
        describe(b));
}

void expect_like(const Tensor& out, const Tensor& x, const char* op) {
  expect_same_type(out, x, op);
  expect_broadcast(out, x, op);
}

}  // namespace

void copy(Tensor& out, const Tensor& x) { expect_broadcast(out, x, "copy"); }

void copy_pieces(Tensor& out, const std::vector<Tensor>& pieces) {
  int64_t numbers = 0;
  check(out.is_contiguous(), ErrorKind::argument, "copy_pieces: into {}, which is not contiguous",
        describe(out));
  for (const Tensor& piece : pieces) {
    check(piece.defined(), ErrorKind::argument, "copy_pieces: an undefined piece");
    check(piece.device().is_cpu(), ErrorKind::device, "copy_pieces: a piece is on {}, not on the CPU",
          to_string(piece.device()));
    check(piece.dtype() == out.dtype(), ErrorKind::dtype, "copy_pieces: {} into {}", describe(piece),
          describe(out));
    check(piece.is_contiguous() && !piece.may_overlap(out), ErrorKind::argument,
          "copy_pieces: {} is not contiguous, or shares memory with what it is copied to", describe(piece));
    numbers += piece.numel();
  }
  check(numbers == out.numel(), ErrorKind::shape, "copy_pieces: {} numbers into {}", numbers, describe(out));
}

void fill(Tensor&, double) {}

void unary(Tensor& out, const Tensor& x, UnaryOp op) { expect_like(out, x, name_of(op)); }

void binary(Tensor& out, const Tensor& a, const Tensor& b, BinaryOp op) {
  const char* name = name_of(op);
  expect_same_type(a, b, name);
  check(is_comparison(op) ? out.dtype() == DType::boolean : same_type(out, a), ErrorKind::dtype,
        "{}: {} and {} into {}", name, describe(a), describe(b), describe(out));
  expect_broadcast(out, a, name);
  expect_broadcast(out, b, name);
}

void affine(Tensor& out, const Tensor& x, double, double) { expect_like(out, x, "affine"); }

void clamp(Tensor& out, const Tensor& x, double low, double high) {
  check(low <= high, ErrorKind::argument, "clamp: the lower bound {} is above the upper one {}", low, high);
  expect_like(out, x, "clamp");
}

void where(Tensor& out, const Tensor& condition, const Tensor& a, const Tensor& b) {
  check(condition.dtype() == DType::boolean, ErrorKind::dtype, "where: the condition is {}, not bool",
        describe(condition));
  expect_same_type(a, b, "where");
  expect_same_type(out, a, "where");
  for (const Tensor* x : {&condition, &a, &b}) expect_broadcast(out, *x, "where");
}

void add_inplace(Tensor& out, const Tensor& x, double) {
  expect_same_type(out, x, "add_inplace");
  check(out.shape() == x.shape(), ErrorKind::shape, "add_inplace: {} into {}", x.shape(), out.shape());
}

}  // namespace checks
}  // namespace tensor
