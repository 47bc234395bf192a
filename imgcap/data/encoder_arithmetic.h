// What a frozen encoder computes in.
#pragma once

#include <algorithm>
#include <array>

#include "tensor/dtype.h"

namespace imgcap {

// Sums are in f32 in each.
inline constexpr std::array kEncoderArithmetics = {tensor::DType::f32, tensor::DType::f16,
                                                   tensor::DType::bf16};

constexpr bool encodes_in(tensor::DType dtype) {
  return std::find(kEncoderArithmetics.begin(), kEncoderArithmetics.end(), dtype) !=
         kEncoderArithmetics.end();
}

}  // namespace imgcap
