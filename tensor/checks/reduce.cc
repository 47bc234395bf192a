#include "tensor/checks/common.h"
#include "tensor/kernels.h"

namespace tensor::checks {
namespace {

int64_t last_size(const Tensor& x, const char* op) {
  check(x.rank() > 0, ErrorKind::shape, "{}: a scalar has no last dimension", op);
  return x.shape().back();
}

}  // namespace

void reduce(Tensor& out, const Tensor& x, const std::vector<int>& dims, ReduceOp op) {
  check(same_type(out, x), ErrorKind::dtype, "reduce: {} into {}", describe(x), describe(out));
  check(out.is_contiguous(), ErrorKind::argument, "reduce: the output {} is not contiguous", describe(out));
  Shape kept = x.shape();
  unsigned mask = 0;
  bool none = false;
  for (const int dim : dims) {
    const int d = normalize_dim(dim, x.rank(), "reduce");
    check((mask >> d & 1u) == 0, ErrorKind::argument, "reduce: dimension {} is given twice for {}", dim,
          x.shape());
    mask |= 1u << d;
    none = none || kept[d] == 0;
    kept[d] = 1;
  }
  Shape dropped;
  for (int d = 0; d < x.rank(); ++d)
    if ((mask >> d & 1u) == 0) dropped.push_back(x.shape()[d]);
  check(out.shape() == dropped || out.shape() == kept, ErrorKind::shape,
        "reduce: {} gives {} or {}, not the output {}", x.shape(), to_string(kept), to_string(dropped),
        out.shape());
  check(!none || op == ReduceOp::sum || op == ReduceOp::mean, ErrorKind::shape,
        "reduce: the greatest or least of no elements of {} is not defined", x.shape());
}

void argmax(Tensor& out, const Tensor& x) {
  const int64_t length = last_size(x, "argmax");
  Shape expected = x.shape();
  expected.erase(expected.rank() - 1);
  check(out.shape() == expected && out.dtype() == DType::i64 && out.is_contiguous(), ErrorKind::shape,
        "argmax: {} into {}", x.shape(), describe(out));
  check(length > 0, ErrorKind::shape, "argmax: the last dimension of {} is empty", x.shape());
}

void topk(Tensor& values, Tensor& indices, const Tensor& x, int64_t k) {
  const int64_t length = last_size(x, "topk");
  check(k >= 0 && k <= length, ErrorKind::argument, "topk: k is {}, but the last dimension of {} has {}", k,
        x.shape(), length);
  Shape expected = x.shape();
  expected[expected.rank() - 1] = k;
  check(values.shape() == expected && indices.shape() == expected && values.is_contiguous() &&
            indices.is_contiguous(),
        ErrorKind::shape, "topk: the outputs have to be {}, not {} and {}", expected, values.shape(),
        indices.shape());
  check(same_type(values, x) && indices.dtype() == DType::i64, ErrorKind::dtype, "topk: {} into {} and {}",
        describe(x), describe(values), describe(indices));
}

void cumsum(Tensor& out, const Tensor& x) {
  last_size(x, "cumsum");
  check(out.shape() == x.shape() && out.is_contiguous(), ErrorKind::shape, "cumsum: {} into {}", x.shape(),
        out.shape());
  check(same_type(out, x), ErrorKind::dtype, "cumsum: {} into {}", describe(x), describe(out));
}

void sum_squares(Tensor& out, const std::vector<Tensor>&) {
  check(out.numel() == 1 && out.dtype() == DType::f64, ErrorKind::shape,
        "sum_squares: the output has to be (1) f64, not {}", describe(out));
}

}  // namespace tensor::checks
