#include "imgcap/models/decoder_sequence/plan.h"

#include "autograd/custom_op.h"
#include "tensor/kernels.h"

namespace imgcap {

using tensor::check;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Shape;

namespace {

void expect(const Variable& x, const Shape& shape, const char* what) {
  check(x.defined(), ErrorKind::argument, "decoder_sequence: {} is missing", what);
  check(x.shape() == shape, ErrorKind::shape, "decoder_sequence: {} is {}, not {}", what, x.shape(),
        to_string(shape));
}

}  // namespace

DecoderPlan::DecoderPlan(const DecoderWeights& weights, const DecoderInputs& inputs) {
  check(!weights.layers.empty() && weights.embedding.defined() && weights.embedding.rank() == 2,
        ErrorKind::argument, "decoder_sequence: an embedding (v, e) and at least one LSTM layer are needed");
  attention = weights.query_weight.defined();
  gate = weights.gate_weight.defined();
  first_input = inputs.first_input.defined();
  layers = static_cast<int>(weights.layers.size());
  vocabulary = weights.embedding.size(0);
  embedding = weights.embedding.size(1);
  dtype = weights.embedding.dtype();
  product = dtype == DType::f32 ? autograd::autocast_dtype().value_or(dtype) : dtype;
  device = weights.embedding.device();
  check(weights.layers[0].weight_hh.defined() && weights.layers[0].weight_hh.rank() == 2, ErrorKind::argument,
        "decoder_sequence: layer 0 has no weight_hh");
  hidden = weights.layers[0].weight_hh.size(1);
  plan_steps(inputs);
  if (attention)
    plan_attention(weights, inputs);
  else
    check(!gate, ErrorKind::argument, "decoder_sequence: a gate needs attention");
  if (first_input) expect(inputs.first_input, {rows, embedding}, "first_input");
  for (int l = 0; l < layers; ++l) {
    const DecoderWeights::Layer& layer = weights.layers[static_cast<size_t>(l)];
    expect(layer.weight_ih, {4 * hidden, l == 0 ? embedding + features : hidden}, "weight_ih");
    expect(layer.weight_hh, {4 * hidden, hidden}, "weight_hh");
    expect(layer.bias_ih, {4 * hidden}, "bias_ih");
    expect(layer.bias_hh, {4 * hidden}, "bias_hh");
  }
  for (const Variable* state : {&inputs.h0, &inputs.c0})
    if (state->defined()) expect(*state, {layers, rows, hidden}, "the initial state");
  expect_types(weights, inputs);
  for (const bool forced : inputs.teacher)
    check(forced || weights.output_weight.defined(), ErrorKind::argument,
          "decoder_sequence: steps without a teacher need output_weight");
}

void DecoderPlan::plan_steps(const DecoderInputs& inputs) {
  check(inputs.words.defined() && inputs.words.rank() == 2 && inputs.words.dtype() == DType::i64,
        ErrorKind::shape, "decoder_sequence: the words have to be (rows, steps) i64, not {}",
        describe(inputs.words));
  rows = inputs.words.size(0);
  steps = inputs.words.size(1);
  check(rows > 0 && steps > 0, ErrorKind::shape, "decoder_sequence: no words in {}", inputs.words.shape());
  check(static_cast<int64_t>(inputs.rows.size()) == steps &&
            static_cast<int64_t>(inputs.teacher.size()) == steps,
        ErrorKind::argument, "decoder_sequence: {} row counts and {} coins for {} steps", inputs.rows.size(),
        inputs.teacher.size(), steps);
  check(inputs.teacher[0], ErrorKind::argument,
        "decoder_sequence: step 0 has no former step to take its word from");
  n = inputs.rows;
  for (size_t t = 0; t < n.size(); ++t) {
    check(n[t] > 0 && n[t] <= (t == 0 ? rows : n[t - 1]) && (t > 0 || n[t] == rows), ErrorKind::argument,
          "decoder_sequence: step {} has {} rows; they have to fall from {} and stay positive", t, n[t],
          rows);
    start.push_back(total);
    total += n[t];
  }
  check(!inputs.fed.defined() || (inputs.fed.shape() == Shape{total} && inputs.fed.dtype() == DType::i64),
        ErrorKind::shape, "decoder_sequence: packed words {} for {} rows of all steps", describe(inputs.fed),
        total);
}

void DecoderPlan::plan_attention(const DecoderWeights& weights, const DecoderInputs& inputs) {
  check(inputs.keys.defined() && inputs.values.defined() && inputs.keys.rank() == 3 &&
            inputs.values.rank() == 3,
        ErrorKind::argument, "decoder_sequence: attention needs keys (m, p, a) and values (m, p, d)");
  check(!first_input, ErrorKind::argument,
        "decoder_sequence: a first input is for decoders without attention");
  images = inputs.keys.size(0);
  places = inputs.keys.size(1);
  width = inputs.keys.size(2);
  features = inputs.values.size(2);
  expect(inputs.values, {images, places, features}, "values");
  expect(weights.query_weight, {width, hidden}, "query_weight");
  expect(weights.score_weight, {width}, "score_weight");
  if (weights.score_bias.defined()) expect(weights.score_bias, {1}, "score_bias");
  check(inputs.image.defined() && inputs.image.shape() == Shape{rows}, ErrorKind::shape,
        "decoder_sequence: image {} for {} rows", describe(inputs.image), rows);
  if (!gate) return;
  expect(weights.gate_weight, {features, hidden}, "gate_weight");
  expect(weights.gate_bias, {features}, "gate_bias");
}

void DecoderPlan::expect_types(const DecoderWeights& weights, const DecoderInputs& inputs) const {
  autograd::Variables all = {
      weights.query_weight, weights.score_weight, weights.score_bias, weights.gate_weight, weights.gate_bias,
      inputs.keys,          inputs.values,        inputs.first_input, inputs.h0,           inputs.c0};
  for (const DecoderWeights::Layer& layer : weights.layers)
    all.insert(all.end(), {layer.weight_ih, layer.weight_hh, layer.bias_ih, layer.bias_hh});
  // Under autocast the composed version's inputs come from layers of either type.
  for (const Variable& x : all) {
    if (!x.defined()) continue;
    check(x.dtype() == dtype || (product != dtype && x.dtype() == product), ErrorKind::dtype,
          "decoder_sequence: {} beside an embedding of {}: they do not mix; convert one with to()",
          tensor::describe(x.data()), tensor::name_of(dtype));
    autograd::expect_one_device("decoder_sequence", weights.embedding, x);
  }
  autograd::expect_one_device("decoder_sequence", weights.embedding, inputs.words, inputs.fed, inputs.image,
                              weights.output_weight, weights.output_bias);
}

Tensor pick_words(const Tensor& given, const DecoderWeights& weights) {
  Tensor hidden = given, weight = weights.output_weight;
  if (const auto low = autograd::autocast_dtype(); low && weight.dtype() != DType::f64) {
    hidden = hidden.to(*low);
    weight = weight.to(*low);
  }
  Tensor logits = Tensor::empty({hidden.size(0), weight.size(0)}, given.dtype(), hidden.device());
  const bool bias = weights.output_bias.defined();
  if (bias) logits.copy_(weights.output_bias);
  tensor::kernels::matmul(logits, hidden, weight.t(), 1, bias ? 1 : 0);
  Tensor words = Tensor::empty({hidden.size(0)}, DType::i64, hidden.device());
  tensor::kernels::argmax(words, logits);
  return words;
}

}  // namespace imgcap
