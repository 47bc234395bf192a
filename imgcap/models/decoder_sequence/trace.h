// What the fused decoder's forward pass leaves to its backward pass.
#pragma once

#include <cstdint>
#include <vector>

#include "imgcap/models/decoder_sequence/plan.h"

namespace imgcap {

// Where the dropout masks of a run stand in the generator's stream: the backward pass makes them again.
struct DropoutDraws {
  uint64_t seed = 0;
  Tensor origin;                    // Generator::draw
  std::vector<uint64_t> embedding;  // of step t
  std::vector<uint64_t> layers;     // of a layer's input at step t: draw_of_layer()

  tensor::DropoutMask mask(double p, uint64_t offset) const { return {p, seed, offset, origin}; }
};

inline size_t draw_of_layer(const DecoderPlan& plan, size_t t, int layer) {
  return t * static_cast<size_t>(plan.layers - 1) + static_cast<size_t>(layer) - 1;
}

// f(rows, offset) for the rows of steps `from` to before `to` of x, a packed buffer without the rows of steps before `from`: the
// mask of `rows` begins at `offset`. Steps whose masks lie one behind the other in the stream come together.
template <class F>
void for_each_mask(const DecoderPlan& plan, const std::vector<uint64_t>& offsets, const Tensor& x,
                   size_t from, size_t to, const F& f) {
  for (size_t t = from, next; t < to; t = next) {
    uint64_t numbers = 0;
    for (next = t; next < to && offsets[next] == offsets[t] + numbers / 4 && numbers % 4 == 0; ++next)
      numbers += static_cast<uint64_t>(plan.n[next] * x.size(1));
    const int64_t first = plan.start[from], last = plan.start[next - 1] + plan.n[next - 1];
    f(x.slice(0, plan.start[t] - first, last - first), offsets[t]);
  }
}

// The weights of products, as their operands: rounded once for both passes.
struct OperandWeights {
  std::vector<Tensor> ih, hh;  // a layer
  Tensor query, gate;
};

// Buffers are packed: the rows of step t follow those of step t - 1. States have n more rows in front, the
// initial state, so "the step before" is always there.
struct DecoderTrace {
  struct Layer {
    // (total, in): what the layer saw, after dropout, as the operand of products; undefined where it is h of the layer
    // below
    Tensor input;
    Tensor gates;      // (total, 4h)
    Tensor h, c;       // (n + total, h)
    Tensor h_operand;  // (n + total, h), under autocast: h in 16 bits

    // h as the operand of products.
    const Tensor& state() const { return h_operand.defined() ? h_operand : h; }
  };
  std::vector<Layer> layers;
  Tensor query, alpha, context, gate;  // (total, a), (total, p), (total, d) before the gate, (total, d)
  Tensor fed;                          // (total) i64
  OperandWeights weights;
  DropoutDraws draws;
};

inline Tensor packed_rows(const Tensor& buffer, const DecoderPlan& plan, size_t t) {
  return buffer.slice(0, plan.start[t], plan.start[t] + plan.n[t]);
}

// The states after step t (or, with `before`, what step t starts from), for the rows that step t runs.
inline Tensor state_rows(const Tensor& buffer, const DecoderPlan& plan, size_t t, bool before) {
  const int64_t first = before ? (t == 0 ? 0 : plan.rows + plan.start[t - 1]) : plan.rows + plan.start[t];
  return buffer.slice(0, first, first + plan.n[t]);
}

// The results as variables: outputs of the node, where a graph is recorded (backward.cc).
autograd::Variables record_decoder_sequence(const std::vector<Tensor>& results, const DecoderWeights& weights,
                                            const DecoderInputs& inputs, const DecoderPlan& plan,
                                            const DecoderDropout& dropout, DecoderTrace trace);

}  // namespace imgcap
