#include "tensor/packed_matrix.h"

#include "tensor/kernels.h"

namespace tensor {

PackedMatrix::PackedMatrix(const Tensor& b, PackedFor use) : shape_(b.shape()), use_(use), dtype_(b.dtype()) {
  check(b.rank() == 2, ErrorKind::shape, "packed matrix: {} where a matrix is needed", describe(b));
  if (b.dtype() != DType::f64 && b.numel() > 0)
    kernels::pack_matrix(packed_, b, use);
  else
    source_ = b;
}

void PackedMatrix::multiply(Tensor& out, const Tensor& a, bool accumulate) const {
  check(defined(), ErrorKind::argument, "packed matrix: multiply() before there is a matrix");
  if (source_.defined()) return kernels::matmul(out, a, source_, 1, accumulate ? 1 : 0);
  check(a.rank() == 2 && a.size(1) == shape_[0] && out.shape() == Shape{a.size(0), shape_[1]},
        ErrorKind::shape, "packed matrix: {} x {} into {}", a.shape(), shape_, out.shape());
  check(a.dtype() == dtype_ && (out.dtype() == dtype_ || out.dtype() == DType::f32), ErrorKind::dtype,
        "packed matrix: {} by a matrix of {} into {}", describe(a), name_of(dtype_), describe(out));
  check(out.size(1) <= 1 || out.strides()[1] == 1, ErrorKind::argument,
        "packed matrix: the output {} has to have contiguous rows", describe(out));
  const bool rows_dense = a.size(1) <= 1 || a.strides()[1] == 1;
  kernels::packed_matmul(out, rows_dense ? a : a.contiguous(), packed_, use_, accumulate);
}

}  // namespace tensor
