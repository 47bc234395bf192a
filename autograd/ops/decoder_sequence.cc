#include "autograd/decoder_sequence.h"

#include <algorithm>

#include "autograd/autocast.h"
#include "autograd/node.h"
#include "autograd/ops/decoder_plan.h"
#include "tensor/error.h"
#include "tensor/kernels.h"
#include "tensor/packed_matrix.h"

namespace autograd {
namespace {

// Everything of the forward pass that the backward pass reads. Buffers are packed: the rows of step t follow
// those of step t - 1. States have n more rows in front, the initial state, so "the step before" is always
// there.
struct Trace {
  struct Layer {
    Tensor input;  // (total, in): what the layer saw, after dropout
    Tensor gates;  // (total, 4h)
    Tensor h, c;   // (n + total, h)
  };
  std::vector<Layer> layers;
  Tensor query, alpha, context, gate;  // (total, a), (total, p), (total, d) before the gate, (total, d)
  Tensor fed;                          // (total) i64
  std::vector<uint64_t> embedding_offsets, layer_offsets;  // of dropout; layer_offsets[t * layers + l]
  uint64_t seed = 0;
};

Tensor packed_rows(const Tensor& buffer, const DecoderPlan& plan, size_t t) {
  return buffer.slice(0, plan.start[t], plan.start[t] + plan.n[t]);
}

// The states after step t (or, with `before`, what step t starts from), for the rows that step t runs.
Tensor state_rows(const Tensor& buffer, const DecoderPlan& plan, size_t t, bool before) {
  const int64_t first = before ? (t == 0 ? 0 : plan.rows + plan.start[t - 1]) : plan.rows + plan.start[t];
  return buffer.slice(0, first, first + plan.n[t]);
}

using tensor::PackedMatrix;

uint64_t dropout_blocks(const Tensor& x) { return static_cast<uint64_t>((x.numel() + 3) / 4); }

class Forward {
 public:
  Forward(const DecoderWeights& weights, const DecoderInputs& inputs, const DecoderDropout& dropout,
          const DecoderPlan& plan)
      : weights_(weights), inputs_(inputs), dropout_(dropout), plan_(plan) {}

  Trace run() {
    allocate();
    for (size_t t = 0; t < plan_.n.size(); ++t) {
      feed_word(t);
      if (plan_.attention) attend(t);
      for (int l = 0; l < plan_.layers; ++l) run_layer(l, t);
    }
    return std::move(trace_);
  }

 private:
  Tensor make(const Shape& shape, DType dtype) const { return Tensor::empty(shape, dtype, plan_.device); }
  PackedMatrix packed(const Tensor& weight) const { return PackedMatrix(plan_.operand(weight)); }
  // gates += x W^T, where the gates hold the sum of the biases or a former product
  void add_product(Tensor gates, const Tensor& x, const PackedMatrix& weight) const {
    weight.multiply(gates, plan_.operand(x), true);
  }

  void allocate() {
    if (dropout_.train) trace_.seed = generator().seed();
    for (int l = 0; l < plan_.layers; ++l) {
      const DecoderWeights::Layer& weights = weights_.layers[static_cast<size_t>(l)];
      Trace::Layer layer;
      layer.gates = make({plan_.total, 4 * plan_.hidden}, plan_.dtype);
      layer.h = make({plan_.rows + plan_.total, plan_.hidden}, plan_.dtype);
      layer.c = make({plan_.rows + plan_.total, plan_.hidden}, plan_.dtype);
      if (l == 0 || dropout_.layers > 0)
        layer.input = make({plan_.total, weights.weight_ih.size(1)}, plan_.dtype);
      set_initial(layer.h, inputs_.h0, l);
      set_initial(layer.c, inputs_.c0, l);
      Tensor bias = weights.bias_ih.data().clone();
      tensor::kernels::add_inplace(bias, weights.bias_hh.data(), 1);
      biases_.push_back(bias);
      products_.push_back({packed(weights.weight_ih.data().t()), packed(weights.weight_hh.data().t())});
      trace_.layers.push_back(std::move(layer));
    }
    trace_.fed = make({plan_.total}, DType::i64);
    if (!plan_.attention) return;
    trace_.query = make({plan_.total, plan_.width}, plan_.dtype);
    trace_.alpha = make({plan_.total, plan_.places}, plan_.dtype);
    if (plan_.gate) {
      trace_.context = make({plan_.total, plan_.features}, plan_.dtype);
      trace_.gate = make({plan_.total, plan_.features}, plan_.dtype);
    }
    query_ = packed(weights_.query_weight.data().t());
    if (plan_.gate) gate_ = packed(weights_.gate_weight.data().t());
    keys_ = plan_.operand(inputs_.keys.data()).contiguous();
    values_ = plan_.operand(inputs_.values.data()).contiguous();
  }

  void set_initial(Tensor& states, const Variable& initial, int layer) const {
    Tensor rows = states.slice(0, 0, plan_.rows);
    if (initial.defined())
      rows.copy_(initial.data().select(0, layer));
    else
      rows.zero_();
  }

  void feed_word(size_t t) {
    Tensor slot = packed_rows(trace_.layers[0].input, plan_, t).slice(1, 0, plan_.embedding);
    Tensor fed = packed_rows(trace_.fed, plan_, t);
    if (t == 0 && plan_.first_input) {
      slot.copy_(inputs_.first_input.data());
      fed.zero_();
      trace_.embedding_offsets.push_back(0);
      return;
    }
    if (inputs_.teacher[t])
      fed.copy_(inputs_.words.select(1, static_cast<int64_t>(t)).slice(0, 0, plan_.n[t]));
    else
      fed.copy_(pick_words(state_rows(trace_.layers.back().h, plan_, t, true), weights_));
    Tensor embedded = make({plan_.n[t], plan_.embedding}, plan_.dtype);
    tensor::kernels::embedding(embedded, weights_.embedding.data(), fed);
    trace_.embedding_offsets.push_back(drop(embedded, dropout_.embedding));
    slot.copy_(embedded);
  }

  void attend(size_t t) {
    const Tensor state = state_rows(trace_.layers.back().h, plan_, t, true);
    Tensor query = packed_rows(trace_.query, plan_, t), alpha = packed_rows(trace_.alpha, plan_, t);
    query_.multiply(query, plan_.operand(state), false);
    Tensor slot = packed_rows(trace_.layers[0].input, plan_, t)
                      .slice(1, plan_.embedding, plan_.embedding + plan_.features);
    Tensor context = plan_.gate ? packed_rows(trace_.context, plan_, t) : slot;
    tensor::kernels::additive_attention(
        {context, alpha, keys_, values_, query, inputs_.image.slice(0, 0, plan_.n[t]),
         weights_.score_weight.data(),
         weights_.score_bias.defined() ? weights_.score_bias.data() : Tensor()});
    if (!plan_.gate) return;
    Tensor gate = packed_rows(trace_.gate, plan_, t);
    gate.copy_(weights_.gate_bias.data());
    add_product(gate, state, gate_);
    tensor::kernels::unary(gate, gate, tensor::UnaryOp::sigmoid);
    Tensor gated = make({plan_.n[t], plan_.features}, plan_.dtype);
    tensor::kernels::binary(gated, gate, context, tensor::BinaryOp::mul);
    slot.copy_(gated);
  }

  void run_layer(int l, size_t t) {
    Trace::Layer& layer = trace_.layers[static_cast<size_t>(l)];
    const Products& products = products_[static_cast<size_t>(l)];
    Tensor input;
    if (layer.input.defined()) {
      input = packed_rows(layer.input, plan_, t);
      if (l > 0) {
        input.copy_(state_rows(trace_.layers[static_cast<size_t>(l) - 1].h, plan_, t, false));
        trace_.layer_offsets.push_back(drop(input, dropout_.layers));
      }
    } else {
      input = state_rows(trace_.layers[static_cast<size_t>(l) - 1].h, plan_, t, false);
    }
    Tensor gates = packed_rows(layer.gates, plan_, t);
    gates.copy_(biases_[static_cast<size_t>(l)]);
    add_product(gates, input, products.input);
    add_product(gates, state_rows(layer.h, plan_, t, true), products.state);
    Tensor h = state_rows(layer.h, plan_, t, false), c = state_rows(layer.c, plan_, t, false);
    tensor::kernels::lstm_cell(h, c, gates, gates, state_rows(layer.c, plan_, t, true));
  }

  tensor::Generator& generator() const {
    return dropout_.generator ? *dropout_.generator : tensor::default_generator();
  }

  // Drops elements of x in place; the offset that makes the same mask again.
  uint64_t drop(Tensor& x, double p) {
    if (!dropout_.train || p == 0) return 0;
    const uint64_t offset = generator().reserve(dropout_blocks(x));
    tensor::kernels::dropout(x, x, p, trace_.seed, offset);
    return offset;
  }

  const DecoderWeights& weights_;
  const DecoderInputs& inputs_;
  const DecoderDropout& dropout_;
  const DecoderPlan& plan_;
  struct Products {
    PackedMatrix input, state;
  };
  std::vector<Products> products_;  // a layer
  PackedMatrix query_, gate_;
  std::vector<Tensor> biases_;
  Tensor keys_, values_;
  Trace trace_;
};

// The order of the node's inputs.
Variables flatten_inputs(const DecoderWeights& w, const DecoderInputs& x) {
  Variables all = {w.embedding, w.query_weight, w.score_weight, w.score_bias, w.gate_weight, w.gate_bias,
                   x.keys,      x.values,       x.first_input,  x.h0,         x.c0};
  for (const DecoderWeights::Layer& layer : w.layers)
    for (const Variable* v : {&layer.weight_ih, &layer.weight_hh, &layer.bias_ih, &layer.bias_hh})
      all.push_back(*v);
  return all;
}

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
  kLayers
};

class DecoderSequenceBackward final : public OnceDifferentiable {
 public:
  DecoderSequenceBackward(const Variables& inputs, const DecoderPlan& plan, const Tensor& image,
                          const DecoderDropout& dropout, Trace trace)
      : OnceDifferentiable("decoder_sequence"), plan_(plan), image_(image), dropout_(dropout) {
    for (const Variable& input : inputs) save(input);
    // The buffers are saved like inputs, so that they are freed and guarded the same way.
    for (const Trace::Layer& layer : trace.layers)
      for (const Tensor* buffer : {&layer.input, &layer.gates, &layer.h, &layer.c}) save(*buffer);
    for (const Tensor* buffer : {&trace.query, &trace.alpha, &trace.context, &trace.gate, &trace.fed})
      save(*buffer);
    trace_.embedding_offsets = std::move(trace.embedding_offsets);
    trace_.layer_offsets = std::move(trace.layer_offsets);
    trace_.seed = trace.seed;
  }

  std::vector<Tensor> apply_once(const std::vector<Tensor>& gradients) override {
    const Trace trace = unpack();
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
      result[kKeys] = Tensor::zeros(input(kKeys).shape(), plan_.dtype, plan_.device);
      result[kScore] = Tensor::zeros({plan_.width}, plan_.dtype, plan_.device);
      if (input(kScoreBias).defined()) result[kScoreBias] = Tensor::zeros({1}, plan_.dtype, plan_.device);
      if (needs(kValues)) result[kValues] = Tensor::zeros(input(kValues).shape(), plan_.dtype, plan_.device);
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
  Tensor input(int i) const {
    const Variable v = saved(i);
    return v.defined() ? v.data() : Tensor();
  }
  Tensor weight(int layer, int which) const { return input(kLayers + 4 * layer + which); }

  Trace unpack() const {
    Trace trace;
    int next = kLayers + 4 * plan_.layers;
    const auto take = [&] { return input(next++); };
    for (int l = 0; l < plan_.layers; ++l) {
      Trace::Layer layer;
      layer.input = take(), layer.gates = take(), layer.h = take(), layer.c = take();
      trace.layers.push_back(std::move(layer));
    }
    trace.query = take(), trace.alpha = take(), trace.context = take(), trace.gate = take(),
    trace.fed = take();
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
      products.state.push_back(packed(weight(l, 1)));
      products.below.push_back(l == 0 ? PackedMatrix() : packed(weight(l, 0)));
    }
    if (!plan_.attention) return products;
    products.context = packed(weight(0, 0).slice(1, plan_.embedding, plan_.embedding + plan_.features));
    products.query = packed(input(kQuery));
    products.keys = plan_.operand(input(kKeys)).contiguous();
    products.values = plan_.operand(input(kValues)).contiguous();
    if (plan_.gate) products.gate = packed(input(kGate));
    return products;
  }

  void layer_backward(int l, size_t t, const Trace& trace, const Products& products,
                      std::vector<Tensor>& dpre, std::vector<Tensor>& dh, std::vector<Tensor>& dc) const {
    const auto at = static_cast<size_t>(l);
    const Trace::Layer& layer = trace.layers[at];
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
      const size_t offset = t * static_cast<size_t>(plan_.layers - 1) + at - 1;
      tensor::kernels::dropout(dx, dx, dropout_.layers, trace_.seed, trace_.layer_offsets[offset]);
      tensor::kernels::add_inplace(below, dx, 1);
    } else {
      products.below[at].multiply(below, operand, true);
    }
  }

  void attention_backward(size_t t, const Trace& trace, const Products& products,
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
                                                  .v = input(kScore)});
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

  void layer_weights(const Trace& trace, const std::vector<Tensor>& dpre, std::vector<Tensor>& result) const {
    for (int l = 0; l < plan_.layers; ++l) {
      const auto at = static_cast<size_t>(l);
      const Trace::Layer& layer = trace.layers[at];
      const Tensor x = layer.input.defined()
                           ? layer.input
                           : trace.layers[at - 1].h.slice(0, plan_.rows, plan_.rows + plan_.total);
      const size_t first = kLayers + 4 * at;
      if (needs(static_cast<int>(first))) result[first] = weight_gradient(dpre[at], x);
      if (needs(static_cast<int>(first) + 1))
        result[first + 1] = weight_gradient(dpre[at], states_before(layer.h));
      const Tensor bias = sum_rows(dpre[at]);
      result[first + 2] = bias;
      result[first + 3] = bias.clone();
    }
  }

  void attention_weights(const Trace& trace, const Tensor& dquery, const Tensor& dgate,
                         std::vector<Tensor>& result) const {
    const Tensor before = states_before(trace.layers.back().h);
    if (needs(kQuery)) result[kQuery] = weight_gradient(dquery, before);
    if (!plan_.gate) return;
    if (needs(kGate)) result[kGate] = weight_gradient(dgate, before);
    if (needs(kGateBias)) result[kGateBias] = sum_rows(dgate);
  }

  // The embedding's gradient, and that of the first input.
  void input_gradients(const Trace& trace, const Tensor& dpre, std::vector<Tensor>& result) const {
    if (!needs(kEmbedding) && !needs(kFirst)) return;
    Tensor dx = make({plan_.total, plan_.embedding});
    tensor::kernels::matmul(dx, plan_.operand(dpre), plan_.operand(weight(0, 0).slice(1, 0, plan_.embedding)),
                            1, 0);
    const size_t first_word = plan_.first_input ? 1 : 0;
    if (drops(dropout_.embedding))
      for (size_t t = first_word; t < plan_.n.size(); ++t) {
        Tensor rows = packed_rows(dx, plan_, t);
        tensor::kernels::dropout(rows, rows, dropout_.embedding, trace_.seed, trace_.embedding_offsets[t]);
      }
    if (plan_.first_input && needs(kFirst)) result[kFirst] = packed_rows(dx, plan_, 0).clone();
    if (!needs(kEmbedding)) return;
    result[kEmbedding] = Tensor::zeros(input(kEmbedding).shape(), plan_.dtype, plan_.device);
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
  Trace trace_;  // the dropout's offsets only; the buffers are saved
};

}  // namespace

DecoderOutputs decoder_sequence(const DecoderWeights& weights, const DecoderInputs& given,
                                const DecoderDropout& dropout) {
  DecoderInputs inputs = given;
  for (Variable* x : {&inputs.keys, &inputs.values, &inputs.first_input, &inputs.h0, &inputs.c0})
    *x = autocast_f32(*x);  // they come from layers that autocast lowered
  const DecoderPlan plan(weights, inputs);
  Trace trace = Forward(weights, inputs, dropout, plan).run();
  DecoderOutputs outputs;
  outputs.fed = trace.fed;
  const Tensor hidden = trace.layers.back().h.slice(0, plan.rows, plan.rows + plan.total);
  std::vector<Tensor> results = {hidden};
  if (plan.attention) results.push_back(trace.alpha);
  const Variables flat = flatten_inputs(weights, inputs);
  const Variables variables =
      record_all<DecoderSequenceBackward>(results, flat, flat, plan, inputs.image, dropout, std::move(trace));
  outputs.hidden = variables[0];
  if (plan.attention) outputs.alpha = variables[1];
  return outputs;
}

}  // namespace autograd
