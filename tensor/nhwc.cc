#include "tensor/nhwc.h"

#include "tensor/kernels.h"

namespace tensor {

NhwcBatch::NhwcBatch(int64_t n, int64_t h, int64_t w, int64_t c, const Border& border, Device device)
    : storage_(Tensor::empty({n, h + border.top + border.bottom, w + border.left + border.right, c},
                             DType::f32, device)),
      data_(storage_.mutable_device_data<float>()),
      n_(n),
      h_(h),
      w_(w),
      c_(c),
      border_(border) {}

NhwcBatch NhwcBatch::from_nchw(const Tensor& x, const Border& border) {
  check(x.rank() == 4, ErrorKind::shape, "channels last: input {} must be (n, c, h, w)", x.shape());
  NhwcBatch result(x.size(0), x.size(2), x.size(3), x.size(1), border, x.device());
  kernels::nhwc_from_nchw(result, x);
  return result;
}

Tensor NhwcBatch::to_nchw() const {
  return storage_.slice(1, border_.top, border_.top + h_)
      .slice(2, border_.left, border_.left + w_)
      .permute({0, 3, 1, 2});
}

PackedConv2d::PackedConv2d(const Tensor& source, const std::vector<double>& scale,
                           const std::vector<double>& bias_values, int64_t group_count)
    : weight_shape(source.shape()), groups(group_count) {
  kernels::pack_conv2d(*this, source, scale, bias_values);
}

}  // namespace tensor
