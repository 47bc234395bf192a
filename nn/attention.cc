#include "nn/attention.h"

#include "tensor/error.h"

namespace nn {

using tensor::check;

AdditiveAttention::AdditiveAttention(int64_t feature_size, int64_t hidden_size, int64_t attention_size,
                                     Generator& generator)
    : feature_size_(feature_size),
      hidden_size_(hidden_size),
      attention_(add<Linear>("attention", feature_size + hidden_size, attention_size, true, generator)),
      attn_weights_(add<Linear>("attn_weights", attention_size, 1, true, generator)) {
  check(feature_size > 0 && hidden_size > 0, ErrorKind::argument,
        "AdditiveAttention: feature size {} and hidden size {} have to be positive", feature_size,
        hidden_size);
}

AdditiveAttention::Prepared AdditiveAttention::prepare(const Variable& features) {
  const Scope scope(*this);
  check(features.rank() == 3 && features.size(2) == feature_size_, ErrorKind::shape,
        "AdditiveAttention: features have to be (images, regions, {}), not {}", feature_size_,
        features.shape());
  Prepared prepared = prepare(features, {});
  prepared.keys = autograd::linear(features, autograd::slice(attention_.weight(), 1, 0, feature_size_),
                                   attention_.bias());
  return prepared;
}

AdditiveAttention::Prepared AdditiveAttention::prepare(const Variable& features, const Variable& keys) {
  return {features, keys,
          autograd::slice(attention_.weight(), 1, feature_size_, feature_size_ + hidden_size_),
          autograd::reshape(attn_weights_.weight(), {attention_size()})};
}

autograd::Attention AdditiveAttention::forward(const Prepared& prepared, const Variable& hidden,
                                               const Tensor& image) {
  const Scope scope(*this);
  check(hidden.rank() == 2 && hidden.size(1) == hidden_size_, ErrorKind::shape,
        "AdditiveAttention: hidden has to be (queries, {}), not {}", hidden_size_, hidden.shape());
  const Variable query = autograd::linear(hidden, prepared.query_weight);
  return (composed_ ? autograd::additive_attention_composed : autograd::additive_attention)(
      prepared.keys, prepared.features, query, image, prepared.v, attn_weights_.bias());
}

autograd::Attention AdditiveAttention::forward(const Variable& features, const Variable& hidden) {
  check(features.rank() == 3 && hidden.rank() == 2 && features.size(0) == hidden.size(0), ErrorKind::shape,
        "AdditiveAttention: features {} and hidden {} need the same first size", features.shape(),
        hidden.shape());
  return forward(prepare(features), hidden, Tensor::arange(hidden.size(0)).to(hidden.device()));
}

}  // namespace nn
