#include "tensor/nhwc.h"

#include "tensor/cpu/onednn_conv.h"
#include "tensor/kernels.h"

namespace tensor {

namespace {

DType expect_picture_type(DType dtype) {
  check(dtype == DType::f32 || is_half(dtype), ErrorKind::dtype,
        "channels last: pictures are f32, f16 or bf16, not {}", name_of(dtype));
  return dtype;
}

const Border& expect_border(const Border& border, Device device) {
  check(device.is_cpu() || border == Border{}, ErrorKind::argument,
        "channels last: pictures on {} have no border", to_string(device));
  return border;
}

}  // namespace

NhwcBatch::NhwcBatch(int64_t n, int64_t h, int64_t w, int64_t c, const Border& border, Device device,
                     DType dtype)
    : storage_(Tensor::empty({n, h + border.top + border.bottom, w + border.left + border.right, c},
                             expect_picture_type(dtype), device)),
      data_(storage_.mutable_device_raw()),
      n_(n),
      h_(h),
      w_(w),
      c_(c),
      border_(expect_border(border, device)) {}

NhwcBatch NhwcBatch::from_nchw(const Tensor& x, const Border& border, DType dtype) {
  check(x.rank() == 4, ErrorKind::shape, "channels last: input {} must be (n, c, h, w)", x.shape());
  NhwcBatch result(x.size(0), x.size(2), x.size(3), x.size(1), border, x.device(), dtype);
  kernels::nhwc_from_nchw(result, x);
  return result;
}

Tensor NhwcBatch::to_nchw() const { return to_nhwc().permute({0, 3, 1, 2}); }

Tensor NhwcBatch::to_nhwc() const {
  return storage_.slice(1, border_.top, border_.top + h_).slice(2, border_.left, border_.left + w_);
}

PackedConv2d::PackedConv2d(const Tensor& source, const std::vector<double>& scale,
                           const std::vector<double>& bias_values, int64_t group_count, DType picture_type)
    : weight_shape(source.shape()), groups(group_count), dtype(expect_picture_type(picture_type)) {
  kernels::pack_conv2d(*this, source, scale, bias_values);
}

void PackedConv2d::prepare(const Shape& input, const Conv2dOptions& options, bool residual,
                           Activation activation) const {
  if (weight.device().is_cpu()) cpu::prepare_onednn_conv(*this, input, options, residual, activation);
}

Border PackedConv2d::border_for(const Conv2dOptions& o) const {
  if (!weight.device().is_cpu() || cpu::convolves_with_onednn(*this, o)) return {};
  return {o.pad_top, o.pad_bottom, o.pad_left, o.pad_right};
}

}  // namespace tensor
