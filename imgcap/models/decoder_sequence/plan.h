// Sizes and checks that the fused and the composed decoder sequence share.
#pragma once

#include <vector>

#include "imgcap/models/decoder_sequence/decoder_sequence.h"
#include "tensor/packed_matrix.h"

namespace imgcap {

struct DecoderPlan {
  DecoderPlan(const DecoderWeights& weights, const DecoderInputs& inputs);

  bool attention = false, gate = false, first_input = false;
  int layers = 0;
  int64_t rows = 0, steps = 0, total = 0;  // n, t, sum of rows
  int64_t hidden = 0, embedding = 0, features = 0, width = 0, places = 0, images = 0, vocabulary = 0;
  std::vector<int64_t> n;      // rows of step t
  std::vector<int64_t> start;  // first packed row of step t
  tensor::DType dtype = tensor::DType::f32;
  // Of the operands of products: under autocast a 16-bit type, else `dtype`.
  tensor::DType product = tensor::DType::f32;
  tensor::Device device;

  // x as the operand of a product: in the type `product`. Sums are in `dtype`.
  Tensor operand(const Tensor& x) const { return x.to(product); }
  bool has_operands() const { return product != dtype; }  // of a type of their own
  // A weight that each step multiplies its rows by.
  tensor::PackedMatrix packed(const Tensor& operand) const {
    return tensor::PackedMatrix(operand, tensor::packed_for(rows));
  }

 private:
  void plan_steps(const DecoderInputs& inputs);
  void plan_attention(const DecoderWeights& weights, const DecoderInputs& inputs);
  void expect_types(const DecoderWeights& weights, const DecoderInputs& inputs) const;
};

// The words that a model without teacher feeds next: argmax of hidden W^T + b. (n) i64. Under autocast the
// operands are rounded.
Tensor pick_words(const Tensor& hidden, const DecoderWeights& weights);

}  // namespace imgcap
