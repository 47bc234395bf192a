#include "autograd/autocast.h"
#include "autograd/decoder_sequence.h"
#include "autograd/ops.h"
#include "autograd/ops/decoder_plan.h"

namespace autograd {

// x_t = [dropout(embedding(word_t)) ; context(h_{t-1})];  every layer an lstm_cell;  word_t from the teacher
// or argmax
DecoderOutputs decoder_sequence_composed(const DecoderWeights& weights, const DecoderInputs& inputs,
                                         const DecoderDropout& dropout_options) {
  const DecoderPlan plan(weights, inputs);
  tensor::Generator& generator =
      dropout_options.generator ? *dropout_options.generator : tensor::default_generator();
  std::vector<LstmState> states;
  for (int l = 0; l < plan.layers; ++l) {
    const auto initial = [&](const Variable& given) {
      return given.defined() ? select(given, 0, l)
                             : Variable(Tensor::zeros({plan.rows, plan.hidden}, plan.dtype, plan.device));
    };
    states.push_back({initial(inputs.h0), initial(inputs.c0)});
  }
  Variables hidden, alphas;
  Tensor fed = Tensor::zeros({plan.total}, DType::i64, plan.device);
  for (size_t t = 0; t < plan.n.size(); ++t) {
    const int64_t n = plan.n[t];
    for (LstmState& state : states) state = {slice(state.h, 0, 0, n), slice(state.c, 0, 0, n)};
    Variable x;
    if (t == 0 && plan.first_input) {
      x = inputs.first_input;
    } else {
      const Tensor words = inputs.teacher[t]
                               ? inputs.words.select(1, static_cast<int64_t>(t)).slice(0, 0, n).contiguous()
                               : pick_words(states.back().h.data().contiguous(), weights);
      fed.slice(0, plan.start[t], plan.start[t] + n).copy_(words);
      x = dropout(embedding(weights.embedding, words), dropout_options.embedding, dropout_options.train,
                  generator);
    }
    if (plan.attention) {
      const Variable& state = states.back().h;
      Attention attention =
          additive_attention_composed(inputs.keys, inputs.values, linear(state, weights.query_weight),
                                      inputs.image.slice(0, 0, n), weights.score_weight, weights.score_bias);
      alphas.push_back(attention.alpha);
      if (plan.gate)
        attention.context =
            attention.context * sigmoid(linear(state, weights.gate_weight, weights.gate_bias));
      x = cat({x, attention.context}, 1);
    }
    for (size_t l = 0; l < states.size(); ++l) {
      const DecoderWeights::Layer& w = weights.layers[l];
      if (l > 0) x = dropout(x, dropout_options.layers, dropout_options.train, generator);
      states[l] = lstm_cell_composed(x, states[l], w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh);
      x = states[l].h;
    }
    hidden.push_back(autocast_f32(x));
  }
  DecoderOutputs outputs;
  outputs.hidden = cat(hidden, 0);
  if (plan.attention) outputs.alpha = cat(alphas, 0);
  outputs.fed = fed;
  return outputs;
}

}  // namespace autograd
