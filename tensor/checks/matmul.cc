#include "tensor/checks/common.h"
#include "tensor/kernels.h"

namespace tensor::checks {

void matmul(Tensor& out, const Tensor& a, const Tensor& b, double, double) {
  const bool batched = out.rank() == 3;
  check((batched || out.rank() == 2) && a.rank() == out.rank() && b.rank() == out.rank(), ErrorKind::shape,
        "matmul: {} x {} into {}: two matrices, or two with one batch dimension, are needed", a.shape(),
        b.shape(), out.shape());
  check(same_type(a, b) && same_type(a, out), ErrorKind::dtype, "matmul: {} x {} into {}", describe(a),
        describe(b), describe(out));
  check(b.size(-2) == a.size(-1), ErrorKind::shape, "matmul: inner sizes differ: {} x {}", a.shape(),
        b.shape());
  check(a.size(-2) == out.size(-2) && b.size(-1) == out.size(-1), ErrorKind::shape,
        "matmul: {} x {} does not give {}", a.shape(), b.shape(), out.shape());
  check(out.size(-1) <= 1 || out.strides().at(-1) == 1, ErrorKind::argument,
        "matmul: the output's rows have to be contiguous");
  check(!out.may_overlap(a) && !out.may_overlap(b), ErrorKind::argument,
        "matmul: the output overlaps an input");
  for (const Tensor* x : {&a, &b})
    check(!batched || x->size(0) == out.size(0) || x->size(0) == 1, ErrorKind::shape,
          "matmul: batches differ: {} x {} into {}", a.shape(), b.shape(), out.shape());
}

void pack_matrix(Tensor&, const Tensor& b, PackedFor) {
  check(b.rank() == 2, ErrorKind::shape, "pack_matrix: {} where a matrix is needed", describe(b));
  check(b.dtype() == DType::f32 || is_half(b.dtype()), ErrorKind::dtype,
        "pack_matrix: f32 or a 16-bit type is needed, not {}", describe(b));
}

void packed_matmul(Tensor& out, const Tensor& a, const Tensor& packed, PackedFor, bool) {
  const auto dense = [](const Tensor& x) {
    return x.rank() == 2 && (x.dtype() == DType::f32 || is_half(x.dtype())) &&
           (x.size(1) <= 1 || x.strides()[1] == 1);
  };
  check(
      dense(a) && dense(out) && a.size(0) == out.size(0) && packed.defined(), ErrorKind::shape,
      "packed_matmul: {} by a packed matrix into {}: matrices of at most 32 bits with contiguous rows are needed",
      describe(a), describe(out));
}

}  // namespace tensor::checks
