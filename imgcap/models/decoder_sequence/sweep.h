// The fused decoder's backward pass on plain tensors, from the gradients of its outputs to those of its inputs.
#pragma once

#include <vector>

#include "imgcap/models/decoder_sequence/trace.h"

namespace imgcap {

// The node's inputs. They are saved first, so that an input's number is the number of its save, too.
enum DecoderInput {
  kEmbedding,
  kQuery,
  kScore,
  kScoreBias,
  kGate,
  kGateBias,
  kKeys,
  kValues,
  kFirst,
  kH0,
  kC0,
  kLayers  // the first of layer 0
};
enum DecoderLayerInput { kWeightIh, kWeightHh, kBiasIh, kBiasHh, kLayerInputs };

inline size_t layer_input(int layer, DecoderLayerInput which) {
  return static_cast<size_t>(kLayers + kLayerInputs * layer + which);
}

struct SweepInputs {
  Tensor dhidden, dalpha;  // of the outputs, packed; may be undefined
  Tensor keys, values;     // with attention, as the forward pass got them
  Tensor score_weight, score_bias;
  Tensor image;
  std::vector<bool> needs;  // a gradient, by input
  // Whether nobody else wants the trace's buffers: then gradients overwrite gates, and what has been used is
  // dropped at once, so that a training step's largest moment is not here.
  bool own_trace = false;
};

// By input; undefined where none is needed. In the plan's type.
std::vector<Tensor> sweep_backward(const DecoderPlan& plan, const DecoderDropout& dropout, SweepInputs inputs,
                                   DecoderTrace trace);

}  // namespace imgcap
