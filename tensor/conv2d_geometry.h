// The sizes of a 2-D convolution, for each way of computing one, on every device.
#pragma once

#include <cstdint>

#include "tensor/kernel_options.h"
#include "tensor/shape.h"

namespace tensor::internal {

// x (n, c, h, w) by weight (o, cg, kh, kw) to (n, o, oh, ow); cg and og are the channels of a group.
struct Conv2dGeometry {
  int64_t n, c, h, w, o, kh, kw, oh, ow, groups, cg, og, k, pixels;
  Conv2dOptions options;

  Conv2dGeometry(const Shape& x, const Shape& weight, const Shape& out, const Conv2dOptions& opts)
      : options(opts) {
    n = x[0], c = x[1], h = x[2], w = x[3];
    o = weight[0], kh = weight[2], kw = weight[3];
    oh = out[2], ow = out[3];
    groups = opts.groups;
    cg = c / groups, og = o / groups;
    k = cg * kh * kw;
    pixels = oh * ow;
  }
  bool pointwise() const {
    const Conv2dOptions& p = options;
    return kh == 1 && kw == 1 && p.stride_h == 1 && p.stride_w == 1 && p.pad_top == 0 && p.pad_bottom == 0 &&
           p.pad_left == 0 && p.pad_right == 0;
  }
  bool depthwise() const { return cg == 1 && groups > 1; }
  int64_t padded_h() const { return h + options.pad_top + options.pad_bottom; }
  int64_t padded_w() const { return w + options.pad_left + options.pad_right; }
};

}  // namespace tensor::internal
