// Convolutions of pictures with channels last by oneDNN, which is called on strips of rows by the threads of our
// pool: bias, residual and activation are its post-operations, and it lays the weights out once.
#pragma once

#include "tensor/nhwc.h"

namespace tensor::cpu {

// Whether oneDNN makes this convolution: in bf16, where the processor has products of such numbers. In f32 our
// own kernels are as fast, and ready at once.
bool convolves_with_onednn(const PackedConv2d& weight, const Conv2dOptions& options);

// What conv2d_nhwc does, for pictures without borders. False, and nothing done, when it is not oneDNN's or
// oneDNN may not be called any more (onednn.h).
bool conv2d_onednn(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& weight,
                   const Conv2dOptions& options, const NhwcBatch* residual, Activation activation);

// Makes the code for pictures of this size now, as conv2d_onednn would at its first call.
void prepare_onednn_conv(const PackedConv2d& weight, const Shape& input, const Conv2dOptions& options,
                         bool residual, Activation activation);

// What a packed convolution keeps for it; null in builds without oneDNN.
std::shared_ptr<OneDnnConv> make_onednn_conv();

}  // namespace tensor::cpu
