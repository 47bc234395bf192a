#include "autograd/custom_op.h"
#include "imgcap/models/decoder_sequence/sweep.h"

namespace imgcap {
namespace {

using autograd::Variables;

// In the order of DecoderInput.
Variables flatten_inputs(const DecoderWeights& w, const DecoderInputs& x) {
  Variables all = {w.embedding, w.query_weight, w.score_weight, w.score_bias, w.gate_weight, w.gate_bias,
                   x.keys,      x.values,       x.first_input,  x.h0,         x.c0};
  for (const DecoderWeights::Layer& layer : w.layers)
    for (const Variable* v : {&layer.weight_ih, &layer.weight_hh, &layer.bias_ih, &layer.bias_hh})
      all.push_back(*v);
  return all;
}

class DecoderSequenceBackward final : public autograd::OnceDifferentiable {
 public:
  DecoderSequenceBackward(const Variables& inputs, const DecoderPlan& plan, const Tensor& image,
                          const DecoderDropout& dropout, DecoderTrace trace)
      : OnceDifferentiable("decoder_sequence"),
        plan_(plan),
        image_(image),
        dropout_(dropout),
        draws_(std::move(trace.draws)) {
    for (const Variable& input : inputs) save(input);
    // The buffers are saved like inputs, so that they are freed and guarded the same way.
    for (size_t l = 0; l < trace.layers.size(); ++l) {
      const DecoderTrace::Layer& layer = trace.layers[l];
      layers_.push_back({save(layer.input), save(layer.gates), save(layer.state()), save(layer.c),
                         save(trace.weights.ih[l]), save(trace.weights.hh[l])});
    }
    query_weight_ = save(trace.weights.query);
    gate_weight_ = save(trace.weights.gate);
    query_ = save(trace.query);
    alpha_ = save(trace.alpha);
    context_ = save(trace.context);
    gate_ = save(trace.gate);
    fed_ = save(trace.fed);
  }

  std::vector<Tensor> apply_once(const std::vector<Tensor>& gradients) override {
    SweepInputs inputs;
    inputs.dhidden = gradients[0];
    if (plan_.attention) inputs.dalpha = gradients[1];
    inputs.keys = kept(kKeys), inputs.values = kept(kValues);
    inputs.score_weight = kept(kScore), inputs.score_bias = kept(kScoreBias);
    inputs.image = image_;
    for (size_t i = 0; i < next_edges().size(); ++i) inputs.needs.push_back(needs(static_cast<int>(i)));
    DecoderTrace trace = unpack();
    inputs.own_trace = release_for_writing();
    std::vector<Tensor> result = sweep_backward(plan_, dropout_, std::move(inputs), std::move(trace));
    for (size_t i = 0; i < result.size(); ++i)
      result[i] =
          needs(static_cast<int>(i)) && result[i].defined() ? result[i].to(input_metas()[i].dtype) : Tensor();
    return result;
  }

 private:
  Tensor kept(int i) const {
    const Variable v = saved(i);
    return v.defined() ? v.data() : Tensor();
  }

  DecoderTrace unpack() const {
    DecoderTrace trace;
    for (const SavedLayer& layer : layers_) {
      trace.layers.push_back({.input = kept(layer.input),
                              .gates = kept(layer.gates),
                              .h = {},
                              .c = kept(layer.c),
                              .h_operand = kept(layer.state)});
      trace.weights.ih.push_back(kept(layer.weight_ih));
      trace.weights.hh.push_back(kept(layer.weight_hh));
    }
    trace.weights.query = kept(query_weight_);
    trace.weights.gate = kept(gate_weight_);
    trace.query = kept(query_);
    trace.alpha = kept(alpha_);
    trace.context = kept(context_);
    trace.gate = kept(gate_);
    trace.fed = kept(fed_);
    trace.draws = draws_;
    return trace;
  }

  DecoderPlan plan_;
  Tensor image_;
  DecoderDropout dropout_;
  DropoutDraws draws_;
  // Numbers of saves.
  struct SavedLayer {
    int input, gates, state, c, weight_ih, weight_hh;
  };
  std::vector<SavedLayer> layers_;
  int query_weight_, gate_weight_, query_, alpha_, context_, gate_, fed_;
};

}  // namespace

Variables record_decoder_sequence(const std::vector<Tensor>& results, const DecoderWeights& weights,
                                  const DecoderInputs& inputs, const DecoderPlan& plan,
                                  const DecoderDropout& dropout, DecoderTrace trace) {
  const Variables flat = flatten_inputs(weights, inputs);
  return autograd::record_all<DecoderSequenceBackward>(results, flat, flat, plan, inputs.image, dropout,
                                                       std::move(trace));
}

}  // namespace imgcap
