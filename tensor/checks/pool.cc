#include "tensor/checks/common.h"
#include "tensor/kernels.h"
#include "tensor/window.h"

namespace tensor::checks {
namespace {

void expect_pair(const Tensor& small, const Tensor& large, const char* op) {
  check(small.rank() == 4 && large.rank() == 4 && small.size(0) == large.size(0) &&
            small.size(1) == large.size(1) && large.size(2) > 0 && large.size(3) > 0 && small.size(2) > 0 &&
            small.size(3) > 0,
        ErrorKind::shape,
        "{}: {} cannot be pooled to {}: both are (n, c, h, w) with the same n and c, not empty", op,
        large.shape(), small.shape());
  check(same_type(small, large), ErrorKind::dtype, "{}: {} and {}", op, describe(small), describe(large));
  expect_contiguous(op, {{"output", small}, {"input", large}});
}

}  // namespace

void max_pool2d(Tensor& out, Tensor& indices, const Tensor& x, const Pool2dOptions& options) {
  const Shape expected = pool2d_output_shape(x.shape(), options, "max_pool2d");
  check(out.shape() == expected && indices.shape() == expected, ErrorKind::shape,
        "max_pool2d: output {} and indices {} must be {} for input {}", out.shape(), indices.shape(),
        to_string(expected), x.shape());
  check(same_type(out, x) && indices.dtype() == DType::i64, ErrorKind::dtype,
        "max_pool2d: {} into {} and indices {}", describe(x), describe(out), describe(indices));
  expect_contiguous("max_pool2d", {{"output", out}, {"indices", indices}, {"input", x}});
}

void max_pool2d_backward(Tensor& dx, const Tensor& dout, const Tensor& indices) {
  check(dx.rank() == 4 && dout.rank() == 4 && dout.shape() == indices.shape() && dx.size(0) == dout.size(0) &&
            dx.size(1) == dout.size(1),
        ErrorKind::shape, "max_pool2d_backward: gradient {} and indices {} do not fit the input {}",
        dout.shape(), indices.shape(), dx.shape());
  check(same_type(dx, dout) && indices.dtype() == DType::i64, ErrorKind::dtype,
        "max_pool2d_backward: {} into {} with indices {}", describe(dout), describe(dx), describe(indices));
  expect_contiguous("max_pool2d_backward",
                    {{"input gradient", dx}, {"gradient", dout}, {"indices", indices}});
}

void adaptive_avg_pool2d(Tensor& out, const Tensor& x) { expect_pair(out, x, "adaptive_avg_pool2d"); }

void adaptive_avg_pool2d_backward(Tensor& dx, const Tensor& dout) {
  expect_pair(dout, dx, "adaptive_avg_pool2d_backward");
}

}  // namespace tensor::checks
