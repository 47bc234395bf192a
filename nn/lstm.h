// Long short-term memory (Hochreiter and Schmidhuber 1997) as in PyTorch: gates in the order input, forget,
// cell, output; two biases; all parameters U(-1/sqrt(hidden), 1/sqrt(hidden)) at first.
#pragma once

#include <optional>

#include "autograd/ops.h"
#include "nn/init.h"
#include "nn/module.h"

namespace nn {

using autograd::LstmState;                  // h and c, each (n, hidden)
using LstmStates = std::vector<LstmState>;  // one a layer, the lowest first

// One step of one layer. Parameters: weight_ih (4h, in), weight_hh (4h, h), bias_ih (4h), bias_hh (4h).
class LSTMCell : public Module {
 public:
  LSTMCell(int64_t input_size, int64_t hidden_size, bool bias = true,
           Generator& generator = tensor::default_generator());

  // x (n, in); without a state: zeros.
  LstmState forward(const Variable& x, const std::optional<LstmState>& state = {});
  LstmState operator()(const Variable& x, const std::optional<LstmState>& state = {}) {
    return forward(x, state);
  }
  std::string describe() const override;

 private:
  int64_t input_size_, hidden_size_;
  Variable& weight_ih_;
  Variable& weight_hh_;
  Variable& bias_ih_;
  Variable& bias_hh_;
};

struct LstmOptions {
  int64_t num_layers = 1;
  double dropout = 0;  // on the outputs of all layers but the last, in training
  bool bias = true;
};

// A stack of layers over sequences. Parameters of layer k: weight_ih_lk (4h, in; above layer 0: 4h, h),
// weight_hh_lk (4h, h), bias_ih_lk (4h), bias_hh_lk (4h). `generator` serves initialisation and dropout and
// has to outlive the module.
class LSTM : public Module {
 public:
  struct Result {
    Variable outputs;  // (t, n, hidden) of the last layer
    LstmStates last;   // of every layer
  };

  LSTM(int64_t input_size, int64_t hidden_size, const LstmOptions& options = {},
       Generator& generator = tensor::default_generator());

  // x (t, n, in), time first, t >= 1; no states: zeros.
  Result forward(const Variable& x, const LstmStates& states = {});
  Result operator()(const Variable& x, const LstmStates& states = {}) { return forward(x, states); }
  // One step, x (n, in): the new states, of which back().h is the output. No states: zeros. Without
  // `dropout` none is applied in training either, as when a model that is trained is asked for words.
  LstmStates step(const Variable& x, const LstmStates& states = {}, bool dropout = true);
  // Zeros for n sequences, of the parameters' dtype and device.
  LstmStates zero_states(int64_t n) const;
  std::string describe() const override;

  // Uses plain ops instead of the fused ones: slow, but can be differentiated twice.
  void set_composed(bool composed) { composed_ = composed; }

  int64_t input_size() const { return input_size_; }
  int64_t hidden_size() const { return hidden_size_; }
  int64_t num_layers() const { return static_cast<int64_t>(layers_.size()); }
  double dropout() const { return options_.dropout; }

  struct Weights {
    Variable& weight_ih;
    Variable& weight_hh;
    Variable& bias_ih;
    Variable& bias_hh;
  };
  const Weights& weights(int64_t layer) const { return layers_.at(static_cast<size_t>(layer)); }

 private:
  // The states to begin with, checked, or zeros.
  LstmStates initial(const LstmStates& states, int64_t n) const;
  Variable drop(const Variable& x, size_t layer);

  int64_t input_size_, hidden_size_;
  LstmOptions options_;
  Generator* generator_;
  bool composed_ = false;
  std::vector<Weights> layers_;
};

}  // namespace nn
