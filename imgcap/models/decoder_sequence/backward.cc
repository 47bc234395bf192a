#include "autograd/custom_op.h"
#include "imgcap/models/decoder_sequence/trace.h"
#include "tensor/kernels.h"

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
    for (size_t l = 0; l < trace.layers.size(); ++l) {
      const DecoderTrace::Layer& layer = trace.layers[l];
      layers_.push_back({save(layer.input), save(layer.gates), save(layer.h), save(layer.c),
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
    const DecoderTrace trace = unpack();
    const Products products = pack_weights(trace.weights);
    std::vector<Tensor> result = zero_result();
    Sweep sweep = start_sweep(gradients);
    for (size_t t = plan_.n.size(); t-- > 0;) {
      if (sweep.dhidden.defined()) {
        Tensor top = sweep.dh.back().slice(0, 0, plan_.n[t]);
        tensor::kernels::add_inplace(top, packed_rows(sweep.dhidden, plan_, t), 1);
      }
      for (int l = plan_.layers; l-- > 0;) layer_backward(l, t, trace, products, sweep);
      if (plan_.attention) attention_backward(t, trace, products, sweep, result);
    }
    layer_weights(trace, sweep, result);
    if (plan_.attention) attention_weights(trace, sweep, result);
    input_gradients(trace, sweep.operand[0], result);
    if (needs(kH0)) result[kH0] = stacked(sweep.dh);
    if (needs(kC0)) result[kC0] = stacked(sweep.dc);
    for (size_t i = 0; i < result.size(); ++i)
      result[i] =
          needs(static_cast<int>(i)) && result[i].defined() ? result[i].to(input_metas()[i].dtype) : Tensor();
    return result;
  }

 private:
  Tensor make(const Shape& shape) const { return Tensor::empty(shape, plan_.dtype, plan_.device); }
  Tensor zeros(const Shape& shape) const { return Tensor::zeros(shape, plan_.dtype, plan_.device); }
  Tensor kept(int i) const {
    const Variable v = saved(i);
    return v.defined() ? v.data() : Tensor();
  }

  DecoderTrace unpack() const {
    DecoderTrace trace;
    for (const SavedLayer& layer : layers_) {
      trace.layers.push_back({kept(layer.input), kept(layer.gates), kept(layer.h), kept(layer.c)});
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
    return trace;
  }

  bool drops(double p) const { return dropout_.train && p > 0; }

  // What goes back through time.
  struct Sweep {
    Tensor dhidden, dalpha;       // of the outputs, packed; may be undefined
    std::vector<Tensor> dpre;     // a layer: of the gates before their activation, packed
    std::vector<Tensor> operand;  // the same as the operand of products
    std::vector<Tensor> dh, dc;   // a layer: of the states of the step that is next, (rows, hidden)
    Tensor dquery, dgate;         // packed
  };

  Sweep start_sweep(const std::vector<Tensor>& gradients) const {
    Sweep sweep;
    sweep.dhidden = gradients[0];
    for (int l = 0; l < plan_.layers; ++l) {
      sweep.dpre.push_back(make({plan_.total, 4 * plan_.hidden}));
      sweep.operand.push_back(plan_.product == plan_.dtype
                                  ? sweep.dpre.back()
                                  : Tensor::empty(sweep.dpre.back().shape(), plan_.product, plan_.device));
      sweep.dh.push_back(zeros({plan_.rows, plan_.hidden}));
      sweep.dc.push_back(zeros({plan_.rows, plan_.hidden}));
    }
    if (!plan_.attention) return sweep;
    if (gradients[1].defined()) sweep.dalpha = gradients[1].contiguous();
    sweep.dquery = make({plan_.total, plan_.width});
    if (plan_.gate) sweep.dgate = make({plan_.total, plan_.features});
    return sweep;
  }

  // The inputs' gradients, with zeros where steps add to them.
  std::vector<Tensor> zero_result() const {
    std::vector<Tensor> result(next_edges().size());
    if (!plan_.attention) return result;
    result[kKeys] = zeros(kept(kKeys).shape());
    result[kScore] = zeros({plan_.width});
    if (kept(kScoreBias).defined()) result[kScoreBias] = zeros({1});
    if (needs(kValues)) result[kValues] = zeros(kept(kValues).shape());
    return result;
  }

  // The weights that every step multiplies by.
  struct Products {
    std::vector<PackedMatrix> state, below;  // a layer; no `below` for the first
    PackedMatrix context, gate, query;
    Tensor keys, values;
  };

  Products pack_weights(const OperandWeights& weights) const {
    Products products;
    for (int l = 0; l < plan_.layers; ++l) {
      const auto at = static_cast<size_t>(l);
      products.state.push_back(plan_.packed(weights.hh[at]));
      products.below.push_back(l == 0 ? PackedMatrix() : plan_.packed(weights.ih[at]));
    }
    if (!plan_.attention) return products;
    products.context =
        plan_.packed(weights.ih[0].slice(1, plan_.embedding, plan_.embedding + plan_.features));
    products.query = plan_.packed(weights.query);
    products.keys = plan_.operand(kept(kKeys)).contiguous();
    products.values = plan_.operand(kept(kValues)).contiguous();
    if (plan_.gate) products.gate = plan_.packed(weights.gate);
    return products;
  }

  // Whether the state that step t starts from has a use for its gradient.
  bool goes_back(size_t t) const { return t > 0 || needs(kH0); }

  void layer_backward(int l, size_t t, const DecoderTrace& trace, const Products& products,
                      Sweep& sweep) const {
    const auto at = static_cast<size_t>(l);
    const DecoderTrace::Layer& layer = trace.layers[at];
    const int64_t n = plan_.n[t];
    Tensor dpre_t = packed_rows(sweep.dpre[at], plan_, t), dh_t = sweep.dh[at].slice(0, 0, n),
           dc_t = sweep.dc[at].slice(0, 0, n);
    tensor::kernels::lstm_cell_backward({dpre_t, dc_t, dh_t, dc_t, packed_rows(layer.gates, plan_, t),
                                         state_rows(layer.c, plan_, t, false),
                                         state_rows(layer.c, plan_, t, true)});
    Tensor operand = packed_rows(sweep.operand[at], plan_, t);
    if (plan_.product != plan_.dtype) operand.copy_(dpre_t);
    if (goes_back(t)) products.state[at].multiply(dh_t, operand, false);  // now of the step before
    if (l == 0) return;
    Tensor below = sweep.dh[at - 1].slice(0, 0, n);
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

  void attention_backward(size_t t, const DecoderTrace& trace, const Products& products, Sweep& sweep,
                          std::vector<Tensor>& result) const {
    const int64_t n = plan_.n[t];
    Tensor dcontext = make({n, plan_.features});
    products.context.multiply(dcontext, packed_rows(sweep.operand[0], plan_, t), false);
    Tensor dstate = sweep.dh.back().slice(0, 0, n);
    if (plan_.gate) {
      // gated = s(z) context:  dz = dgated context s (1 - s),  dcontext = dgated s
      const Tensor s = packed_rows(trace.gate, plan_, t);
      Tensor dz = packed_rows(sweep.dgate, plan_, t), slope = make(s.shape());
      tensor::kernels::affine(slope, s, -1, 1);
      tensor::kernels::binary(slope, slope, s, tensor::BinaryOp::mul);
      tensor::kernels::binary(dz, dcontext, packed_rows(trace.context, plan_, t), tensor::BinaryOp::mul);
      tensor::kernels::binary(dz, dz, slope, tensor::BinaryOp::mul);
      tensor::kernels::binary(dcontext, dcontext, s, tensor::BinaryOp::mul);
      if (goes_back(t)) products.gate.multiply(dstate, plan_.operand(dz), true);
    }
    Tensor dquery = packed_rows(sweep.dquery, plan_, t);
    const Tensor dalpha = sweep.dalpha.defined() ? packed_rows(sweep.dalpha, plan_, t) : Tensor();
    tensor::kernels::additive_attention_backward({.dquery = dquery,
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
    if (goes_back(t)) products.query.multiply(dstate, plan_.operand(dquery), true);
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

  void layer_weights(const DecoderTrace& trace, const Sweep& sweep, std::vector<Tensor>& result) const {
    for (int l = 0; l < plan_.layers; ++l) {
      const auto at = static_cast<size_t>(l);
      const DecoderTrace::Layer& layer = trace.layers[at];
      const Tensor x = layer.input.defined()
                           ? layer.input
                           : trace.layers[at - 1].h.slice(0, plan_.rows, plan_.rows + plan_.total);
      const auto gradient = [&](LayerInput which) -> Tensor& {
        return result[static_cast<size_t>(layer_input(l, which))];
      };
      if (needs(layer_input(l, kWeightIh))) gradient(kWeightIh) = weight_gradient(sweep.operand[at], x);
      if (needs(layer_input(l, kWeightHh)))
        gradient(kWeightHh) = weight_gradient(sweep.operand[at], states_before(layer.h));
      const Tensor bias = sum_rows(sweep.dpre[at]);
      gradient(kBiasIh) = bias;
      gradient(kBiasHh) = bias.clone();
    }
  }

  void attention_weights(const DecoderTrace& trace, const Sweep& sweep, std::vector<Tensor>& result) const {
    const Tensor before = states_before(trace.layers.back().h);
    if (needs(kQuery)) result[kQuery] = weight_gradient(sweep.dquery, before);
    if (!plan_.gate) return;
    if (needs(kGate)) result[kGate] = weight_gradient(sweep.dgate, before);
    if (needs(kGateBias)) result[kGateBias] = sum_rows(sweep.dgate);
  }

  // The embedding's gradient, and that of the first input.
  void input_gradients(const DecoderTrace& trace, const Tensor& dpre, std::vector<Tensor>& result) const {
    if (!needs(kEmbedding) && !needs(kFirst)) return;
    Tensor dx = make({plan_.total, plan_.embedding});
    tensor::kernels::matmul(dx, dpre, trace.weights.ih[0].slice(1, 0, plan_.embedding), 1, 0);
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
    int input, gates, h, c, weight_ih, weight_hh;
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
