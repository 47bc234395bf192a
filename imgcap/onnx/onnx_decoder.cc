#include "imgcap/onnx/onnx_decoder.h"

#include "tensor/error.h"

namespace imgcap {
namespace {

// The parts that decoders are made of. Weights keep their names and shapes.
class DecoderGraph {
 public:
  DecoderGraph(const Decoder& decoder, const char* name)
      : graph(name), config(decoder.config()), weights_(decoder.state_dict()) {}

  Tensor tensor_of(const std::string& name) const {
    const auto found = weights_.find(name);
    tensor::check(found != weights_.end(), tensor::ErrorKind::internal, "onnx: the decoder has no {}", name);
    return found->second;
  }
  std::string weight(const std::string& name) { return graph.weight(name, tensor_of(name)); }

  // x W^T + b: x (batch, in)
  std::string linear(const std::string& x, const std::string& layer) {
    return linear(x, weight(layer + ".weight"), layer + ".bias");
  }
  std::string linear(const std::string& x, const std::string& matrix, const std::string& bias) {
    return graph.node("Gemm", {x, matrix, weight(bias)}, {{"transB", int64_t{1}}});
  }
  std::string activated(const char* op, const std::string& x) { return graph.node(op, {x}); }

  std::string row(const std::string& states, int64_t layer) {  // (layers, batch, hidden) -> (batch, hidden)
    return graph.node("Gather", {states, graph.integer(layer)}, {{"axis", int64_t{0}}});
  }
  std::string stacked(const std::vector<std::string>& rows) {
    std::vector<std::string> parts;
    for (const std::string& part : rows)
      parts.push_back(graph.node("Unsqueeze", {part, graph.integers({0})}));
    return graph.node("Concat", parts, {{"axis", int64_t{0}}});
  }

  struct State {
    std::vector<std::string> h, c;  // a layer: (batch, hidden)
  };
  // One step of all layers: gates i, f, g, o; c' = f c + i g; h' = o tanh(c').
  State lstm(std::string x, const std::string& h, const std::string& c) {
    State next;
    for (int64_t l = 0; l < config.layers; ++l) {
      const std::string suffix = tensor::format("_l{}", l);
      const auto product = [&](const std::string& value, const std::string& which) {
        return linear(value, weight("lstm.weight_" + which + suffix), "lstm.bias_" + which + suffix);
      };
      const std::string sum = graph.node("Add", {product(x, "ih"), product(row(h, l), "hh")});
      const auto gates = graph.nodes("Split", {sum}, 4, {{"axis", int64_t{1}}});
      const std::string keep = graph.node("Mul", {activated("Sigmoid", gates[1]), row(c, l)});
      const std::string add =
          graph.node("Mul", {activated("Sigmoid", gates[0]), activated("Tanh", gates[2])});
      next.c.push_back(graph.node("Add", {keep, add}));
      x = graph.node("Mul", {activated("Sigmoid", gates[3]), activated("Tanh", next.c.back())});
      next.h.push_back(x);
    }
    return next;
  }

  // (batch, places, channels) -> (batch, channels)
  std::string mean(const std::string& features) {
    return graph.node("ReduceMean", {features},
                      {{"axes", std::vector<int64_t>{1}}, {"keepdims", int64_t{0}}});
  }
  // (layers, batch, hidden) of zeros.
  std::string zeros(const std::string& features) {
    const std::string batch =
        graph.node("Gather", {graph.node("Shape", {features}), graph.integers({0})}, {{"axis", int64_t{0}}});
    return graph.node(
        "ConstantOfShape",
        {graph.node("Concat", {graph.integers({config.layers}), batch, graph.integers({config.hidden})},
                    {{"axis", int64_t{0}}})});
  }

  std::string features() { return graph.input("features", {"batch", "places", config.features}); }
  OnnxShape state_shape() const { return {config.layers, "batch", config.hidden}; }

  OnnxGraph graph;
  const DecoderConfig config;

 private:
  nn::StateDict weights_;
};

struct Attended {
  std::string context, alpha;
};

// score_i = w . tanh(W_f f_i + b + W_h h) + b', alpha = softmax(score), context = sum alpha_i f_i
Attended attend(DecoderGraph& d, const std::string& features, const std::string& top) {
  const Tensor matrix = d.tensor_of("attention.attention.weight");
  const int64_t channels = d.config.features;
  const std::string of_features = d.graph.weight(
      "attention.features.weight", matrix.slice(1, 0, channels).transpose(0, 1));  // (channels, attention)
  const std::string of_query =
      d.graph.weight("attention.query.weight", matrix.slice(1, channels, matrix.size(1)).transpose(0, 1));
  const std::string keys = d.graph.node(
      "Add", {d.graph.node("MatMul", {features, of_features}), d.weight("attention.attention.bias")});
  const std::string query =
      d.graph.node("Unsqueeze", {d.graph.node("MatMul", {top, of_query}), d.graph.integers({1})});
  const std::string hidden = d.graph.node("Tanh", {d.graph.node("Add", {keys, query})});
  const std::string w =
      d.graph.weight("attention.attn_weights.column",
                     d.tensor_of("attention.attn_weights.weight").transpose(0, 1));  // (attention, 1)
  const std::string scores =
      d.graph.node("Add", {d.graph.node("MatMul", {hidden, w}), d.weight("attention.attn_weights.bias")});
  const std::string alpha = d.graph.node(
      "Softmax", {d.graph.node("Squeeze", {scores, d.graph.integers({2})})}, {{"axis", int64_t{-1}}});
  const std::string sum =
      d.graph.node("MatMul", {d.graph.node("Unsqueeze", {alpha, d.graph.integers({1})}), features});
  std::string context = d.graph.node("Squeeze", {sum, d.graph.integers({1})});
  if (d.config.gate) context = d.graph.node("Mul", {context, d.activated("Sigmoid", d.linear(top, "gate"))});
  return {context, alpha};
}

}  // namespace

OnnxGraph onnx_decoder_start(const Decoder& decoder) {
  DecoderGraph d(decoder, "decoder_start");
  const std::string features = d.features();
  std::string h, c;
  if (d.config.kind == DecoderKind::plain) {
    const std::string mean = d.mean(features);
    const std::string image =
        d.config.tanh_image
            ? d.activated("Tanh", d.linear(mean, "image"))
            : d.linear(d.activated("Relu", d.linear(d.activated("Relu", d.linear(mean, "head.0")), "head.3")),
                       "projection");
    const std::string zeros = d.zeros(features);
    const auto state = d.lstm(image, zeros, zeros);
    h = d.stacked(state.h), c = d.stacked(state.c);
  } else if (d.config.initial_state) {
    const std::string mean = d.mean(features);
    const auto state = [&](const char* layer) {
      const std::string all = d.activated("Tanh", d.linear(mean, layer));  // (batch, layers * hidden)
      const std::string rows =
          d.graph.node("Reshape", {all, d.graph.integers({0, d.config.layers, d.config.hidden})});
      return d.graph.node("Transpose", {rows}, {{"perm", std::vector<int64_t>{1, 0, 2}}});
    };
    h = state("init_h"), c = state("init_c");
  } else {
    h = c = d.zeros(features);
  }
  d.graph.output("h0", h, d.state_shape());
  d.graph.output("c0", c, d.state_shape());
  return std::move(d.graph);
}

OnnxGraph onnx_decoder_step(const Decoder& decoder) {
  DecoderGraph d(decoder, "decoder_step");
  const bool attention = d.config.kind == DecoderKind::attention;
  const std::string features = attention ? d.features() : "";
  const std::string word = d.graph.input("word", {"batch"}, tensor::DType::i64);
  const std::string h = d.graph.input("h", d.state_shape()), c = d.graph.input("c", d.state_shape());
  std::string x = d.graph.node("Gather", {d.weight("embedding.weight"), word}, {{"axis", int64_t{0}}});
  Attended attended;
  if (attention) {
    attended = attend(d, features, d.row(h, d.config.layers - 1));
    x = d.graph.node("Concat", {x, attended.context}, {{"axis", int64_t{1}}});
  }
  const auto state = d.lstm(x, h, c);
  // A tied matrix is one weight with two readers.
  const std::string matrix = d.weight(d.config.tie_weights ? Decoder::kEmbedding : Decoder::kOutputWeight);
  const std::string logits = d.linear(state.h.back(), matrix, Decoder::kOutputBias);
  d.graph.output("log_probabilities", d.graph.node("LogSoftmax", {logits}, {{"axis", int64_t{-1}}}),
                 {"batch", d.config.vocabulary});
  d.graph.output("next_h", d.stacked(state.h), d.state_shape());
  d.graph.output("next_c", d.stacked(state.c), d.state_shape());
  if (attention) d.graph.output("attention", attended.alpha, {"batch", "places"});
  return std::move(d.graph);
}

}  // namespace imgcap
