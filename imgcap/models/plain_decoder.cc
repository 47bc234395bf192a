#include "imgcap/models/plain_decoder.h"

#include "autograd/ops.h"
#include "imgcap/models/decoder_batch.h"
#include "tensor/error.h"

namespace imgcap {

PlainDecoder::Head::Head(int64_t features, int64_t width, tensor::Generator& generator)
    : first_(add<nn::Linear>("0", features, width, true, generator)),
      second_(add<nn::Linear>("3", width, width, true, generator)) {}

Variable PlainDecoder::Head::forward(const Variable& x, tensor::Generator& generator) {
  const nn::Scope scope(*this);
  constexpr double kDropout = 0.5;
  const Variable inner = autograd::relu(first_(x));
  return autograd::relu(second_(autograd::dropout(inner, kDropout, training(), generator)));
}

PlainDecoder::PlainDecoder(const DecoderConfig& config, tensor::Generator& generator)
    : Decoder(config),
      image_(config.tanh_image ? &add<nn::Linear>("image", config.features, config.embedding, true, generator)
                               : nullptr),
      head_(config.tanh_image ? nullptr : &add<Head>("head", config.features, config.embedding, generator)),
      embedding_(add<nn::Embedding>("embedding", config.vocabulary, config.embedding, generator)),
      projection_(config.tanh_image
                      ? nullptr
                      : &add<nn::Linear>("projection", config.embedding, config.embedding, true, generator)),
      lstm_(add<nn::LSTM>("lstm", config.embedding, config.hidden, lstm_options(config), generator)),
      fc_(add<nn::Linear>("fc", config.hidden, config.vocabulary, true, generator)) {
  if (config.tie_weights) tie_weights(generator);
}

Variable PlainDecoder::image_input(const Variable& features, tensor::Generator& generator) {
  const Variable mean = autograd::mean(features, {1});
  if (image_) return autograd::tanh((*image_)(mean));
  return (*projection_)(head_->forward(mean, generator));
}

DecoderWeights PlainDecoder::weights() {
  DecoderWeights w;
  w.embedding = embedding_.weight();
  w.layers = internal::layer_weights(lstm_);
  w.output_weight = fc_.weight().data();
  w.output_bias = fc_.bias().data();
  return w;
}

CaptionLoss PlainDecoder::loss(const CaptionBatch& batch, const LossOptions& options) {
  const nn::Scope scope(*this);
  internal::expect_batch(batch, config());
  tensor::Generator& generator = internal::generator_of(options);
  DecoderInputs inputs;
  inputs.first_input = autograd::embedding(image_input(batch.features, generator), batch.image);
  inputs.rows = internal::rows_at_steps(batch.lengths, 0);
  const auto steps = static_cast<int64_t>(inputs.rows.size());
  // Step k >= 1 is fed word k - 1; step 0 is the image and its column is not read.
  inputs.words = Tensor::zeros({batch.words.size(0), steps}, tensor::DType::i64, batch.words.device());
  if (steps > 1) inputs.words.slice(1, 1, steps).copy_(batch.words.slice(1, 0, steps - 1));
  inputs.fed = batch.fed;
  inputs.teacher = internal::draw_coins(options, inputs.rows.size(), 2, generator);
  const DecoderWeights w = weights();
  const DecoderDropout dropout{config().embedding_dropout, config().layer_dropout, training(), &generator};
  const DecoderOutputs out =
      options.composed ? decoder_sequence_composed(w, inputs, dropout) : decoder_sequence(w, inputs, dropout);
  Variable hidden = out.hidden;
  std::vector<int64_t> rows = inputs.rows;
  if (!options.count_start) {
    hidden = autograd::slice(hidden, 0, rows[0], hidden.size(0));
    rows.erase(rows.begin());
  }
  const internal::PackedTargets targets = internal::packed_targets(batch, rows, options.count_start ? 0 : 1);
  return {internal::vocabulary_loss(hidden, fc_, targets, rows, config(), training(), options),
          targets.words.numel()};
}

DecodingState PlainDecoder::start(const Tensor& features) {
  const nn::Scope scope(*this);
  const autograd::NoGrad no_grad;
  const autograd::PackedGuard packed(packed_);
  tensor::check(features.rank() == 3 && features.size(2) == config().features, tensor::ErrorKind::shape,
                "decoder: features {} where (images, places, {}) is needed", tensor::describe(features),
                config().features);
  const int64_t images = features.size(0);
  DecodingState state;
  for (int64_t l = 0; l < config().layers; ++l) {
    state.h.push_back(Tensor::zeros({images, config().hidden}, features.dtype(), features.device()));
    state.c.push_back(Tensor::zeros({images, config().hidden}, features.dtype(), features.device()));
  }
  state.image = Tensor::arange(images, tensor::DType::i64, features.device());
  internal::advance(lstm_, state, image_input(features, tensor::default_generator()));
  return state;
}

Tensor PlainDecoder::step(DecodingState& state, const Tensor& words) {
  const nn::Scope scope(*this);
  const autograd::NoGrad no_grad;
  const autograd::PackedGuard packed(packed_);
  return fc_(internal::advance(lstm_, state, embedding_(words))).data();
}

}  // namespace imgcap
