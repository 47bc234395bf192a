// The caption decoder over all time steps as one node. The attention of a step needs the state of the step
// before, so this is no LSTM sequence; as one node per step it would make a skinny weight-gradient product
// and a read-modify-write of all weight gradients per step. Here the backward sweep runs in time and then
// makes one product per weight.
#pragma once

#include <cstdint>
#include <vector>

#include "autograd/variable.h"
#include "tensor/random.h"

namespace imgcap {

using autograd::Variable;
using tensor::Tensor;

// Parameters; letters as in additive_attention: h hidden, e embedding, d feature, a attention size, v
// vocabulary.
struct DecoderWeights {
  struct Layer {
    Variable weight_ih, weight_hh, bias_ih, bias_hh;  // (4h, in), (4h, h), (4h), (4h); gates i, f, g, o
  };
  Variable embedding;  // (v, e)
  // Layer 0: in = e + d with attention (embedding first), e without; others: in = h.
  std::vector<Layer> layers;
  // With attention; all undefined without.
  Variable query_weight;              // (a, h): W_h of the attention; its bias belongs to the keys
  Variable score_weight, score_bias;  // (a), (1) or undefined
  // (d, h), (d): context times sigmoid(W h + b) (Xu et al. 2015, 4.2.1), or undefined.
  Variable gate_weight, gate_bias;
  // What picks the next word where no teacher does; no gradient.
  Tensor output_weight, output_bias;  // (v, h), (v) or undefined
};

// What a batch feeds. Rows are sorted by falling length: step t runs the first rows[t] of the n rows.
struct DecoderInputs {
  Variable keys, values;  // with attention: (m, p, a) = W_f f + b, (m, p, d) = f
  Tensor image;           // with attention: (n) i64, row -> image
  Variable first_input;   // without attention: (n, e), the input of step 0 in place of a word
  Variable h0, c0;        // (layers, n, h); undefined: zeros
  Tensor words;           // (n, t) i64: column t is the word that a teacher feeds at step t
  Tensor fed;  // (sum of rows) i64: the same, packed as the outputs are; undefined: made of `words`
  std::vector<int64_t> rows;  // t values, falling, rows[0] == n
  // t values: whether step t is fed by the teacher; else by the own argmax of step t - 1. [0] has to be true.
  std::vector<bool> teacher;
};

struct DecoderDropout {
  double embedding = 0;  // on the word's embedding
  double layers = 0;     // between LSTM layers
  bool train = false;
  tensor::Generator* generator = nullptr;  // default_generator() when null
};

struct DecoderOutputs {
  Variable hidden;  // (sum of rows, h): the top layer's h, the rows of step 0, then those of step 1, ...
  Variable alpha;   // (sum of rows, p): attention weights; undefined without attention
  Tensor fed;       // (sum of rows) i64: the words that were fed (first_input: 0)
};

// One node, once differentiable. Under autocast the operands of its products, of both passes, are rounded to
// the 16-bit type, and all else is f32: sums, gates, h and c, the softmax, weight gradients, hidden and
// alpha.
DecoderOutputs decoder_sequence(const DecoderWeights& weights, const DecoderInputs& inputs,
                                const DecoderDropout& dropout = {});
// The same made of plain ops: its oracle, with the same dropout masks for the same generator state.
DecoderOutputs decoder_sequence_composed(const DecoderWeights& weights, const DecoderInputs& inputs,
                                         const DecoderDropout& dropout = {});

}  // namespace imgcap
