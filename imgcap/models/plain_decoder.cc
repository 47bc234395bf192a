#include "imgcap/models/plain_decoder.h"

#include "autograd/ops.h"
#include "imgcap/models/decoder_batch.h"
#include "nn/init.h"
#include "tensor/error.h"

namespace imgcap {

PlainDecoder::Head::Head(int64_t features, int64_t width, tensor::Generator& generator)
    : first_(features, width, true, generator), second_(width, width, true, generator) {
  register_module("0", first_);
  register_module("3", second_);
}

Variable PlainDecoder::Head::forward(const Variable& x, tensor::Generator& generator) {
  const nn::Scope scope(*this);
  constexpr double kDropout = 0.5;
  return autograd::relu(
      second_(autograd::dropout(autograd::relu(first_(x)), kDropout, training(), generator)));
}

PlainDecoder::PlainDecoder(const DecoderConfig& config, tensor::Generator& generator)
    : Decoder(config),
      image_(config.tanh_image
                 ? std::make_unique<nn::Linear>(config.features, config.embedding, true, generator)
                 : nullptr),
      head_(config.tanh_image ? nullptr
                              : std::make_unique<Head>(config.features, config.embedding, generator)),
      embedding_(config.vocabulary, config.embedding, generator),
      projection_(config.tanh_image
                      ? nullptr
                      : std::make_unique<nn::Linear>(config.embedding, config.embedding, true, generator)),
      lstm_(config.embedding, config.hidden, {config.layers, config.layer_dropout, true}, generator),
      fc_(config.hidden, config.vocabulary, true, generator) {
  if (image_) register_module("image", *image_);
  if (head_) register_module("head", *head_);
  register_module("embedding", embedding_);
  if (projection_) register_module("projection", *projection_);
  register_module("lstm", lstm_);
  register_module("fc", fc_);
  if (config.tie_weights) {
    nn::init::uniform(parameter("embedding.weight").mutable_data(), -0.1, 0.1, generator);
    replace_parameter("fc.weight", parameter("embedding.weight"));
  }
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
  inputs.words = Tensor::zeros({batch.words.size(0), steps}, tensor::DType::i64);
  if (steps > 1) inputs.words.slice(1, 1, steps).copy_(batch.words.slice(1, 0, steps - 1));
  inputs.teacher = internal::draw_coins(options, inputs.rows.size(), 2, generator);
  const DecoderWeights w = weights();
  const DecoderDropout dropout{config().embedding_dropout, config().layer_dropout, training(), &generator};
  const DecoderOutputs out =
      options.composed ? decoder_sequence_composed(w, inputs, dropout) : decoder_sequence(w, inputs, dropout);
  Tensor targets = internal::packed_targets(batch.words, inputs.rows, 0);
  Variable hidden = out.hidden;
  std::vector<int64_t> rows = inputs.rows;
  if (!options.compat_original) {
    const int64_t first = inputs.rows[0];
    hidden = autograd::slice(hidden, 0, first, hidden.size(0));
    targets = targets.slice(0, first, targets.numel());
    rows.erase(rows.begin());
  }
  return {internal::vocabulary_loss(hidden, fc_, targets, rows, config(), training(), options),
          targets.numel()};
}

DecodingState PlainDecoder::start(const Tensor& features) {
  const nn::Scope scope(*this);
  const autograd::NoGrad no_grad;
  tensor::check(features.rank() == 3 && features.size(2) == config().features, tensor::ErrorKind::shape,
                "decoder: features {} where (images, places, {}) is needed", tensor::describe(features),
                config().features);
  const int64_t images = features.size(0);
  DecodingState state;
  for (int64_t l = 0; l < config().layers; ++l) {
    state.h.push_back(Tensor::zeros({images, config().hidden}, features.dtype()));
    state.c.push_back(Tensor::zeros({images, config().hidden}, features.dtype()));
  }
  state.image = Tensor::arange(images);
  internal::advance(lstm_, state, image_input(features, tensor::default_generator()));
  return state;
}

Tensor PlainDecoder::step(DecodingState& state, const Tensor& words) {
  const nn::Scope scope(*this);
  const autograd::NoGrad no_grad;
  return fc_(internal::advance(lstm_, state, embedding_(words))).data();
}

}  // namespace imgcap
