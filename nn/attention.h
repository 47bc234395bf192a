// Additive attention (Bahdanau et al. 2015, "Neural machine translation by jointly learning to align and
// translate") over the regions of an image.
#pragma once

#include "autograd/ops.h"
#include "nn/linear.h"

namespace nn {

// For a query h and the p regions f_1..f_p of its image:
//   score_i = attn_weights . tanh(attention([f_i ; h])),  alpha = softmax(score),  context = sum_i alpha_i
//   f_i
// The weight of `attention` is split, W [f ; h] = W_f f + W_h h: the first product does not depend on the
// query and is made once for each image by prepare(). Parameters: attention.weight (a, feature + hidden),
// attention.bias (a), attn_weights.weight (1, a), attn_weights.bias (1).
class AdditiveAttention : public Module {
 public:
  // What the queries on a batch of images share.
  struct Prepared {
    Variable features;      // (m, p, feature)
    Variable keys;          // (m, p, a): W_f f + bias
    Variable query_weight;  // (a, hidden): W_h
    Variable v;             // (a)
  };

  AdditiveAttention(int64_t feature_size, int64_t hidden_size, int64_t attention_size,
                    Generator& generator = tensor::default_generator());

  // features (m, p, feature) of m images. Holds for the present weights: to be made anew after an optimiser
  // step.
  Prepared prepare(const Variable& features);
  // The same with keys that it made of these features before.
  Prepared prepare(const Variable& features, const Variable& keys);
  // hidden (n, hidden), image (n) i64: the image in [0, m) that each query looks at -> context (n, feature)
  // and alpha (n, p).
  autograd::Attention forward(const Prepared& prepared, const Variable& hidden, const Tensor& image);
  // One query an image: features (n, p, feature), hidden (n, hidden).
  autograd::Attention forward(const Variable& features, const Variable& hidden);
  std::string describe() const override { return "AdditiveAttention"; }

  // Uses plain ops instead of the fused one: slow, but can be differentiated twice.
  void set_composed(bool composed) { composed_ = composed; }

  int64_t feature_size() const { return feature_size_; }
  int64_t hidden_size() const { return hidden_size_; }
  int64_t attention_size() const { return attention_.out_features(); }
  Linear& attn_weights() { return attn_weights_; }

 private:
  int64_t feature_size_, hidden_size_;
  bool composed_ = false;
  Linear &attention_, &attn_weights_;
};

}  // namespace nn
