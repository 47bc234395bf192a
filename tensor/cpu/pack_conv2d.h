// How the weights of a convolution with channels last are laid out (PackedConv2d, nhwc.h).
#pragma once

#include <vector>

#include "tensor/tensor.h"

namespace tensor::cpu {

// (o, c, kh, kw), f32, f64, f16 or bf16, to (panels, kh, kw, c, width) f32, zeros past o: output channel i is
// multiplied by scale[i] in f64 and rounded.
void pack_conv_weight(float* packed, const Tensor& weight, const std::vector<double>& scale, int64_t width);

}  // namespace tensor::cpu
