#include <utility>

#include "autograd/custom_op.h"
#include "imgcap/models/decoder_sequence/trace.h"
#include "tensor/kernels.h"

namespace imgcap {
namespace {

using tensor::DType;
using tensor::PackedMatrix;
using tensor::Shape;

class Forward {
 public:
  Forward(const DecoderWeights& weights, const DecoderInputs& inputs, const DecoderDropout& dropout,
          const DecoderPlan& plan)
      : weights_(weights), inputs_(inputs), dropout_(dropout), plan_(plan) {}

  DecoderTrace run() {
    allocate();
    reserve_masks();
    feed_known();
    for (size_t t = 0; t < plan_.n.size(); ++t) {
      if (!inputs_.teacher[t]) feed_picked(t);
      if (plan_.attention) attend(t);
      for (int l = 0; l < plan_.layers; ++l) run_layer(l, t);
    }
    return std::move(trace_);
  }

 private:
  Tensor make(const Shape& shape, DType dtype) const { return Tensor::empty(shape, dtype, plan_.device); }
  Tensor make(const Shape& shape) const { return make(shape, plan_.dtype); }
  // out += x W^T
  void add_product(Tensor out, const Tensor& x, const PackedMatrix& weight) const {
    weight.multiply(out, plan_.operand(x), true);
  }

  void allocate() {
    for (int l = 0; l < plan_.layers; ++l) {
      const DecoderWeights::Layer& weights = weights_.layers[static_cast<size_t>(l)];
      DecoderTrace::Layer layer;
      layer.gates = make({plan_.total, 4 * plan_.hidden});
      layer.h = make({plan_.rows + plan_.total, plan_.hidden});
      layer.c = make(layer.h.shape());
      if (plan_.has_operands()) layer.h_operand = make(layer.h.shape(), plan_.product);
      if (l == 0 || dropout_.layers > 0)
        layer.input = make({plan_.total, weights.weight_ih.size(1)}, plan_.product);
      set_initial(layer.h, inputs_.h0, l);
      if (plan_.has_operands()) set_initial(layer.h_operand, inputs_.h0, l);
      set_initial(layer.c, inputs_.c0, l);
      Tensor bias = weights.bias_ih.data().clone();
      tensor::kernels::add_inplace(bias, weights.bias_hh.data(), 1);
      if (l == 0)
        bias_ = bias;  // with the words
      else
        layer.gates.copy_(bias);
      // Layer 0 sees a word and a context, which are multiplied apart.
      const Tensor ih = plan_.operand(weights.weight_ih.data()), hh = plan_.operand(weights.weight_hh.data());
      below_.push_back(l == 0 ? PackedMatrix() : plan_.packed(ih.t()));
      state_.push_back(plan_.packed(hh.t()));
      trace_.weights.ih.push_back(ih), trace_.weights.hh.push_back(hh);
      trace_.layers.push_back(std::move(layer));
    }
    const Tensor weight = trace_.weights.ih[0];
    word_ = plan_.packed(weight.slice(1, 0, plan_.embedding).t());
    trace_.fed = make({plan_.total}, DType::i64);
    if (!plan_.attention) return;
    context_ = plan_.packed(weight.slice(1, plan_.embedding, plan_.embedding + plan_.features).t());
    trace_.query = make({plan_.total, plan_.width});
    trace_.alpha = make({plan_.total, plan_.places});
    if (plan_.gate) {
      trace_.context = make({plan_.total, plan_.features});
      trace_.gate = make({plan_.total, plan_.features});
    }
    trace_.weights.query = plan_.operand(weights_.query_weight.data());
    query_ = plan_.packed(trace_.weights.query.t());
    if (plan_.gate) {
      trace_.weights.gate = plan_.operand(weights_.gate_weight.data());
      gate_ = plan_.packed(trace_.weights.gate.t());
    }
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

  // Sizes alone say what each step draws, so all is drawn before the first step, in the order of the steps.
  void reserve_masks() {
    tensor::Generator& generator = dropout_.generator ? *dropout_.generator : tensor::default_generator();
    const auto reserve = [&](int64_t elements, double p) -> uint64_t {
      if (!dropout_.train || p == 0) return 0;
      const tensor::Draw draw = generator.draw(static_cast<uint64_t>((elements + 3) / 4));
      trace_.draws.seed = draw.seed, trace_.draws.origin = draw.origin;
      return draw.offset;
    };
    for (size_t t = 0; t < plan_.n.size(); ++t) {
      const bool word = t > 0 || !plan_.first_input;
      trace_.draws.embedding.push_back(word ? reserve(plan_.n[t] * plan_.embedding, dropout_.embedding) : 0);
      for (int l = 1; l < plan_.layers; ++l)
        trace_.draws.layers.push_back(reserve(plan_.n[t] * plan_.hidden, dropout_.layers));
    }
  }

  void drop(Tensor x, double p, uint64_t offset) const {
    if (dropout_.train && p > 0) tensor::kernels::dropout(x, x, trace_.draws.mask(p, offset));
  }

  Tensor word_slot(size_t t) const {
    return packed_rows(trace_.layers[0].input, plan_, t).slice(1, 0, plan_.embedding);
  }

  // Of steps in a row whose words are known before the first one runs, the words' share of the gates is one
  // product.
  void feed_known() {
    const size_t steps = plan_.n.size();
    for (size_t from = 0, to = 0; from < steps; from = to + 1) {
      for (to = from; to < steps && inputs_.teacher[to];) ++to;
      if (from < to) feed_known(from, to);
    }
  }

  // Steps `from` to before `to`.
  void feed_known(size_t from, size_t to) {
    const int64_t first = plan_.start[from], last = plan_.start[to - 1] + plan_.n[to - 1];
    const Tensor slots = trace_.layers[0].input.slice(0, first, last).slice(1, 0, plan_.embedding);
    // In the weights' type, and without gaps.
    Tensor x = slots.is_contiguous() && !plan_.has_operands() ? slots : make(slots.shape());
    if (inputs_.fed.defined())
      trace_.fed.slice(0, first, last).copy_(inputs_.fed.slice(0, first, last));
    else
      for (size_t t = from; t < to; ++t)
        packed_rows(trace_.fed, plan_, t)
            .copy_(inputs_.words.select(1, static_cast<int64_t>(t)).slice(0, 0, plan_.n[t]));
    const bool given = from == 0 && plan_.first_input;
    if (given) {
      packed_rows(trace_.fed, plan_, 0).zero_();
      x.slice(0, 0, plan_.rows).copy_(inputs_.first_input.data());
    }
    const int64_t words = first + (given ? plan_.rows : 0);
    Tensor embedded = x.slice(0, words - first, last - first);
    tensor::kernels::embedding(embedded, weights_.embedding.data(), trace_.fed.slice(0, words, last));
    for_each_mask(plan_, trace_.draws.embedding, embedded, given ? 1 : from, to,
                  [&](const Tensor& rows, uint64_t offset) { drop(rows, dropout_.embedding, offset); });
    Tensor gates = trace_.layers[0].gates.slice(0, first, last);
    gates.copy_(bias_);
    if (!x.shares_storage(slots)) Tensor(slots).copy_(x);
    add_product(gates, plan_.has_operands() ? slots : x, word_);
  }

  // The word that the step before scores highest.
  void feed_picked(size_t t) {
    Tensor fed = packed_rows(trace_.fed, plan_, t), embedded = make({plan_.n[t], plan_.embedding});
    fed.copy_(pick_words(state_rows(trace_.layers.back().h, plan_, t, true), weights_));
    tensor::kernels::embedding(embedded, weights_.embedding.data(), fed);
    drop(embedded, dropout_.embedding, trace_.draws.embedding[t]);
    Tensor slot = word_slot(t);
    slot.copy_(embedded);
    Tensor gates = packed_rows(trace_.layers[0].gates, plan_, t);
    gates.copy_(bias_);
    add_product(gates, plan_.has_operands() ? slot : embedded, word_);
  }

  void attend(size_t t) {
    const Tensor state = state_rows(trace_.layers.back().state(), plan_, t, true);
    Tensor query = packed_rows(trace_.query, plan_, t), alpha = packed_rows(trace_.alpha, plan_, t);
    query_.multiply(query, state, false);
    Tensor slot = packed_rows(trace_.layers[0].input, plan_, t)
                      .slice(1, plan_.embedding, plan_.embedding + plan_.features);
    Tensor context = plan_.gate ? packed_rows(trace_.context, plan_, t) : slot;
    tensor::kernels::additive_attention(
        {context, alpha, keys_, values_, query, inputs_.image.slice(0, 0, plan_.n[t]),
         weights_.score_weight.data(),
         weights_.score_bias.defined() ? weights_.score_bias.data() : Tensor()});
    if (plan_.gate) {
      Tensor gate = packed_rows(trace_.gate, plan_, t);
      gate.copy_(weights_.gate_bias.data());
      add_product(gate, state, gate_);
      tensor::kernels::unary(gate, gate, tensor::UnaryOp::sigmoid);
      Tensor gated = make({plan_.n[t], plan_.features});
      tensor::kernels::binary(gated, gate, context, tensor::BinaryOp::mul);
      slot.copy_(gated);
    }
    add_product(packed_rows(trace_.layers[0].gates, plan_, t), slot, context_);
  }

  // The gates of layer 0 hold their word's and context's share already, those of others their bias.
  void run_layer(int l, size_t t) {
    const auto at = static_cast<size_t>(l);
    DecoderTrace::Layer& layer = trace_.layers[at];
    Tensor gates = packed_rows(layer.gates, plan_, t);
    if (l > 0) {
      Tensor input = state_rows(trace_.layers[at - 1].state(), plan_, t, false);
      if (layer.input.defined()) {
        input = packed_rows(layer.input, plan_, t);
        drop_below(input, l, t);
      }
      add_product(gates, input, below_[at]);
    }
    const bool from_zeros = t == 0 && !inputs_.h0.defined();
    if (!from_zeros) add_product(gates, state_rows(layer.state(), plan_, t, true), state_[at]);
    tensor::kernels::lstm_cell(
        {.h = state_rows(layer.h, plan_, t, false),
         .c = state_rows(layer.c, plan_, t, false),
         .gates = gates,
         .pre = gates,
         .c_prev = state_rows(layer.c, plan_, t, true),
         .h_operand = plan_.has_operands() ? state_rows(layer.h_operand, plan_, t, false) : Tensor()});
  }

  // h of the layer below after dropout.
  void drop_below(Tensor& input, int l, size_t t) const {
    const Tensor below = state_rows(trace_.layers[static_cast<size_t>(l) - 1].h, plan_, t, false);
    if (!dropout_.train || dropout_.layers == 0) return input.copy_(below);
    Tensor dropped = plan_.has_operands() ? make(below.shape()) : input;
    tensor::kernels::dropout(
        dropped, below, trace_.draws.mask(dropout_.layers, trace_.draws.layers[draw_of_layer(plan_, t, l)]));
    if (plan_.has_operands()) input.copy_(dropped);
  }

  const DecoderWeights& weights_;
  const DecoderInputs& inputs_;
  const DecoderDropout& dropout_;
  const DecoderPlan& plan_;
  std::vector<PackedMatrix> below_, state_;  // a layer
  PackedMatrix word_, context_, query_, gate_;
  Tensor bias_;  // of layer 0
  Tensor keys_, values_;
  DecoderTrace trace_;
};

}  // namespace

DecoderOutputs decoder_sequence(const DecoderWeights& weights, const DecoderInputs& given,
                                const DecoderDropout& dropout) {
  DecoderInputs inputs = given;
  for (Variable* x : {&inputs.first_input, &inputs.h0, &inputs.c0})
    *x = autograd::autocast_f32(*x);  // they come from layers that autocast lowered
  const DecoderPlan plan(weights, inputs);
  DecoderTrace trace = Forward(weights, inputs, dropout, plan).run();
  DecoderOutputs outputs;
  outputs.fed = trace.fed;
  std::vector<Tensor> results = {trace.layers.back().h.slice(0, plan.rows, plan.rows + plan.total)};
  if (plan.attention) results.push_back(trace.alpha);
  const autograd::Variables variables =
      record_decoder_sequence(results, weights, inputs, plan, dropout, std::move(trace));
  outputs.hidden = variables[0];
  if (plan.attention) outputs.alpha = variables[1];
  return outputs;
}

}  // namespace imgcap
