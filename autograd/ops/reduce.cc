// Reductions. An empty list of dimensions means all of them.
#include <limits>
#include <numeric>

#include "autograd/ops/common.h"

namespace autograd {

using tensor::ReduceOp;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Reduced {
  Tensor out;
  Shape kept;  // with size 1 in place of what was reduced
};

Reduced reduce(const char* op, const Variable& x, std::vector<int> dims, bool keepdim, ReduceOp kind) {
  expect_floats(op, {&x});
  if (dims.empty()) {
    dims.resize(static_cast<size_t>(x.rank()));
    std::iota(dims.begin(), dims.end(), 0);
  }
  Shape kept = x.shape(), dropped;
  unsigned mask = 0;
  for (int& dim : dims) {
    dim = tensor::normalize_dim(dim, x.rank(), op);
    mask |= 1u << dim;
    kept[dim] = 1;
  }
  for (int d = 0; d < x.rank(); ++d)
    if ((mask >> d & 1u) == 0) dropped.push_back(x.size(d));
  Tensor out = empty_like(x.data(), keepdim ? kept : dropped);
  tensor::kernels::reduce(out, x.data(), dims, kind);
  return {out, kept};
}

// sum: dx = g, spread over what was summed; mean: divided by their number `count`
Variable record_sum(const char* name, const Reduced& r, const Variable& x, double count) {
  return record_unary(name, r.out, x, [count, kept = r.kept, shape = x.shape()](const Variable& g) {
    return expand(reshape(count == 1 ? g : div_by(g, count), kept), shape);
  });
}

}  // namespace

Variable sum(const Variable& given, const std::vector<int>& dims, bool keepdim) {
  const Variable x = autocast_f32(given);
  return record_sum("sum", reduce("sum", x, dims, keepdim, ReduceOp::sum), x, 1);
}

Variable mean(const Variable& given, const std::vector<int>& dims, bool keepdim) {
  const Variable x = autocast_f32(given);
  const Reduced r = reduce("mean", x, dims, keepdim, ReduceOp::mean);
  double count = 1;
  for (int d = 0; d < x.rank(); ++d)
    if (r.kept[d] != x.size(d)) count *= static_cast<double>(x.size(d));
  if (count == 0) count = 1;  // of nothing: inf would make NaN of a second derivative
  return record_sum("mean", r, x, count);
}

// The gradient goes to the first of the greatest: dx[i] = i == argmax ? g : 0
Variable max(const Variable& x, int dim, bool keepdim) {
  const Reduced r = reduce("max", x, {dim}, keepdim, ReduceOp::max);
  const int d = tensor::normalize_dim(dim, x.rank(), "max");
  const Tensor winners = should_record({x}) ? argmax(x.data(), d) : Tensor();
  return record_saving("max", r.out, x, winners,
                       [d, kept = r.kept, size = x.size(d)](const Variable& g, const Variable& winner) {
                         Shape column = Shape::filled(kept.rank(), 1);
                         column[d] = size;
                         const Tensor index = Tensor::arange(size).to(g.device()).view(column);
                         return where(compare(index, winner.data().reshape(kept), BinaryOp::eq),
                                      reshape(g, kept), constant(0, g.data()));
                       });
}

// y = ln sum e^x: dx = g e^(x - y)
class LogSumExpBackward final : public Node {
 public:
  LogSumExpBackward(const Variable& x, const Tensor& y, const Shape& kept)
      : Node("logsumexp"), kept_(kept), x_(save(x)), y_(save_output(y)) {}
  Variables apply(const Variables& g) override {
    const Variable x = saved(x_), y = reshape(saved(y_), kept_);
    // Where y is -inf all of x is, and its gradient is 0, not e^(-inf + inf).
    const Tensor finite = compare(y.data(), -kInfinity, BinaryOp::ne);
    const Variable shift = where(finite, y, constant(0, y.data()));
    return {mul(reshape(g[0], kept_), exp(sub(x, shift)))};
  }

 private:
  Shape kept_;
  int x_, y_;
};

Variable logsumexp(const Variable& given, int dim, bool keepdim) {
  const Variable x = autocast_f32(given);
  Tensor y;
  Shape kept = x.shape();
  if (const int d = tensor::normalize_dim(dim, x.rank(), "logsumexp"); x.size(d) == 0) {
    expect_floats("logsumexp", {&x});
    kept[d] = 1;
    y = Tensor::full(kept, -kInfinity, x.dtype(), x.device());  // ln 0
  } else {
    const NoGrad guard;  // the node's own formula needs less memory than these ops' nodes
    const Reduced top = reduce("logsumexp", x.detach(), {dim}, true, ReduceOp::max);
    kept = top.kept;
    const Tensor finite = compare(unary("logsumexp", top.out, UnaryOp::abs), kInfinity, BinaryOp::lt);
    const Variable shift = where(finite, top.out, constant(0, top.out));
    const Variable total = sum(exp(sub(x.detach(), shift)), {dim}, true);
    y = add(log(total), shift).data();
  }
  if (!keepdim) y = y.squeeze(dim);
  return record<LogSumExpBackward>(y, {x}, x, y, kept);
}

Tensor argmax(const Tensor& x, int dim) {
  const int d = tensor::normalize_dim(dim, x.rank(), "argmax");
  const Tensor rows = x.transpose(d, -1);
  Shape shape = rows.shape();
  shape.erase(shape.rank() - 1);
  Tensor out = Tensor::empty(shape, DType::i64, x.device());
  tensor::kernels::argmax(out, rows);
  if (d == x.rank() - 1) return out;
  // `rows` had the last dimension in place d.
  return out.unsqueeze(-1).transpose(d, -1).squeeze(d);
}

TopK topk(const Tensor& x, int64_t k) {
  check(x.rank() > 0, ErrorKind::shape, "topk: a scalar has no last dimension");
  check(k >= 0 && k <= x.shape().back(), ErrorKind::argument,
        "topk: k is {}, but the last dimension of {} has {}", k, x.shape(), x.shape().back());
  Shape shape = x.shape();
  shape[shape.rank() - 1] = k;
  TopK best{Tensor::empty(shape, x.dtype(), x.device()), Tensor::empty(shape, DType::i64, x.device())};
  tensor::kernels::topk(best.values, best.indices, x, k);
  return best;
}

Variable sum_to(const Variable& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int lead = x.rank() - shape.rank();
  check(lead >= 0, ErrorKind::shape, "sum_to: {} to {}", x.shape(), to_string(shape));
  std::vector<int> dims;
  for (int d = 0; d < x.rank(); ++d) {
    const bool added = d < lead;
    check(added || shape[d - lead] == x.shape()[d] || shape[d - lead] == 1, ErrorKind::shape,
          "sum_to: {} to {}", x.shape(), to_string(shape));
    if (added || shape[d - lead] != x.shape()[d]) dims.push_back(d);
  }
  const Variable summed = dims.empty() ? x : sum(x, dims, true);
  return reshape(summed, shape);
}

}  // namespace autograd
