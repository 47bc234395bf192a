// A table of vectors, one for each word.
#pragma once

#include "nn/init.h"
#include "nn/module.h"

namespace nn {

// ids, i64 of any shape and in [0, num_embeddings) -> ids.shape + (embedding_dim). Parameter: weight
// (num_embeddings, embedding_dim), N(0, 1) at first.
class Embedding : public Module {
 public:
  Embedding(int64_t num_embeddings, int64_t embedding_dim,
            Generator& generator = tensor::default_generator());

  Variable forward(const Tensor& ids);
  Variable operator()(const Tensor& ids) { return forward(ids); }
  std::string describe() const override;

  int64_t num_embeddings() const { return weight_.size(0); }
  int64_t embedding_dim() const { return weight_.size(1); }
  const Variable& weight() const { return weight_; }

 private:
  Variable& weight_;
};

}  // namespace nn
