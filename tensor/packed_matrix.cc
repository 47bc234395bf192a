#include "tensor/packed_matrix.h"

#include "tensor/kernels.h"

namespace tensor {

PackedMatrix::PackedMatrix(const Tensor& b) : source_(b) {
  check(b.rank() == 2, ErrorKind::shape, "packed matrix: {} where a matrix is needed", describe(b));
  if (b.dtype() == DType::f32 && b.numel() > 0) kernels::pack_matrix(packed_, b);
}

void PackedMatrix::multiply(Tensor& out, const Tensor& a, bool accumulate) const {
  check(defined(), ErrorKind::argument, "packed matrix: multiply() before there is a matrix");
  const bool rows_dense = a.rank() == 2 && (a.size(1) <= 1 || a.strides()[1] == 1);
  if (!packed_.defined() || !rows_dense || a.dtype() != DType::f32) {
    kernels::matmul(out, a, source_, 1, accumulate ? 1 : 0);
    return;
  }
  check(a.size(1) == source_.size(0) && out.shape() == Shape{a.size(0), source_.size(1)}, ErrorKind::shape,
        "packed matrix: {} x {} into {}", a.shape(), source_.shape(), out.shape());
  check(out.dtype() == DType::f32 && (out.size(1) <= 1 || out.strides()[1] == 1), ErrorKind::argument,
        "packed matrix: the output {} has to be float32 with contiguous rows", describe(out));
  kernels::packed_matmul(out, a, packed_, accumulate);
}

}  // namespace tensor
