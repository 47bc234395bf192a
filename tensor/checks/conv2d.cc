#include "tensor/checks/common.h"
#include "tensor/kernels.h"
#include "tensor/window.h"

namespace tensor::checks {
namespace {

void expect_output(const Tensor& out, const Tensor& x, const Tensor& w, const Conv2dOptions& options,
                   const char* op) {
  const Shape expected = conv2d_output_shape(x.shape(), w.shape(), options, op);
  check(out.shape() == expected, ErrorKind::shape, "{}: output {} must be {} for input {} and weight {}", op,
        out.shape(), to_string(expected), x.shape(), w.shape());
  check(same_type(out, x) && same_type(out, w), ErrorKind::dtype, "{}: input {}, weight {} and output {}", op,
        describe(x), describe(w), describe(out));
}

void expect_nhwc(const NhwcBatch& out, const Shape& expected, const char* op) {
  check(out.nchw_shape() == expected, ErrorKind::shape, "{}: the output {} must be {}", op, out.nchw_shape(),
        to_string(expected));
}

void expect_one_type(const NhwcBatch& out, const NhwcBatch& x, const char* op) {
  check(out.dtype() == x.dtype(), ErrorKind::dtype, "{}: pictures of {} and {}", op, name_of(x.dtype()),
        name_of(out.dtype()));
}

}  // namespace

void conv2d(Tensor& out, const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options) {
  expect_output(out, x, w, options, "conv2d");
  expect_contiguous("conv2d", {{"output", out}, {"input", x}, {"weight", w}});
  if (!bias.defined()) return;
  check(bias.shape() == Shape{w.size(0)}, ErrorKind::shape, "conv2d: bias {} must be ({})", bias.shape(),
        w.size(0));
  expect_contiguous("conv2d", {{"bias", bias}});
}

void conv2d_backward_input(Tensor& dx, const Tensor& dout, const Tensor& w, const Conv2dOptions& options) {
  expect_output(dout, dx, w, options, "conv2d_backward_input");
  expect_contiguous("conv2d_backward_input", {{"input gradient", dx}, {"gradient", dout}, {"weight", w}});
}

void conv2d_backward_weight(Tensor& dw, const Tensor& dout, const Tensor& x, const Conv2dOptions& options) {
  expect_output(dout, x, dw, options, "conv2d_backward_weight");
  expect_contiguous("conv2d_backward_weight", {{"weight gradient", dw}, {"gradient", dout}, {"input", x}});
}

void nhwc_from_nchw(NhwcBatch& out, const Tensor& x) {
  check(x.rank() == 4 && x.dtype() == DType::f32, ErrorKind::shape,
        "channels last: input {} must be (n, c, h, w) f32", describe(x));
  expect_nhwc(out, x.shape(), "channels last");
}

void pack_conv2d(PackedConv2d& packed, const Tensor& weight, const std::vector<double>& scale,
                 const std::vector<double>& bias) {
  check(weight.rank() == 4 && scale.size() == bias.size() &&
            static_cast<int64_t>(bias.size()) == weight.size(0),
        ErrorKind::shape,
        "packed conv2d: weight {} must be (o, c / groups, kh, kw), with o scales ({}) and biases ({})",
        weight.shape(), scale.size(), bias.size());
  check(packed.groups == 1 || (packed.groups == weight.size(0) && weight.size(1) == 1), ErrorKind::argument,
        "packed conv2d: {} groups for weight {}: only one group or a depthwise convolution", packed.groups,
        weight.shape());
}

void conv2d_nhwc(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& weight, const Conv2dOptions& options,
                 const NhwcBatch* residual, Activation) {
  Conv2dOptions o = options;
  o.groups = weight.groups;
  const Shape expected = conv2d_output_shape(x.nchw_shape(), weight.weight_shape, o, "packed conv2d");
  expect_nhwc(out, expected, "packed conv2d");
  if (residual != nullptr) expect_nhwc(*residual, expected, "packed conv2d");
  expect_one_type(out, x, "packed conv2d");
  if (residual != nullptr) expect_one_type(out, *residual, "packed conv2d");
  check(weight.dtype == x.dtype(), ErrorKind::dtype, "packed conv2d: weights for pictures of {}, not {}",
        name_of(weight.dtype), name_of(x.dtype()));
}

void max_pool2d_nhwc(NhwcBatch& out, const NhwcBatch& x, const Pool2dOptions& options) {
  expect_one_type(out, x, "max_pool2d");
  expect_nhwc(out, pool2d_output_shape(x.nchw_shape(), options, "max_pool2d"), "max_pool2d");
}

}  // namespace tensor::checks
