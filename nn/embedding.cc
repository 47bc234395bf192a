#include "nn/embedding.h"

#include "autograd/ops.h"
#include "tensor/error.h"

namespace nn {
namespace {

Tensor new_table(int64_t num_embeddings, int64_t embedding_dim, Generator& generator) {
  tensor::check(num_embeddings > 0 && embedding_dim > 0, ErrorKind::argument,
                "Embedding: {} vectors of size {}, both have to be positive", num_embeddings, embedding_dim);
  Tensor weight = Tensor::empty({num_embeddings, embedding_dim});
  init::normal(weight, 0, 1, generator);
  return weight;
}

}  // namespace

Embedding::Embedding(int64_t num_embeddings, int64_t embedding_dim, Generator& generator)
    : weight_(register_parameter("weight", new_table(num_embeddings, embedding_dim, generator))) {}

Variable Embedding::forward(const Tensor& ids) {
  const Scope scope(*this);
  return autograd::embedding(weight_, ids);
}

std::string Embedding::describe() const {
  return tensor::format("Embedding({}, {})", num_embeddings(), embedding_dim());
}

}  // namespace nn
