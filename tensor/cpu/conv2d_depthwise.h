// Convolutions with one input channel a group and og filters on it (usually one).
#pragma once

#include <cstdint>
#include <memory>

#include "tensor/conv2d_geometry.h"

namespace tensor::cpu {

using internal::Conv2dGeometry;

// x (n, c, h, w), w (o, 1, kh, kw), bias (o) or null, out (n, o, oh, ow), all contiguous; the gradients have their
// shapes. float and double.
template <class T>
void forward_depthwise(const Conv2dGeometry& g, T* out, const T* x, const T* w, const T* bias);
template <class T>
void backward_input_depthwise(const Conv2dGeometry& g, T* dx, const T* dout, const T* w);
template <class T>
void backward_weight_depthwise(const Conv2dGeometry& g, T* dw, const T* dout, const T* x);

// Numbers that nobody has set yet.
template <class T>
std::unique_ptr<T[]> scratch(int64_t count) {
  return std::make_unique_for_overwrite<T[]>(static_cast<size_t>(count));
}

}  // namespace tensor::cpu
