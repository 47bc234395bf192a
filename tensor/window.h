// Sizes of sliding windows: the shapes that convolution and pooling make.
#pragma once

#include "tensor/kernel_options.h"
#include "tensor/shape.h"

namespace tensor {

// (n, o, oh, ow) for x (n, c, h, w) and w (o, c / groups, kh, kw), with oh = floor((h + pads - dilation (kh -
// 1) - 1) / stride) + 1. Checks ranks, channels, groups and options; a shape or argument error begins with
// `op`.
Shape conv2d_output_shape(const Shape& x, const Shape& w, const Conv2dOptions& options, const char* op);

// (n, c, oh, ow) for x (n, c, h, w). With ceil_mode the last window may start inside the picture or its left
// padding and reach over the edge, as in PyTorch. Padding may be at most half the kernel.
Shape pool2d_output_shape(const Shape& x, const Pool2dOptions& options, const char* op);

}  // namespace tensor
