// A fully connected layer.
#pragma once

#include "nn/init.h"
#include "nn/module.h"

namespace nn {

// y = x weight^T + bias: x (..., in) -> (..., out). Parameters: weight (out, in), bias (out).
class Linear : public Layer {
 public:
  Linear(int64_t in_features, int64_t out_features, bool bias = true,
         Generator& generator = tensor::default_generator());

  Variable forward(const Variable& x) override;
  std::string describe() const override;

  int64_t in_features() const { return in_features_; }
  int64_t out_features() const { return out_features_; }
  const Variable& weight() const { return weight_; }
  const Variable& bias() const { return bias_; }  // undefined without a bias

 private:
  int64_t in_features_, out_features_;
  Variable& weight_;
  Variable& bias_;
};

}  // namespace nn
