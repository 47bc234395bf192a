#include "tensor/kernels.h"

namespace tensor::checks {
namespace {

bool dense_rows(const Tensor& x) {
  return x.rank() == 2 && x.dtype() == DType::f32 && (x.size(1) <= 1 || x.strides()[1] == 1);
}

void expect_stored(const char* op, const Tensor& weight, const Tensor& scales) {
  check(weight.rank() == 2, ErrorKind::shape, "{}: {} where a matrix is needed", op, describe(weight));
  const bool narrow = weight.dtype() == DType::u8;
  check(narrow || is_half(weight.dtype()) || weight.dtype() == DType::f32, ErrorKind::dtype,
        "{}: f32, f16, bf16 or u8 is needed, not {}", op, describe(weight));
  check(scales.defined() == narrow, ErrorKind::dtype, "{}: {} {} scales", op, describe(weight),
        narrow ? "without" : "with");
  check(!narrow || (scales.dtype() == DType::f16 && scales.shape() == Shape{weight.size(0)}),
        ErrorKind::shape, "{}: rows {} with scales {}", op, describe(weight), describe(scales));
}

}  // namespace

void pack_narrow(Tensor&, Tensor&, const Tensor& weight, const Tensor& scales) {
  expect_stored("pack_narrow", weight, scales);
}

void narrow_matmul(Tensor& out, const Tensor& a, const Tensor& packed, const Tensor& packed_scales, bool) {
  check(dense_rows(a) && dense_rows(out) && a.size(0) == out.size(0) && packed.defined(), ErrorKind::shape,
        "narrow_matmul: {} by a packed weight into {}: f32 matrices with contiguous rows are needed",
        describe(a), describe(out));
  check((packed.dtype() == DType::u8) == packed_scales.defined(), ErrorKind::dtype,
        "narrow_matmul: {} {} scales", describe(packed), packed_scales.defined() ? "with" : "without");
}

void stored_rows(Tensor& out, const Tensor& weight, const Tensor& scales, const Tensor& ids) {
  expect_stored("stored_rows", weight, scales);
  check(ids.rank() == 1 && ids.dtype() == DType::i64, ErrorKind::dtype, "stored_rows: ids {}, not (n) i64",
        describe(ids));
  check(dense_rows(out) && out.shape() == Shape{ids.size(0), weight.size(1)}, ErrorKind::shape,
        "stored_rows: {} rows of {} into {}", ids.size(0), describe(weight), describe(out));
}

}  // namespace tensor::checks
