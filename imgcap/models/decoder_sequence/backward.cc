#include "autograd/custom_op.h"
#include "imgcap/models/decoder_sequence/trace.h"
#include "tensor/kernels.h"
#include "tensor/packed_matrix.h"

namespace imgcap {
namespace {

using autograd::Variables;
using tensor::PackedMatrix;
using tensor::Shape;

// The node's inputs. They are saved first, so that an input's number is the number of its save, too.
enum Input {
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
enum LayerInput { kWeightIh, kWeightHh, kBiasIh, kBiasHh, kLayerInputs };

int layer_input(int layer, LayerInput which) { return kLayers + kLayerInputs * layer + which; }

// In that order.
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
    for (const DecoderTrace::Layer& layer : trace.layers)
      layers_.push_back({save(layer.input), save(layer.gates), save(layer.h), save(layer.c)});
    query_ = save(trace.query);
    alpha_ = save(trace.alpha);
    context_ = save(trace.context);
    gate_ = save(trace.gate);
    fed_ = save(trace.fed);
  }

  std::vector<Tensor> apply_once(const std::vector<Tensor>& gradients) override {
    const DecoderTrace trace = unpack();
    std::vector<Tensor> result(next_edges().size());
    std::vector<Tensor> dpre, dh, dc;
    for (int l = 0; l < plan_.layers; ++l) {
      dpre.push_back(make({plan_.total, 4 * plan_.hidden}));
      dh.push_back(Tensor::zeros({plan_.rows, plan_.hidden}, plan_.dtype, plan_.device));
      dc.push_back(Tensor::zeros({plan_.rows, plan_.hidden}, plan_.dtype, plan_.device));
    }
    Tensor dquery, dgate;
    if (plan_.attention) {
      dquery = make({plan_.total, plan_.width});
      result[kKeys] = Tensor::zeros(kept(kKeys).shape(), plan_.dtype, plan_.device);
      result[kScore] = Tensor::zeros({plan_.width}, plan_.dtype, plan_.device);
      if (kept(kScoreBias).defined()) result[kScoreBias] = Tensor::zeros({1}, plan_.dtype, plan_.device);
      if (needs(kValues)) result[kValues] = Tensor::zeros(kept(kValues).shape(), plan_.dtype, plan_.device);
      if (plan_.gate) dgate = make({plan_.total, plan_.features});
    }
    const Products products = pack_weights();
    for (size_t t = plan_.n.size(); t-- > 0;) {
      if (gradients[0].defined()) {
        Tensor top = dh.back().slice(0, 0, plan_.n[t]);
        tensor::kernels::add_inplace(top, packed_rows(gradients[0], plan_, t), 1);
      }
      for (int l = plan_.layers; l-- > 0;) layer_backward(l, t, trace, products, dpre, dh, dc);
      if (plan_.attention)
        attention_backward(t, trace, products, gradients, dpre[0], dquery, dgate, dh.back(), result);
    }
    layer_weights(trace, dpre, result);
    if (plan_.attention) attention_weights(trace, dquery, dgate, result);
    input_gradients(trace, dpre[0], result);
    if (needs(kH0)) result[kH0] = stacked(dh);
    if (needs(kC0)) result[kC0] = stacked(dc);
    for (size_t i = 0; i < result.size(); ++i)
      if (!needs(static_cast<int>(i))) result[i] = Tensor();
    return result;
  }

 private:
  Tensor make(const Shape& shape) const { return Tensor::empty(shape, plan_.dtype, plan_.device); }
  PackedMatrix packed(const Tensor& weight) const { return PackedMatrix(plan_.operand(weight)); }
  Tensor kept(int i) const {
    const Variable v = saved(i);
    return v.defined() ? v.data() : Tensor();
  }
  Tensor weight(int layer, LayerInput which) const { return kept(layer_input(layer, which)); }

  DecoderTrace unpack() const {
    DecoderTrace trace;
    for (const SavedLayer& layer : layers_)
      trace.layers.push_back({kept(layer.input), kept(layer.gates), kept(layer.h), kept(layer.c)});
    trace.query = kept(query_);
    trace.alpha = kept(alpha_);
    trace.context = kept(context_);
    trace.gate = kept(gate_);
    trace.fed = kept(fed_);
    return trace;
  }

  bool drops(double p) const { return dropout_.train && p > 0; }

  // The weights that every step multiplies by.
  struct Products {
    std::vector<PackedMatrix> state, below;  // a layer; no `below` for the first
    PackedMatrix context, gate, query;
    Tensor keys, values;
  };

  Products pack_weights() const {
    Products products;
    for (int l = 0; l < plan_.layers; ++l) {
      products.state.push_back(packed(weight(l, kWeightHh)));
      products.below.push_back(l == 0 ? PackedMatrix() : packed(weight(l, kWeightIh)));
    }
    if (!plan_.attention) return products;
    products.context =
        packed(weight(0, kWeightIh).slice(1, plan_.embedding, plan_.embedding + plan_.features));
    products.query = packed(kept(kQuery));
    products.keys = plan_.operand(kept(kKeys)).contiguous();
    products.values = plan_.operand(kept(kValues)).contiguous();
    if (plan_.gate) products.gate = packed(kept(kGate));
    return products;
  }

  void layer_backward(int l, size_t t, const DecoderTrace& trace, const Products& products,
                      std::vector<Tensor>& dpre, std::vector<Tensor>& dh, std::vector<Tensor>& dc) const {
    const auto at = static_cast<size_t>(l);
    const DecoderTrace::Layer& layer = trace.layers[at];
    const int64_t n = plan_.n[t];
    Tensor dpre_t = packed_rows(dpre[at], plan_, t), dh_t = dh[at].slice(0, 0, n),
           dc_t = dc[at].slice(0, 0, n);
    tensor::kernels::lstm_cell_backward({dpre_t, dc_t, dh_t, dc_t, packed_rows(layer.gates, plan_, t),
                                         state_rows(layer.c, plan_, t, false),
                                         state_rows(layer.c, plan_, t, true)});
    const Tensor operand = plan_.operand(dpre_t);
    products.state[at].multiply(dh_t, operand, false);  // now of the step before
    if (l == 0) return;
    Tensor below = dh[at - 1].slice(0, 0, n);
    if (drops(dropout_.layers)) {
      Tensor dx = make({n, plan_.hidden});
      products.below[at].multiply(dx, operand, false);
      tensor::kernels::dropout(dx, dx, dropout_.layers, draws_.seed,
                               draws_.layers[draw_of_layer(plan_, t, l)]);
      tensor::kernels::add_inplace(below, dx, 1);
    } else {
      products.below[at].multiply(below, operand, true);
    }
  }

  void attention_backward(size_t t, const DecoderTrace& trace, const Products& products,
                          const std::vector<Tensor>& gradients, const Tensor& dpre, Tensor& dquery,
                          Tensor& dgate, Tensor& dh_top, std::vector<Tensor>& result) const {
    const int64_t n = plan_.n[t];
    Tensor dcontext = make({n, plan_.features});
    products.context.multiply(dcontext, plan_.operand(packed_rows(dpre, plan_, t)), false);
    Tensor dstate = dh_top.slice(0, 0, n);
    if (plan_.gate) {
      // gated = s(z) context:  dz = dgated context s (1 - s),  dcontext = dgated s
      const Tensor s = packed_rows(trace.gate, plan_, t);
      Tensor dz = packed_rows(dgate, plan_, t), slope = make(s.shape());
      tensor::kernels::affine(slope, s, -1, 1);
      tensor::kernels::binary(slope, slope, s, tensor::BinaryOp::mul);
      tensor::kernels::binary(dz, dcontext, packed_rows(trace.context, plan_, t), tensor::BinaryOp::mul);
      tensor::kernels::binary(dz, dz, slope, tensor::BinaryOp::mul);
      tensor::kernels::binary(dcontext, dcontext, s, tensor::BinaryOp::mul);
      products.gate.multiply(dstate, plan_.operand(dz), true);
    }
    Tensor dquery_t = packed_rows(dquery, plan_, t);
    const Tensor dalpha =
        gradients[1].defined() ? packed_rows(gradients[1].contiguous(), plan_, t) : Tensor();
    tensor::kernels::additive_attention_backward({.dquery = dquery_t,
                                                  .dkeys = result[kKeys],
                                                  .dvalues = result[kValues],
                                                  .dv = result[kScore],
                                                  .dv_bias = result[kScoreBias],
                                                  .dcontext = dcontext,
                                                  .dalpha = dalpha,
                                                  .alpha = packed_rows(trace.alpha, plan_, t),
                                                  .keys = products.keys,
                                                  .values = products.values,
                                                  .query = packed_rows(trace.query, plan_, t),
                                                  .image = image_.slice(0, 0, n),
                                                  .v = kept(kScore)});
    products.query.multiply(dstate, plan_.operand(dquery_t), true);
  }

  // The state that each packed row started from. With equal row counts that is the buffer itself, one step
  // earlier.
  Tensor states_before(const Tensor& buffer) const {
    if (plan_.total == plan_.rows * plan_.steps) return buffer.slice(0, 0, plan_.total);
    Tensor gathered = make({plan_.total, plan_.hidden});
    for (size_t t = 0; t < plan_.n.size(); ++t)
      packed_rows(gathered, plan_, t).copy_(state_rows(buffer, plan_, t, true));
    return gathered;
  }

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

  void layer_weights(const DecoderTrace& trace, const std::vector<Tensor>& dpre,
                     std::vector<Tensor>& result) const {
    for (int l = 0; l < plan_.layers; ++l) {
      const auto at = static_cast<size_t>(l);
      const DecoderTrace::Layer& layer = trace.layers[at];
      const Tensor x = layer.input.defined()
                           ? layer.input
                           : trace.layers[at - 1].h.slice(0, plan_.rows, plan_.rows + plan_.total);
      const auto gradient = [&](LayerInput which) -> Tensor& {
        return result[static_cast<size_t>(layer_input(l, which))];
      };
      if (needs(layer_input(l, kWeightIh))) gradient(kWeightIh) = weight_gradient(dpre[at], x);
      if (needs(layer_input(l, kWeightHh)))
        gradient(kWeightHh) = weight_gradient(dpre[at], states_before(layer.h));
      const Tensor bias = sum_rows(dpre[at]);
      gradient(kBiasIh) = bias;
      gradient(kBiasHh) = bias.clone();
    }
  }

  void attention_weights(const DecoderTrace& trace, const Tensor& dquery, const Tensor& dgate,
                         std::vector<Tensor>& result) const {
    const Tensor before = states_before(trace.layers.back().h);
    if (needs(kQuery)) result[kQuery] = weight_gradient(dquery, before);
    if (!plan_.gate) return;
    if (needs(kGate)) result[kGate] = weight_gradient(dgate, before);
    if (needs(kGateBias)) result[kGateBias] = sum_rows(dgate);
  }

  // The embedding's gradient, and that of the first input.
  void input_gradients(const DecoderTrace& trace, const Tensor& dpre, std::vector<Tensor>& result) const {
    if (!needs(kEmbedding) && !needs(kFirst)) return;
    Tensor dx = make({plan_.total, plan_.embedding});
    tensor::kernels::matmul(dx, plan_.operand(dpre),
                            plan_.operand(weight(0, kWeightIh).slice(1, 0, plan_.embedding)), 1, 0);
    const size_t first_word = plan_.first_input ? 1 : 0;
    if (drops(dropout_.embedding))
      for (size_t t = first_word; t < plan_.n.size(); ++t) {
        Tensor rows = packed_rows(dx, plan_, t);
        tensor::kernels::dropout(rows, rows, dropout_.embedding, draws_.seed, draws_.embedding[t]);
      }
    if (plan_.first_input && needs(kFirst)) result[kFirst] = packed_rows(dx, plan_, 0).clone();
    if (!needs(kEmbedding)) return;
    result[kEmbedding] = Tensor::zeros(kept(kEmbedding).shape(), plan_.dtype, plan_.device);
    const int64_t skipped = plan_.first_input ? plan_.rows : 0;
    tensor::kernels::embedding_backward(result[kEmbedding], dx.slice(0, skipped, plan_.total),
                                        trace.fed.slice(0, skipped, plan_.total));
  }

  Tensor stacked(const std::vector<Tensor>& parts) const {
    Tensor all = make({plan_.layers, plan_.rows, plan_.hidden});
    for (size_t l = 0; l < parts.size(); ++l) all.select(0, static_cast<int64_t>(l)).copy_(parts[l]);
    return all;
  }

  DecoderPlan plan_;
  Tensor image_;
  DecoderDropout dropout_;
  DropoutDraws draws_;
  // Numbers of saves.
  struct SavedLayer {
    int input, gates, h, c;
  };
  std::vector<SavedLayer> layers_;
  int query_, alpha_, context_, gate_, fed_;
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
