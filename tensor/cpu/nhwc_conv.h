// Our own convolutions of pictures with channels last, in f32: what runs without oneDNN and where ours are
// faster, and what its results are held against.
#pragma once

#include "tensor/nhwc.h"

namespace tensor::cpu {

// out = activation(conv(x) + bias + residual). x has a border of at least the padding; residual may be null and
// may share out's memory.
void conv2d_dense(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& packed, const Conv2dOptions& o,
                  const NhwcBatch* residual, Activation activation);
void conv2d_depthwise(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& packed, const Conv2dOptions& o,
                      const NhwcBatch* residual, Activation activation);

}  // namespace tensor::cpu
