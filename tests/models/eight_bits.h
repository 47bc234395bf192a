// Weights as a file of 8 bits has them.
#pragma once

#include <algorithm>

#include "imgcap/models/frozen_decoder.h"

namespace tests {

// A matrix as 8-bit rows, of numbers that those are exact for.
inline tensor::StoredWeight eight_bits(const tensor::Tensor& weight) {
  using tensor::DType, tensor::Tensor;
  const int64_t rows = weight.size(0), columns = weight.size(1);
  tensor::StoredWeight stored{Tensor::empty({rows, columns}, DType::u8), Tensor::empty({rows}, DType::f16)};
  const float* x = weight.data<float>();
  for (int64_t r = 0; r < rows; ++r) {
    stored.scales.mutable_data<tensor::f16>()[r] = tensor::f16(0.004f * static_cast<float>(r % 3 + 1));
    for (int64_t j = 0; j < columns; ++j)
      stored.values.mutable_data<uint8_t>()[r * columns + j] =
          static_cast<uint8_t>(std::min(255.0f, std::max(1.0f, 128 + 200 * x[r * columns + j])));
  }
  return stored;
}

// The decoder's, its matrices in this type: f32, f16, bf16 or u8. Vectors beside 8 bits are f16.
inline imgcap::StoredWeights stored_as(const imgcap::Decoder& decoder, tensor::DType dtype) {
  if (dtype != tensor::DType::u8) return imgcap::stored_weights(decoder, dtype);
  imgcap::StoredWeights stored = imgcap::stored_weights(decoder);
  for (auto& [name, weight] : stored)
    weight = weight.values.rank() == 2 ? eight_bits(weight.values)
                                       : tensor::StoredWeight{weight.values.to(tensor::DType::f16)};
  return stored;
}

}  // namespace tests
