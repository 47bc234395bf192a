// Golden files, and how far a tensor is from one.
#pragma once

#include <cmath>
#include <string>

#include "tensor/io/safetensors.h"
#include "tests/data_dir.h"

namespace tests {

// The tensors of tests/golden/NAME.safetensors.
inline std::map<std::string, tensor::Tensor> golden(const std::string& name) {
  return tensor::io::read_safetensors(source_dir() / "tests" / "golden" / (name + ".safetensors")).tensors;
}

// |a - b| / |b| in f64 and the 2-norm (|a| when b is 0); infinite for different shapes or a NaN.
inline double relative_error(const tensor::Tensor& a, const tensor::Tensor& b) {
  if (a.shape() != b.shape()) return INFINITY;
  const auto x = a.to(tensor::DType::f64).contiguous().to_vector<double>();
  const auto y = b.to(tensor::DType::f64).contiguous().to_vector<double>();
  double difference = 0, norm = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    difference += (x[i] - y[i]) * (x[i] - y[i]);
    norm += y[i] * y[i];
  }
  if (std::isnan(difference)) return INFINITY;
  return std::sqrt(norm == 0 ? difference : difference / norm);
}

}  // namespace tests
