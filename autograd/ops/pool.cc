#include <numeric>

#include "autograd/ops/common.h"
#include "tensor/window.h"

namespace autograd {
namespace {

// The gradient goes to the place of each window's maximum.
class MaxPool2dBackward final : public OnceDifferentiable {
 public:
  MaxPool2dBackward(const Shape& shape, Tensor indices, const tensor::Pool2dOptions& o)
      : OnceDifferentiable("max_pool2d"),
        shape_(shape),
        indices_(std::move(indices)),
        windows_(windows(o.kernel_h, o.stride_h, o.dilation_h) *
                 windows(o.kernel_w, o.stride_w, o.dilation_w)) {}

  std::vector<Tensor> apply_once(const std::vector<Tensor>& gradients) override {
    constexpr int64_t kFew = 16;  // gradients that may be added in f32
    const Tensor& g = gradients[0];
    const DType type = windows_ > kFew ? DType::f64 : g.dtype();
    Tensor dx = Tensor::empty(shape_, type, g.device());
    tensor::kernels::max_pool2d_backward(dx, g.to(type).contiguous(), indices_);
    return {dx.to(g.dtype())};
  }

 private:
  // At most, along one dimension.
  static int64_t windows(int64_t kernel, int64_t stride, int64_t dilation) {
    return (kernel - 1) / (stride / std::gcd(stride, dilation)) + 1;
  }

  Shape shape_;
  Tensor indices_;
  int64_t windows_;  // that one value may win
};

// Each value of a cell gets the cell's gradient divided by the cell's size.
class AdaptiveAvgPool2dBackward final : public OnceDifferentiable {
 public:
  explicit AdaptiveAvgPool2dBackward(const Shape& shape)
      : OnceDifferentiable("adaptive_avg_pool2d"), shape_(shape) {}

  std::vector<Tensor> apply_once(const std::vector<Tensor>& gradients) override {
    Tensor dx = empty_like(gradients[0], shape_);
    tensor::kernels::adaptive_avg_pool2d_backward(dx, gradients[0].contiguous());
    return {dx};
  }

 private:
  Shape shape_;
};

}  // namespace

// out[n, c, p, q] = the maximum of x[n, c, p stride - pad + a dilation, ...] over the window's a, b inside of
// x; the first of equals is the one that counts, and a NaN wins
Variable max_pool2d(const Variable& x, const tensor::Pool2dOptions& options) {
  expect_floats("max_pool2d", {&x});
  const Shape shape = tensor::pool2d_output_shape(x.shape(), options, "max_pool2d");
  Tensor out = empty_like(x.data(), shape), indices = Tensor::empty(shape, DType::i64, x.device());
  tensor::kernels::max_pool2d(out, indices, x.data().contiguous(), options);
  return record<MaxPool2dBackward>(out, {x}, x.shape(), indices, options);
}

// out[n, c, p, q] = the mean of x[n, c, i, j] over floor(p h / out_h) <= i < ceil((p + 1) h / out_h), j alike
Variable adaptive_avg_pool2d(const Variable& x, int64_t out_h, int64_t out_w) {
  expect_floats("adaptive_avg_pool2d", {&x});
  check(x.rank() == 4, ErrorKind::shape, "adaptive_avg_pool2d: input {} must be (n, c, h, w)", x.shape());
  check(out_h > 0 && out_w > 0, ErrorKind::argument,
        "adaptive_avg_pool2d: output size {} x {} must be positive", out_h, out_w);
  if (out_h == 1 && out_w == 1 && x.size(2) * x.size(3) == 0)
    return mean(x, {2, 3}, true);  // NaN: of nothing
  Tensor out = empty_like(x.data(), {x.size(0), x.size(1), out_h, out_w});
  tensor::kernels::adaptive_avg_pool2d(out, x.data().contiguous());
  return record<AdaptiveAvgPool2dBackward>(out, {x}, x.shape());
}

}  // namespace autograd
