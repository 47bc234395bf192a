#include "nn/lstm.h"

#include <cmath>

#include "tensor/error.h"

namespace nn {

using tensor::check;

namespace {

Tensor new_parameter(const Shape& shape, int64_t hidden, Generator& generator) {
  Tensor t = Tensor::empty(shape);
  const double bound = 1 / std::sqrt(static_cast<double>(hidden));
  init::uniform(t, -bound, bound, generator);
  return t;
}

void expect_sizes(const char* layer, int64_t input, int64_t hidden) {
  check(input > 0 && hidden > 0, ErrorKind::argument,
        "{}: input size {} and hidden size {} have to be positive", layer, input, hidden);
}

LstmState zero_state(int64_t n, const Variable& weight_hh) {
  const Shape shape{n, weight_hh.size(1)};
  return {Tensor::zeros(shape, weight_hh.dtype(), weight_hh.device()),
          Tensor::zeros(shape, weight_hh.dtype(), weight_hh.device())};
}

}  // namespace

// --- LSTMCell

LSTMCell::LSTMCell(int64_t input_size, int64_t hidden_size, bool bias, Generator& generator)
    : input_size_((expect_sizes("LSTMCell", input_size, hidden_size), input_size)),
      hidden_size_(hidden_size),
      weight_ih_(register_parameter("weight_ih",
                                    new_parameter({4 * hidden_size, input_size}, hidden_size, generator))),
      weight_hh_(register_parameter("weight_hh",
                                    new_parameter({4 * hidden_size, hidden_size}, hidden_size, generator))),
      bias_ih_(register_parameter(
          "bias_ih", bias ? new_parameter({4 * hidden_size}, hidden_size, generator) : Tensor())),
      bias_hh_(register_parameter(
          "bias_hh", bias ? new_parameter({4 * hidden_size}, hidden_size, generator) : Tensor())) {}

LstmState LSTMCell::forward(const Variable& x, const std::optional<LstmState>& state) {
  const Scope scope(*this);
  return autograd::lstm_cell(x, state ? *state : zero_state(x.size(0), weight_hh_), weight_ih_, weight_hh_,
                             bias_ih_, bias_hh_);
}

std::string LSTMCell::describe() const {
  return tensor::format("LSTMCell({}, {}{})", input_size_, hidden_size_,
                        bias_ih_.defined() ? "" : ", bias=False");
}

// --- LSTM

LSTM::LSTM(int64_t input_size, int64_t hidden_size, const LstmOptions& options, Generator& generator)
    : input_size_(input_size), hidden_size_(hidden_size), options_(options), generator_(&generator) {
  expect_sizes("LSTM", input_size, hidden_size);
  check(options.num_layers > 0, ErrorKind::argument, "LSTM: {} layers, at least 1 is needed",
        options.num_layers);
  check(options.dropout >= 0 && options.dropout < 1, ErrorKind::argument,
        "LSTM: dropout has to be in [0, 1), not {}", options.dropout);
  for (int64_t k = 0; k < options.num_layers; ++k) {
    const auto add = [&](const char* name, const Shape& shape, bool present) -> Variable& {
      return register_parameter(tensor::format("{}_l{}", name, k),
                                present ? new_parameter(shape, hidden_size, generator) : Tensor());
    };
    const int64_t input = k == 0 ? input_size : hidden_size;
    Variable& weight_ih = add("weight_ih", {4 * hidden_size, input}, true);
    Variable& weight_hh = add("weight_hh", {4 * hidden_size, hidden_size}, true);
    Variable& bias_ih = add("bias_ih", {4 * hidden_size}, options.bias);
    Variable& bias_hh = add("bias_hh", {4 * hidden_size}, options.bias);
    layers_.push_back({weight_ih, weight_hh, bias_ih, bias_hh});
  }
}

LstmStates LSTM::zero_states(int64_t n) const {
  LstmStates states;
  for (const Weights& w : layers_) states.push_back(zero_state(n, w.weight_hh));
  return states;
}

LstmStates LSTM::initial(const LstmStates& states, int64_t n) const {
  if (states.empty()) return zero_states(n);
  check(states.size() == layers_.size(), ErrorKind::shape, "LSTM: {} states for {} layers", states.size(),
        layers_.size());
  return states;
}

Variable LSTM::drop(const Variable& x, size_t layer) {
  if (layer + 1 == layers_.size()) return x;
  return autograd::dropout(x, options_.dropout, training(), *generator_);
}

LSTM::Result LSTM::forward(const Variable& x, const LstmStates& states) {
  const Scope scope(*this);
  check(x.rank() == 3 && x.size(2) == input_size_ && x.size(0) > 0, ErrorKind::shape,
        "LSTM: x has to be (t, n, {}) with t >= 1, not {}", input_size_, x.shape());
  Result result{x, initial(states, x.size(1))};
  for (size_t k = 0; k < layers_.size(); ++k) {
    const Weights& w = layers_[k];
    LstmState& state = result.last[k];
    if (composed_) {
      Variables outputs;
      for (int64_t t = 0; t < x.size(0); ++t) {
        state = autograd::lstm_cell_composed(autograd::select(result.outputs, 0, t), state, w.weight_ih,
                                             w.weight_hh, w.bias_ih, w.bias_hh);
        outputs.push_back(state.h);
      }
      result.outputs = autograd::stack(outputs, 0);
    } else {
      autograd::LstmSequence sequence =
          autograd::lstm_sequence(result.outputs, state, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh);
      result.outputs = sequence.outputs;
      state = sequence.last;
    }
    result.outputs = drop(result.outputs, k);
  }
  return result;
}

LstmStates LSTM::step(const Variable& x, const LstmStates& states, bool dropout) {
  const Scope scope(*this);
  check(x.rank() == 2 && x.size(1) == input_size_, ErrorKind::shape,
        "LSTM: a step's x has to be (n, {}), not {}", input_size_, x.shape());
  LstmStates next = initial(states, x.size(0));
  Variable input = x;
  for (size_t k = 0; k < layers_.size(); ++k) {
    const Weights& w = layers_[k];
    next[k] = (composed_ ? autograd::lstm_cell_composed : autograd::lstm_cell)(
        input, next[k], w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh);
    input = dropout ? drop(next[k].h, k) : next[k].h;
  }
  return next;
}

std::string LSTM::describe() const {
  std::string line = tensor::format("LSTM({}, {}", input_size_, hidden_size_);
  if (num_layers() > 1) line += tensor::format(", num_layers={}", num_layers());
  if (!options_.bias) line += ", bias=False";
  if (options_.dropout > 0) line += tensor::format(", dropout={}", options_.dropout);
  return line + ")";
}

}  // namespace nn
