// Tensors by a formula, the same as `made` in tests/golden/make_cnn.py: golden files then hold results only.
#pragma once

#include "tensor/tensor.h"

namespace tests {

inline tensor::Tensor made(uint32_t seed, const tensor::Shape& shape, double low = -1, double high = 1) {
  tensor::Tensor t = tensor::Tensor::empty(shape, tensor::DType::f64);
  double* values = t.mutable_data<double>();
  for (int64_t i = 0; i < t.numel(); ++i) {
    uint32_t x = static_cast<uint32_t>(i) + seed * 0x9E3779B9u;
    x ^= x >> 16;
    x *= 0x7FEB352Du;
    x ^= x >> 15;
    x *= 0x846CA68Bu;
    x ^= x >> 16;
    values[i] = low + (high - low) * (static_cast<double>(x) / 4294967296.0);
  }
  return t;
}

}  // namespace tests
