#include "imgcap/models/attention_decoder.h"

#include <cmath>
#include <numeric>

#include "autograd/ops.h"
#include "imgcap/models/decoder_batch.h"
#include "tensor/error.h"
#include "tensor/kernels.h"

namespace imgcap {

AttentionDecoder::AttentionDecoder(const DecoderConfig& config, tensor::Generator& generator)
    : Decoder(config),
      embedding_(add<nn::Embedding>("embedding", config.vocabulary, config.embedding, generator)),
      attention_(add<nn::AdditiveAttention>("attention", config.features, config.hidden, config.attention,
                                            generator)),
      lstm_(add<nn::LSTM>("lstm", config.embedding + config.features, config.hidden, lstm_options(config),
                          generator)),
      fc_(add<nn::Linear>("fc", config.hidden, config.vocabulary, true, generator)),
      gate_(config.gate ? &add<nn::Linear>("gate", config.hidden, config.features, true, generator)
                        : nullptr),
      init_h_(config.initial_state ? &add_initial("init_h", generator) : nullptr),
      init_c_(config.initial_state ? &add_initial("init_c", generator) : nullptr) {
  if (config.tie_weights) tie_weights(generator);
}

nn::Linear& AttentionDecoder::add_initial(const std::string& name, tensor::Generator& generator) {
  return add<nn::Linear>(name, config().features, config().layers * config().hidden, true, generator);
}

autograd::LstmState AttentionDecoder::initial_state(const Variable& features) {
  if (!init_h_) return {};
  const Variable mean = autograd::mean(features, {1});
  const auto state = [&](nn::Linear& layer) {
    const Variable all = autograd::tanh(layer(mean));  // (m, layers * hidden)
    return autograd::permute(autograd::reshape(all, {features.size(0), config().layers, config().hidden}),
                             {1, 0, 2});
  };
  return {state(*init_h_), state(*init_c_)};
}

DecoderWeights AttentionDecoder::weights() {
  DecoderWeights w;
  w.embedding = embedding_.weight();
  w.layers = internal::layer_weights(lstm_);
  if (gate_) w.gate_weight = gate_->weight(), w.gate_bias = gate_->bias();
  w.output_weight = fc_.weight().data();
  w.output_bias = fc_.bias().data();
  return w;
}

CaptionLoss AttentionDecoder::loss(const CaptionBatch& batch, const LossOptions& options) {
  const nn::Scope scope(*this);
  internal::expect_batch(batch, config());
  tensor::Generator& generator = internal::generator_of(options);
  const nn::AdditiveAttention::Prepared prepared = attention_.prepare(batch.features);
  DecoderWeights w = weights();
  w.query_weight = prepared.query_weight;
  w.score_weight = prepared.v;
  w.score_bias = attention_.attn_weights().bias();
  DecoderInputs inputs;
  inputs.keys = prepared.keys;
  inputs.values = prepared.features;
  inputs.image = batch.image;
  inputs.rows = internal::rows_at_steps(batch.lengths, 1);
  inputs.words = batch.words.slice(1, 0, static_cast<int64_t>(inputs.rows.size()));
  if (batch.fed.defined()) inputs.fed = batch.fed.slice(0, inputs.rows[0], batch.fed.numel());
  inputs.teacher = internal::draw_coins(options, inputs.rows.size(), 1, generator);
  if (const autograd::LstmState initial = initial_state(prepared.features); initial.h.defined()) {
    // A row starts from its image's state.
    const auto rows = [&](const Variable& s) {
      autograd::Variables layers;
      for (int64_t l = 0; l < config().layers; ++l)
        layers.push_back(autograd::embedding(autograd::contiguous(autograd::select(s, 0, l)), batch.image));
      return autograd::stack(layers, 0);
    };
    inputs.h0 = rows(initial.h);
    inputs.c0 = rows(initial.c);
  }
  const DecoderDropout dropout{config().embedding_dropout, config().layer_dropout, training(), &generator};
  const DecoderOutputs out =
      options.composed ? decoder_sequence_composed(w, inputs, dropout) : decoder_sequence(w, inputs, dropout);
  const internal::PackedTargets targets = internal::packed_targets(batch, inputs.rows, 1);
  const Variable loss =
      internal::vocabulary_loss(out.hidden, fc_, targets, inputs.rows, config(), training(), options);
  const int64_t tokens = targets.words.numel();
  if (!options.count_start) return {loss, tokens};
  // The original's logits for the <sos> slot are all 0: each caption has one more term, ln(vocabulary).
  const auto counted = static_cast<double>(tokens), extra = static_cast<double>(batch.lengths.size());
  const double share = counted / (counted + extra);
  const double weight =
      batch.weights.empty() ? 1 : std::accumulate(batch.weights.begin(), batch.weights.end(), 0.0) / extra;
  return {loss * share + (1 - share) * weight * std::log(static_cast<double>(config().vocabulary)),
          tokens + batch.image.numel()};
}

DecodingState AttentionDecoder::start(const Tensor& features) {
  const nn::Scope scope(*this);
  const autograd::NoGrad no_grad;
  const autograd::PackedGuard packed(packed_);
  tensor::check(features.rank() == 3 && features.size(2) == config().features, tensor::ErrorKind::shape,
                "decoder: features {} where (images, places, {}) is needed", tensor::describe(features),
                config().features);
  const int64_t images = features.size(0);
  DecodingState state;
  state.keys = attention_.prepare(features).keys.data();
  state.values = features;
  state.image = Tensor::arange(images, tensor::DType::i64, features.device());
  const autograd::LstmState initial = initial_state(features);
  for (int64_t l = 0; l < config().layers; ++l) {
    const auto layer = [&](const Variable& s) {
      return s.defined() ? s.data().select(0, l).contiguous()
                         : Tensor::zeros({images, config().hidden}, features.dtype(), features.device());
    };
    state.h.push_back(layer(initial.h));
    state.c.push_back(layer(initial.c));
  }
  return state;
}

Tensor AttentionDecoder::step(DecodingState& state, const Tensor& words) {
  const nn::Scope scope(*this);
  const autograd::NoGrad no_grad;
  const autograd::PackedGuard packed(packed_);
  const Variable top = state.h.back();
  autograd::Attention attended =
      attention_.forward(attention_.prepare(state.values, state.keys), top, state.image);
  state.alpha = attended.alpha.data();
  if (gate_) attended.context = attended.context * autograd::sigmoid((*gate_)(top));
  const Variable x = autograd::cat({embedding_(words), attended.context}, 1);
  return fc_(internal::advance(lstm_, state, x)).data();
}

}  // namespace imgcap
