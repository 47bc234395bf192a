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

// The weights of products, as their operands: rounded once for both passes.
struct OperandWeights {
  std::vector<Tensor> ih, hh;  // a layer
  Tensor query, gate;
};

// Buffers are packed: the rows of step t follow those of step t - 1. States have n more rows in front, the
// initial state, so "the step before" is always there.
struct DecoderTrace {
  struct Layer {
    // (total, in): what the layer saw, after dropout; undefined where it is h of the layer below
    Tensor input;
    Tensor gates;  // (total, 4h)
    Tensor h, c;   // (n + total, h)
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
