// Convolutions with one input channel a group and og filters on it (usually one): computed as they stand,
// without columns.
#pragma once

#include "tensor/conv2d_geometry.h"
#include "tensor/tensor.h"

namespace tensor::cuda {

// As the kernels of kernels.h; all tensors of one floating type, none empty. 16-bit numbers are added in f32 and
// rounded once. Errors: cuda.
void forward_depthwise(Tensor& out, const Tensor& x, const Tensor& w, const Tensor& bias,
                       const internal::Conv2dGeometry& g);
void backward_input_depthwise(Tensor& dx, const Tensor& dout, const Tensor& w,
                              const internal::Conv2dGeometry& g);
void backward_weight_depthwise(Tensor& dw, const Tensor& dout, const Tensor& x,
                               const internal::Conv2dGeometry& g);

}  // namespace tensor::cuda
