#include "autograd/autocast.h"
#include "autograd/ops.h"
#include "imgcap/models/decoder_sequence/plan.h"

namespace imgcap {

// x_t = [dropout(embedding(word_t)) ; context(h_{t-1})];  every layer an lstm_cell;  word_t from the teacher
// or argmax
DecoderOutputs decoder_sequence_composed(const DecoderWeights& weights, const DecoderInputs& inputs,
                                         const DecoderDropout& dropout_options) {
  const DecoderPlan plan(weights, inputs);
  tensor::Generator& generator =
      dropout_options.generator ? *dropout_options.generator : tensor::default_generator();
  std::vector<autograd::LstmState> states;
  for (int l = 0; l < plan.layers; ++l) {
    const auto initial = [&](const Variable& given) {
      return given.defined() ? autograd::select(given, 0, l)
                             : Variable(Tensor::zeros({plan.rows, plan.hidden}, plan.dtype, plan.device));
    };
    states.push_back({initial(inputs.h0), initial(inputs.c0)});
  }
  autograd::Variables hidden, alphas;
  Tensor fed = Tensor::zeros({plan.total}, tensor::DType::i64, plan.device);
  for (size_t t = 0; t < plan.n.size(); ++t) {
    const int64_t n = plan.n[t];
    for (autograd::LstmState& state : states)
      state = {autograd::slice(state.h, 0, 0, n), autograd::slice(state.c, 0, 0, n)};
    Variable x;
    if (t == 0 && plan.first_input) {
      x = inputs.first_input;
    } else {
      const Tensor words = inputs.teacher[t]
                               ? inputs.words.select(1, static_cast<int64_t>(t)).slice(0, 0, n).contiguous()
                               : pick_words(states.back().h.data().contiguous(), weights);
      fed.slice(0, plan.start[t], plan.start[t] + n).copy_(words);
      x = autograd::dropout(autograd::embedding(weights.embedding, words), dropout_options.embedding,
                            dropout_options.train, generator);
    }
    if (plan.attention) {
      const Variable& state = states.back().h;
      autograd::Attention attention = autograd::additive_attention_composed(
          inputs.keys, inputs.values, autograd::linear(state, weights.query_weight),
          inputs.image.slice(0, 0, n), weights.score_weight, weights.score_bias);
      alphas.push_back(attention.alpha);
      if (plan.gate)
        attention.context = attention.context * autograd::sigmoid(autograd::linear(state, weights.gate_weight,
                                                                                   weights.gate_bias));
      x = autograd::cat({x, attention.context}, 1);
    }
    for (size_t l = 0; l < states.size(); ++l) {
      const DecoderWeights::Layer& w = weights.layers[l];
      if (l > 0) x = autograd::dropout(x, dropout_options.layers, dropout_options.train, generator);
      states[l] = autograd::lstm_cell_composed(x, states[l], w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh);
      x = states[l].h;
    }
    hidden.push_back(autograd::autocast_f32(x));
  }
  DecoderOutputs outputs;
  outputs.hidden = autograd::cat(hidden, 0);
  if (plan.attention) outputs.alpha = autograd::cat(alphas, 0);
  outputs.fed = fed;
  return outputs;
}

}  // namespace imgcap
