// A packed convolution's weights in the layouts that oneDNN's code wants. For files that know oneDNN.
#pragma once

#include <dnnl.hpp>

#include "tensor/nhwc.h"

namespace tensor::cpu {

// Their sizes as oneDNN has them: (o, c, kh, kw), or (groups, 1, 1, kh, kw).
dnnl::memory::dims weight_dims(const PackedConv2d& weight);

// Writes them to `to`, which has `desc`'s blocked layout and size; zeros where that is padded. (oneDNN's own way
// takes a hundred times as long for some layouts.)
void lay_out_weights(bf16* to, const dnnl::memory::desc& desc, const PackedConv2d& weight);

}  // namespace tensor::cpu
