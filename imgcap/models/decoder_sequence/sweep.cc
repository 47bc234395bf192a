#include "imgcap/models/decoder_sequence/sweep.h"

#include <utility>

#include "tensor/kernels.h"

namespace imgcap {
namespace {

using tensor::PackedMatrix;
using tensor::Shape;

class Sweep {
 public:
  Sweep(const DecoderPlan& plan, const DecoderDropout& dropout, SweepInputs inputs, DecoderTrace trace)
      : plan_(plan),
        dropout_(dropout),
        in_(std::move(inputs)),
        trace_(std::move(trace)),
        layers_(trace_.layers.size()),
        result_(in_.needs.size()) {}

  std::vector<Tensor> run() {
    if (plan_.attention)
      sweep_steps();
    else
      sweep_layers();
    if (needs(kH0)) result_[kH0] = stacked(&LayerState::dh);
    if (needs(kC0)) result_[kC0] = stacked(&LayerState::dc);
    return std::move(result_);
  }

 private:
  // What goes back through time in a layer.
  struct LayerState {
    Tensor dpre;          // of the gates before their activation, packed
    Tensor operand;       // the same as the operand of products
    Tensor dh, dc;        // of the states of the step that is next, (rows, hidden)
    PackedMatrix weight;  // W_hh
  };

  Tensor make(const Shape& shape) const { return Tensor::empty(shape, plan_.dtype, plan_.device); }
  Tensor zeros(const Shape& shape) const { return Tensor::zeros(shape, plan_.dtype, plan_.device); }
  bool needs(size_t i) const { return in_.needs[i]; }
  bool drops(double p) const { return dropout_.train && p > 0; }
  // Whether the state that step t starts from has a use for its gradient.
  bool goes_back(size_t t) const { return t > 0 || needs(kH0); }

  // --- layers

  void open_layer(size_t l) {
    LayerState& layer = layers_[l];
    layer.dpre = in_.own_trace ? trace_.layers[l].gates : make({plan_.total, 4 * plan_.hidden});
    layer.operand =
        plan_.has_operands() ? Tensor::empty(layer.dpre.shape(), plan_.product, plan_.device) : layer.dpre;
    layer.dh = zeros({plan_.rows, plan_.hidden});
    layer.dc = zeros({plan_.rows, plan_.hidden});
    layer.weight = plan_.packed(trace_.weights.hh[l]);
  }

  // Its weights' gradients, and what they took.
  void close_layer(size_t l) {
    layer_weights(l);
    if (l == 0) input_gradients();
    LayerState& layer = layers_[l];
    layer.dpre = layer.operand = Tensor();
    layer.weight = PackedMatrix();
    trace_.layers[l] = {};
  }

  // Without attention, all steps of a layer: what it passes to the layer below is one product.
  void sweep_layers() {
    Tensor above = in_.dhidden;
    for (size_t l = layers_.size(); l-- > 0;) {
      open_layer(l);
      for (size_t t = plan_.n.size(); t-- > 0;) {
        add_rows(layers_[l].dh, above, t);
        cell_backward(l, t);
      }
      if (l > 0) above = passed_below(l);
      close_layer(l);
    }
  }

  Tensor passed_below(size_t l) const {
    Tensor below = make({plan_.total, plan_.hidden});
    tensor::kernels::matmul(below, layers_[l].operand, trace_.weights.ih[l], 1, 0);
    if (drops(dropout_.layers))
      for (size_t t = 0; t < plan_.n.size(); ++t) drop_layer(packed_rows(below, plan_, t), l, t);
    return below;
  }

  // With attention a step's top state hangs on its lowest layer: all layers of a step, then the step before.
  void sweep_steps() {
    open_attention();
    for (size_t l = 0; l < layers_.size(); ++l) {
      open_layer(l);
      below_.push_back(l == 0 ? PackedMatrix() : plan_.packed(trace_.weights.ih[l]));
    }
    for (size_t t = plan_.n.size(); t-- > 0;) {
      add_rows(layers_.back().dh, in_.dhidden, t);
      for (size_t l = layers_.size(); l-- > 0;) {
        cell_backward(l, t);
        if (l > 0) below_backward(l, t);
      }
      attention_backward(t);
    }
    attention_weights();
    below_.clear();
    for (size_t l = layers_.size(); l-- > 0;) close_layer(l);
  }

  // The rows of step t of a packed gradient, which may be undefined.
  void add_rows(const Tensor& sum, const Tensor& gradient, size_t t) const {
    if (!gradient.defined()) return;
    Tensor rows = sum.slice(0, 0, plan_.n[t]);
    tensor::kernels::add_inplace(rows, packed_rows(gradient, plan_, t), 1);
  }

  void drop_layer(Tensor dx, size_t l, size_t t) const {
    const uint64_t offset = trace_.draws.layers[draw_of_layer(plan_, t, static_cast<int>(l))];
    tensor::kernels::dropout(dx, dx, trace_.draws.mask(dropout_.layers, offset));
  }

  // From a layer's dh and dc to those of the step before.
  void cell_backward(size_t l, size_t t) const {
    const LayerState& layer = layers_[l];
    const DecoderTrace::Layer& kept = trace_.layers[l];
    const int64_t n = plan_.n[t];
    Tensor dpre_t = packed_rows(layer.dpre, plan_, t), dh_t = layer.dh.slice(0, 0, n),
           dc_t = layer.dc.slice(0, 0, n);
    const Tensor operand = packed_rows(layer.operand, plan_, t);
    tensor::kernels::lstm_cell_backward({.dpre = dpre_t,
                                         .dc_prev = dc_t,
                                         .dh = dh_t,
                                         .dc = dc_t,
                                         .gates = packed_rows(kept.gates, plan_, t),
                                         .c = state_rows(kept.c, plan_, t, false),
                                         .c_prev = state_rows(kept.c, plan_, t, true),
                                         .dpre_operand = plan_.has_operands() ? operand : Tensor()});
    if (goes_back(t)) layer.weight.multiply(dh_t, operand, false);
  }

  // To dh of the layer below.
  void below_backward(size_t l, size_t t) const {
    const Tensor operand = packed_rows(layers_[l].operand, plan_, t);
    Tensor below = layers_[l - 1].dh.slice(0, 0, plan_.n[t]);
    if (!drops(dropout_.layers)) return below_[l].multiply(below, operand, true);
    Tensor dx = make(below.shape());
    below_[l].multiply(dx, operand, false);
    drop_layer(dx, l, t);
    tensor::kernels::add_inplace(below, dx, 1);
  }

  // --- attention

  // Its inputs' gradients begin as zeros, as steps add to them.
  void open_attention() {
    if (in_.dalpha.defined()) in_.dalpha = in_.dalpha.contiguous();
    result_[kKeys] = zeros(in_.keys.shape());
    result_[kScore] = zeros({plan_.width});
    if (in_.score_bias.defined()) result_[kScoreBias] = zeros({1});
    if (needs(kValues)) result_[kValues] = zeros(in_.values.shape());
    dquery_ = Tensor::empty({plan_.total, plan_.width}, plan_.product, plan_.device);
    if (plan_.gate) dgate_ = make({plan_.total, plan_.features});
    context_ = plan_.packed(trace_.weights.ih[0].slice(1, plan_.embedding, plan_.embedding + plan_.features));
    query_ = plan_.packed(trace_.weights.query);
    if (plan_.gate) gate_ = plan_.packed(trace_.weights.gate);
    in_.keys = plan_.operand(in_.keys).contiguous();
    in_.values = plan_.operand(in_.values).contiguous();
  }

  void attention_backward(size_t t) {
    const int64_t n = plan_.n[t];
    Tensor dcontext = make({n, plan_.features});
    context_.multiply(dcontext, packed_rows(layers_[0].operand, plan_, t), false);
    Tensor dstate = layers_.back().dh.slice(0, 0, n);
    if (plan_.gate) {
      // gated = s(z) context:  dz = dgated context s (1 - s),  dcontext = dgated s
      const Tensor s = packed_rows(trace_.gate, plan_, t);
      Tensor dz = packed_rows(dgate_, plan_, t), slope = make(s.shape());
      tensor::kernels::affine(slope, s, -1, 1);
      tensor::kernels::binary(slope, slope, s, tensor::BinaryOp::mul);
      tensor::kernels::binary(dz, dcontext, packed_rows(trace_.context, plan_, t), tensor::BinaryOp::mul);
      tensor::kernels::binary(dz, dz, slope, tensor::BinaryOp::mul);
      tensor::kernels::binary(dcontext, dcontext, s, tensor::BinaryOp::mul);
      if (goes_back(t)) gate_.multiply(dstate, plan_.operand(dz), true);
    }
    Tensor dquery = packed_rows(dquery_, plan_, t);
    const Tensor dalpha = in_.dalpha.defined() ? packed_rows(in_.dalpha, plan_, t) : Tensor();
    tensor::kernels::additive_attention_backward({.dquery = dquery,
                                                  .dkeys = result_[kKeys],
                                                  .dvalues = result_[kValues],
                                                  .dv = result_[kScore],
                                                  .dv_bias = result_[kScoreBias],
                                                  .dcontext = dcontext,
                                                  .dalpha = dalpha,
                                                  .alpha = packed_rows(trace_.alpha, plan_, t),
                                                  .keys = in_.keys,
                                                  .values = in_.values,
                                                  .query = packed_rows(trace_.query, plan_, t),
                                                  .image = in_.image.slice(0, 0, n),
                                                  .v = in_.score_weight});
    if (goes_back(t)) query_.multiply(dstate, dquery, true);
  }

  void attention_weights() {
    const Tensor before = states_before(trace_.layers.back().state());
    if (needs(kQuery)) result_[kQuery] = weight_gradient(dquery_, before);
    if (!plan_.gate) return;
    if (needs(kGate)) result_[kGate] = weight_gradient(dgate_, before);
    if (needs(kGateBias)) result_[kGateBias] = sum_rows(dgate_);
  }

  // --- what is left when all steps have run

  // The state that each packed row started from. With equal row counts that is the buffer itself, one step
  // earlier.
  Tensor states_before(const Tensor& buffer) const {
    if (plan_.total == plan_.rows * plan_.steps) return buffer.slice(0, 0, plan_.total);
    Tensor gathered = Tensor::empty({plan_.total, plan_.hidden}, buffer.dtype(), plan_.device);
    for (size_t t = 0; t < plan_.n.size(); ++t)
      packed_rows(gathered, plan_, t).copy_(state_rows(buffer, plan_, t, true));
    return gathered;
  }

  // Of operands or what is to become one.
  Tensor weight_gradient(const Tensor& dout, const Tensor& x) const {
    Tensor dw = make({dout.size(1), x.size(1)});
    tensor::kernels::matmul(dw, plan_.operand(dout).t(), plan_.operand(x), 1, 0);
    return dw;
  }

  Tensor sum_rows(const Tensor& x) const {
    Tensor sum = make({1, x.size(1)});
    tensor::kernels::reduce(sum, x, {0}, tensor::ReduceOp::sum);
    return sum.view({x.size(1)});
  }

  void layer_weights(size_t l) {
    const DecoderTrace::Layer& layer = trace_.layers[l];
    const Tensor x = layer.input.defined()
                         ? layer.input
                         : trace_.layers[l - 1].state().slice(0, plan_.rows, plan_.rows + plan_.total);
    const auto input = [&](DecoderLayerInput which) { return layer_input(static_cast<int>(l), which); };
    const Tensor& operand = layers_[l].operand;
    if (needs(input(kWeightIh))) result_[input(kWeightIh)] = weight_gradient(operand, x);
    if (needs(input(kWeightHh)))
      result_[input(kWeightHh)] = weight_gradient(operand, states_before(layer.state()));
    const Tensor bias = sum_rows(layers_[l].dpre);
    result_[input(kBiasIh)] = bias;
    result_[input(kBiasHh)] = bias.clone();
  }

  // The embedding's gradient, and that of the first input.
  void input_gradients() {
    if (!needs(kEmbedding) && !needs(kFirst)) return;
    Tensor dx = make({plan_.total, plan_.embedding});
    tensor::kernels::matmul(dx, layers_[0].operand, trace_.weights.ih[0].slice(1, 0, plan_.embedding), 1, 0);
    const size_t first_word = plan_.first_input ? 1 : 0;
    if (drops(dropout_.embedding) && first_word < plan_.n.size())
      for_each_mask(plan_, trace_.draws.embedding, dx.slice(0, plan_.start[first_word], plan_.total),
                    first_word, plan_.n.size(), [&](Tensor rows, uint64_t offset) {
                      tensor::kernels::dropout(rows, rows, trace_.draws.mask(dropout_.embedding, offset));
                    });
    if (plan_.first_input && needs(kFirst)) result_[kFirst] = packed_rows(dx, plan_, 0).clone();
    if (!needs(kEmbedding)) return;
    result_[kEmbedding] = zeros({plan_.vocabulary, plan_.embedding});
    const int64_t skipped = plan_.first_input ? plan_.rows : 0;
    tensor::kernels::embedding_backward(result_[kEmbedding], dx.slice(0, skipped, plan_.total),
                                        trace_.fed.slice(0, skipped, plan_.total));
  }

  Tensor stacked(Tensor LayerState::*part) const {
    Tensor all = make({plan_.layers, plan_.rows, plan_.hidden});
    for (size_t l = 0; l < layers_.size(); ++l)
      all.select(0, static_cast<int64_t>(l)).copy_(layers_[l].*part);
    return all;
  }

  const DecoderPlan& plan_;
  const DecoderDropout& dropout_;
  SweepInputs in_;
  DecoderTrace trace_;
  std::vector<LayerState> layers_;
  std::vector<PackedMatrix> below_;  // a layer's W_ih, with attention; not of the first
  PackedMatrix context_, gate_, query_;
  Tensor dquery_, dgate_;  // packed
  std::vector<Tensor> result_;
};

}  // namespace

std::vector<Tensor> sweep_backward(const DecoderPlan& plan, const DecoderDropout& dropout, SweepInputs inputs,
                                   DecoderTrace trace) {
  return Sweep(plan, dropout, std::move(inputs), std::move(trace)).run();
}

}  // namespace imgcap
