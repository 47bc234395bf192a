#include "nn/conv2d.h"

#include "autograd/ops.h"
#include "tensor/error.h"

namespace nn {
namespace {

Tensor new_weight(int64_t in, int64_t out, int64_t kh, int64_t kw, int64_t groups,
                  Conv2d::Initialiser* initialise, Generator& generator) {
  tensor::check(initialise != nullptr, ErrorKind::argument, "Conv2d: no function to initialise the weight");
  tensor::check(in > 0 && out > 0 && kh > 0 && kw > 0 && groups > 0, ErrorKind::argument,
                "Conv2d: channels {} -> {}, kernel {} x {}, groups {}: all have to be positive", in, out, kh,
                kw, groups);
  tensor::check(in % groups == 0 && out % groups == 0, ErrorKind::argument,
                "Conv2d: channels {} -> {} cannot be divided into {} groups", in, out, groups);
  Tensor weight = Tensor::empty({out, in / groups, kh, kw});
  initialise(weight, generator);
  return weight;
}

}  // namespace

Conv2dOptions conv2d_options(int64_t stride, int64_t padding, int64_t dilation, int64_t groups) {
  return {stride, stride, padding, padding, padding, padding, dilation, dilation, groups};
}

Conv2d::Conv2d(int64_t in_channels, int64_t out_channels, int64_t kernel, const Conv2dOptions& options,
               bool bias, Generator& generator)
    : Conv2d(in_channels, out_channels, kernel, kernel, options, bias, generator) {}

Conv2d::Conv2d(int64_t in_channels, int64_t out_channels, int64_t kernel_h, int64_t kernel_w,
               const Conv2dOptions& options, bool bias, Generator& generator)
    : options_(options),
      weight_(register_parameter("weight", new_weight(in_channels, out_channels, kernel_h, kernel_w,
                                                      options.groups, init::default_weight, generator))),
      bias_(register_parameter("bias", bias ? init::new_bias(weight_.data(), generator) : Tensor())) {}

Conv2d::Conv2d(int64_t in_channels, int64_t out_channels, int64_t kernel, const Conv2dOptions& options,
               Initialiser* initialise, Generator& generator)
    : options_(options),
      weight_(register_parameter("weight", new_weight(in_channels, out_channels, kernel, kernel,
                                                      options.groups, initialise, generator))),
      bias_(register_parameter("bias", Tensor())) {}

Variable Conv2d::forward(const Variable& x) { return autograd::conv2d(x, weight_, bias_, options_); }

Variable Conv2d::forward(const Variable& x, const Conv2dOptions& options) {
  const Scope scope(*this);
  return autograd::conv2d(x, weight_, bias_, options);
}

std::string Conv2d::describe() const {
  const Conv2dOptions& o = options_;
  std::string text =
      tensor::format("Conv2d({}, {}, kernel_size=({}, {}), stride=({}, {})", weight_.size(1) * o.groups,
                     weight_.size(0), weight_.size(2), weight_.size(3), o.stride_h, o.stride_w);
  if (o.pad_top != o.pad_bottom || o.pad_left != o.pad_right) {
    text += tensor::format(", padding=(top {}, bottom {}, left {}, right {})", o.pad_top, o.pad_bottom,
                           o.pad_left, o.pad_right);
  } else if (o.pad_top != 0 || o.pad_left != 0) {
    text += tensor::format(", padding=({}, {})", o.pad_top, o.pad_left);
  }
  if (o.dilation_h != 1 || o.dilation_w != 1)
    text += tensor::format(", dilation=({}, {})", o.dilation_h, o.dilation_w);
  if (o.groups != 1) text += tensor::format(", groups={}", o.groups);
  if (!bias_.defined()) text += ", bias=False";
  return text + ")";
}

}  // namespace nn
