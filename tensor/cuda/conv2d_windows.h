// The windows of a convolution. For .cu files.
#pragma once

#include "tensor/conv2d_geometry.h"
#include "tensor/cuda/window_axis.h"

namespace tensor::cuda {

inline Windows windows_of(const internal::Conv2dGeometry& g) {
  const Conv2dOptions& p = g.options;
  return {.y = {g.h, g.oh, g.kh, p.stride_h, p.pad_top, p.dilation_h},
          .x = {g.w, g.ow, g.kw, p.stride_w, p.pad_left, p.dilation_w}};
}

}  // namespace tensor::cuda
