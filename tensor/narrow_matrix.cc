#include "tensor/narrow_matrix.h"

#include "tensor/finite.h"
#include "tensor/kernels.h"

namespace tensor {

Tensor StoredWeight::widened() const {
  if (!scales.defined()) return values.to(DType::f32);
  Tensor wide = Tensor::empty(shape(), DType::f32, values.device());
  rows(wide, Tensor::arange(shape()[0], DType::i64, values.device()));
  return wide;
}

void StoredWeight::rows(Tensor& out, const Tensor& ids) const {
  kernels::stored_rows(out, values, scales, ids);
}

int64_t StoredWeight::count_non_finite() const {
  return scales.defined() ? tensor::count_non_finite(scales) * shape()[1] : tensor::count_non_finite(values);
}

NarrowMatrix::NarrowMatrix(const StoredWeight& weight) {
  kernels::pack_narrow(packed_, scales_, weight.values, weight.scales);
  shape_ = weight.shape();
}

void NarrowMatrix::multiply(Tensor& out, const Tensor& x, bool accumulate) const {
  check(defined(), ErrorKind::argument, "narrow matrix: multiply() before there is a matrix");
  check(x.rank() == 2 && x.size(1) == shape_[1] && out.shape() == Shape{x.size(0), shape_[0]},
        ErrorKind::shape, "narrow matrix: {} by the weight {} into {}", x.shape(), shape_, out.shape());
  kernels::narrow_matmul(out, x, packed_, scales_, accumulate);
}

}  // namespace tensor
