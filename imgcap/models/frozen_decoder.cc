#include "imgcap/models/frozen_decoder.h"

#include "nn/init.h"
#include "tensor/allocator.h"
#include "tensor/error.h"
#include "tensor/kernels.h"

namespace imgcap {

using tensor::check;
using tensor::DType;
using tensor::ErrorKind;
using tensor::NarrowMatrix;
using tensor::StoredWeight;
namespace kernels = tensor::kernels;

namespace {

// Refuses what a decoder of this config would refuse. One is made for its names and shapes; nothing is written
// to its memory, so that it costs none.
void expect_weights(const DecoderConfig& config, const StoredWeights& weights) {
  const nn::SkipInit undefined;
  const auto model = make_decoder(config);
  nn::StateDict shapes;
  for (const auto& [name, weight] : weights)
    shapes[name] = weight.scales.defined() ? Tensor::zeros({1}).expand(weight.shape()) : weight.values;
  model->check_state_dict(shapes);
  for (const auto& [name, parameter] : model->named_parameters(true)) {
    const auto found = weights.find(name);
    if (found == weights.end()) continue;
    const int64_t bad = found->second.count_non_finite();
    check(bad == 0, ErrorKind::data, "{}: {} of {} values NaN or infinite", name, bad, parameter.numel());
  }
}

Tensor vector(const StoredWeights& weights, const std::string& name) {
  return weights.at(name).values.to(DType::f32).contiguous();
}

// On the device, where they stay as narrow.
StoredWeights on_device(StoredWeights weights, const Device& device) {
  for (auto& [name, weight] : weights) weight = weight.to(device);
  return weights;
}

void in_place(Tensor& x, tensor::UnaryOp op) { kernels::unary(x, x, op); }

Tensor mean_of_places(const Tensor& features) {
  Tensor mean = Tensor::empty({features.size(0), features.size(2)}, DType::f32, features.device());
  kernels::reduce(mean, features, {1}, tensor::ReduceOp::mean);
  return mean;
}

}  // namespace

StoredWeights stored_weights(const Decoder& decoder, DType dtype) {
  StoredWeights stored;
  for (const auto& [name, weight] : decoder.state_dict())
    stored[name] = {weight.rank() == 2 ? weight.to(dtype) : weight};
  return stored;
}

FrozenDecoder::FrozenDecoder(const DecoderConfig& config, const StoredWeights& given, Device device)
    : Decoder(config) {
  const tensor::LargePages for_the_weights;
  expect_weights(config, given);
  const StoredWeights weights = on_device(given, device);
  const auto linear = [&](const std::string& name) {
    return Linear{NarrowMatrix(weights.at(name + ".weight")), vector(weights, name + ".bias")};
  };
  const bool output_alone = weights.contains(kOutputWeight);
  const tensor::StoredWeight& words = weights.at(weights.contains(kEmbedding) ? kEmbedding : kOutputWeight);
  embedding_ = words;
  if (device.is_cpu()) {  // a copy: the file that it may be a view of can change while captions are made
    embedding_.values = words.values.clone();
    if (words.scales.defined()) embedding_.scales = words.scales.clone();
  }
  output_ = {NarrowMatrix(output_alone ? weights.at(kOutputWeight) : embedding_),
             vector(weights, kOutputBias)};
  for (int64_t l = 0; l < config.layers; ++l) {
    const auto name = [&](const char* part) { return tensor::format("lstm.{}_l{}", part, l); };
    Layer layer{NarrowMatrix(weights.at(name("weight_ih"))), NarrowMatrix(weights.at(name("weight_hh"))),
                vector(weights, name("bias_ih")).clone()};
    kernels::add_inplace(layer.bias, vector(weights, name("bias_hh")), 1);
    lstm_.push_back(std::move(layer));
  }
  if (config.kind == DecoderKind::attention) {
    // W [f ; h] = W_f f + W_h h (nn/attention.h)
    const StoredWeight& both = weights.at("attention.attention.weight");
    const int64_t d = config.features;
    keys_ = {NarrowMatrix(both.columns(0, d)), vector(weights, "attention.attention.bias")};
    query_ = {NarrowMatrix(both.columns(d, d + config.hidden)), {}};
    score_weight_ = weights.at("attention.attn_weights.weight").widened().reshape({config.attention});
    score_bias_ = vector(weights, "attention.attn_weights.bias");
    if (config.gate) gate_ = linear("gate");
    if (config.initial_state) init_h_ = linear("init_h"), init_c_ = linear("init_c");
  } else if (config.tanh_image) {
    image_ = linear("image");
  } else {
    head_ = linear("head.0"), head_out_ = linear("head.3"), projection_ = linear("projection");
  }
  freeze();
}

Tensor FrozenDecoder::Linear::operator()(const Tensor& x) const {
  tensor::Room room;
  return (*this)(x, room);
}

Tensor FrozenDecoder::Linear::operator()(const Tensor& x, tensor::Room& room) const {
  Tensor out = room.take({x.size(0), weight.out()}, DType::f32, x.device());
  if (bias.defined()) out.copy_(bias);
  weight.multiply(out, x, bias.defined());
  return out;
}

CaptionLoss FrozenDecoder::loss(const CaptionBatch&, const LossOptions&) {
  tensor::fail(ErrorKind::argument, "FrozenDecoder: it has no loss; make_decoder() makes one that can train");
}

Tensor FrozenDecoder::logits(const Tensor& hidden) { return output_(hidden); }

// tanh(W mean + b), or the original's head and projection (plain_decoder.h)
Tensor FrozenDecoder::image_input(const Tensor& features) const {
  Tensor x = (image_ ? *image_ : *head_)(mean_of_places(features));
  if (image_) {
    in_place(x, tensor::UnaryOp::tanh);
    return x;
  }
  in_place(x, tensor::UnaryOp::relu);
  x = (*head_out_)(x);
  in_place(x, tensor::UnaryOp::relu);
  return (*projection_)(x);
}

DecodingState FrozenDecoder::start(const Tensor& features) {
  const nn::Scope scope(*this);
  check(features.rank() == 3 && features.size(2) == config().features && features.dtype() == DType::f32,
        ErrorKind::shape, "decoder: features {} where (images, places, {}) f32 is needed",
        tensor::describe(features), config().features);
  const int64_t images = features.size(0), hidden = config().hidden;
  DecodingState state;
  const Device device = features.device();
  state.image = Tensor::arange(images, DType::i64, device);
  const auto states = [&](const std::optional<Linear>& initial) {
    std::vector<Tensor> layers;
    Tensor all;  // (images, layers * hidden)
    if (initial) in_place(all = (*initial)(mean_of_places(features)), tensor::UnaryOp::tanh);
    for (int64_t l = 0; l < config().layers; ++l)
      layers.push_back(initial ? all.slice(1, l * hidden, (l + 1) * hidden).contiguous()
                               : Tensor::zeros({images, hidden}, DType::f32, device));
    return layers;
  };
  state.h = states(init_h_), state.c = states(init_c_);
  if (keys_) {
    state.values = features.contiguous();
    const int64_t places = features.size(1);
    state.keys = (*keys_)(state.values.view({images * places, config().features}))
                     .view({images, places, config().attention});
  } else {
    advance(state, image_input(features));
  }
  return state;
}

Tensor FrozenDecoder::attend(DecodingState& state) const {
  const Tensor& top = state.h.back();
  const int64_t n = top.size(0);
  Tensor context = state.rooms.context.take({n, config().features}, DType::f32, top.device());
  state.alpha = state.rooms.alpha.take({n, state.keys.size(1)}, DType::f32, top.device());
  kernels::additive_attention({.context = context,
                               .alpha = state.alpha,
                               .keys = state.keys,
                               .values = state.values,
                               .query = (*query_)(top, state.rooms.query),
                               .image = state.image,
                               .v = score_weight_,
                               .v_bias = score_bias_});
  if (!gate_) return context;
  Tensor gate = (*gate_)(top, state.rooms.gate);
  in_place(gate, tensor::UnaryOp::sigmoid);
  kernels::binary(context, context, gate, tensor::BinaryOp::mul);
  return context;
}

Tensor FrozenDecoder::advance(DecodingState& state, const Tensor& x) const {
  state.rooms.h.resize(lstm_.size()), state.rooms.c.resize(lstm_.size());
  Tensor input = x;
  for (size_t l = 0; l < lstm_.size(); ++l) {
    const Layer& layer = lstm_[l];
    Tensor gates = state.rooms.gates.take({x.size(0), layer.ih.out()}, DType::f32, x.device());
    gates.copy_(layer.bias);
    layer.ih.multiply(gates, input, true);
    layer.hh.multiply(gates, state.h[l], true);
    Tensor h = state.rooms.h[l].take(state.h[l].shape(), DType::f32, x.device()),
           c = state.rooms.c[l].take(h.shape(), DType::f32, x.device());
    kernels::lstm_cell({h, c, gates, gates, state.c[l]});
    state.h[l] = h, state.c[l] = c;
    input = h;
  }
  return input;
}

Tensor FrozenDecoder::step(DecodingState& state, const Tensor& words) {
  const nn::Scope scope(*this);
  const int64_t n = words.numel(), width = config().embedding;
  Tensor x = state.rooms.input.take({n, width + (keys_ ? config().features : 0)}, DType::f32, words.device());
  Tensor word = x.slice(1, 0, width);
  embedding_.rows(word, words);
  if (keys_) x.slice(1, width, x.size(1)).copy_(attend(state));
  return output_(advance(state, x), state.rooms.logits);
}

}  // namespace imgcap
