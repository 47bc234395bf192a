#include "tensor/window.h"

namespace tensor {
namespace {

// The sizes and options of a window along one axis are small: this keeps the sums below far from overflow.
constexpr int64_t kMost = int64_t{1} << 30;

void check_range(int64_t value, int64_t least, const char* name, const char* op) {
  check(value >= least && value <= kMost, ErrorKind::argument, "{}: {} {} is not between {} and {}", op, name,
        value, least, kMost);
}

}  // namespace

Shape conv2d_output_shape(const Shape& x, const Shape& w, const Conv2dOptions& o, const char* op) {
  check(x.rank() == 4 && w.rank() == 4, ErrorKind::shape,
        "{}: input {} and weight {} must be (n, c, h, w) and (o, c / groups, kh, kw)", op, x, w);
  for (const int64_t stride : {o.stride_h, o.stride_w}) check_range(stride, 1, "stride", op);
  for (const int64_t dilation : {o.dilation_h, o.dilation_w}) check_range(dilation, 1, "dilation", op);
  check_range(o.groups, 1, "groups", op);
  for (const int64_t pad : {o.pad_top, o.pad_bottom, o.pad_left, o.pad_right})
    check_range(pad, 0, "padding", op);
  check(w[2] >= 1 && w[3] >= 1 && w[2] <= kMost && w[3] <= kMost, ErrorKind::shape,
        "{}: kernel {} x {} is empty", op, w[2], w[3]);
  check(x[2] > 0 && x[3] > 0, ErrorKind::shape, "{}: the pictures of input {} are empty", op, x);
  check(w[0] > 0, ErrorKind::shape, "{}: weight {} has no output channels", op, w);
  check(x[1] % o.groups == 0 && w[0] % o.groups == 0 && w[1] == x[1] / o.groups, ErrorKind::shape,
        "{}: weight {} does not fit input {} in {} groups: the weight needs {} / {} input channels and a "
        "multiple of {} output channels",
        op, w, x, o.groups, x[1], o.groups, o.groups);
  const auto extent = [&](int64_t size, int64_t pads, int64_t kernel, int64_t dilation, int64_t stride) {
    const int64_t room = size + pads - dilation * (kernel - 1) - 1;
    check(room >= 0, ErrorKind::shape,
          "{}: the window of weight {} with dilation {} is larger than the padded input {}", op, w, dilation,
          x);
    return room / stride + 1;
  };
  return {x[0], w[0], extent(x[2], o.pad_top + o.pad_bottom, w[2], o.dilation_h, o.stride_h),
          extent(x[3], o.pad_left + o.pad_right, w[3], o.dilation_w, o.stride_w)};
}

Shape pool2d_output_shape(const Shape& x, const Pool2dOptions& o, const char* op) {
  check(x.rank() == 4, ErrorKind::shape, "{}: input {} must be (n, c, h, w)", op, x);
  check(x[1] > 0, ErrorKind::shape, "{}: input {} has no channels", op, x);
  for (const int64_t value : {o.kernel_h, o.kernel_w}) check_range(value, 1, "kernel", op);
  for (const int64_t value : {o.stride_h, o.stride_w}) check_range(value, 1, "stride", op);
  for (const int64_t value : {o.dilation_h, o.dilation_w}) check_range(value, 1, "dilation", op);
  for (const int64_t value : {o.pad_h, o.pad_w}) check_range(value, 0, "padding", op);
  check(o.pad_h <= o.kernel_h / 2 && o.pad_w <= o.kernel_w / 2, ErrorKind::argument,
        "{}: padding {} x {} is more than half the kernel {} x {}", op, o.pad_h, o.pad_w, o.kernel_h,
        o.kernel_w);
  const auto extent = [&](int64_t size, int64_t pad, int64_t kernel, int64_t dilation, int64_t stride) {
    const int64_t room = size + 2 * pad - dilation * (kernel - 1) - 1;
    // With ceil_mode a window may be larger than the input, if the step to the next one is, too.
    const int64_t steps = room + (o.ceil_mode ? stride - 1 : 0);
    int64_t out = steps >= 0 ? steps / stride + 1 : 0;
    if (o.ceil_mode && (out - 1) * stride >= size + pad) --out;
    check(size > 0 && out > 0, ErrorKind::shape,
          "{}: a kernel of {} with dilation {} is larger than the padded input {}", op, kernel, dilation, x);
    return out;
  };
  return {x[0], x[1], extent(x[2], o.pad_h, o.kernel_h, o.dilation_h, o.stride_h),
          extent(x[3], o.pad_w, o.kernel_w, o.dilation_w, o.stride_w)};
}

}  // namespace tensor
