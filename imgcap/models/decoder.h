// The caption decoder as training and search see it; attention_decoder.h and plain_decoder.h are the two
// kinds.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "autograd/packed_weights.h"
#include "imgcap/data/vocabulary.h"
#include "imgcap/models/decoder_config.h"
#include "imgcap/models/decoder_sequence/decoder_sequence.h"
#include "nn/linear.h"
#include "nn/lstm.h"
#include "nn/module.h"
#include "tensor/random.h"
#include "tensor/room.h"

namespace imgcap {

using tensor::Device;
using tensor::Shape;

// Captions of a batch of images. Rows are sorted by falling length.
struct CaptionBatch {
  Variable features;  // (m, p, d): p places of the encoder's map, d channels; with a graph where the encoder
                      // is trained, too
  Tensor image;       // (n) i64: row -> image
  Tensor words;       // (n, s) i64: <sos>, words, <eos>, then <pad>
  std::vector<int64_t> lengths;  // n: with <sos> and <eos>, falling
  // What the host knows of `image` and `words`, which may be on a device: pack() tells.
  std::vector<int64_t> images = {};  // as `image`
  int64_t greatest_word = 0;
  // The words again as the decoders take them, step after step, of each those of the captions that are long enough;
  // pack() makes them. Undefined: what a decoder picks out of `words` itself, a copy for each step.
  Tensor targets = {};  // (sum of lengths) i64: of step t word t
  Tensor fed = {};      // (sum of lengths) i64: of step 0 zeros, of step t word t - 1
  // A factor for each caption's terms of the loss, whose mean is still over the tokens; empty: 1.
  std::vector<double> weights = {};
  // The same for each target, where there are weights, made by pack(): (sum of lengths) f64.
  Tensor factors = {};
};

// A caption that is to be a row of a batch.
struct CaptionRow {
  int64_t image = 0;         // which of the batch's
  std::vector<int64_t> ids;  // <sos>, words, <eos>
  double weight = 1;         // of its terms of the loss
};

// The rows as a batch, on the features' device, or, without any, on `device`: in one copy. They are sorted for that by
// falling length, equal ones staying in their order.
CaptionBatch pack(const Variable& features, std::vector<CaptionRow>& rows, const Device& device = {});

struct LossOptions {
  // Probability that a step is fed the caption's word: one coin per step and batch.
  double teacher_forcing = 0.9;
  double label_smoothing = 0;
  bool count_start = false;  // the slot of <sos> is a target, too
  bool composed = false;     // plain ops in place of the fused decoder: slow, for checks
  std::vector<bool> coins;   // given coins instead of drawn ones: coins[k] is for the word after step k
  // The softmax is over what a search of these ranges may produce, without <unk>, <pad> and <sos>: one for each
  // caption, in the batch's order, or one for all; empty: over all tokens.
  std::vector<WordRange> decodable;
  tensor::Generator* generator = nullptr;  // of coins and dropout
};

struct CaptionLoss {
  Variable loss;       // mean over the target tokens
  int64_t tokens = 0;  // how many
};

// What a search carries from step to step, one row a hypothesis.
struct DecodingState {
  std::vector<Tensor> h, c;            // a layer: (n, hidden)
  Tensor keys, values;                 // of the images; attention only
  Tensor image;                        // (n) i64
  Tensor alpha;                        // (n, p): attention of the last step; undefined for the plain model
  std::vector<DecodingState> members;  // of an Ensemble, which has no more of the above than alpha

  // Leaves the given rows (n) i64, in that order; a row may be there any number of times.
  void select(const Tensor& rows);

  // Where select() and step() of a FrozenDecoder and an Ensemble make their tensors, so that a search allocates
  // nothing.
  struct Rooms {
    std::vector<tensor::Room> h, c;  // a layer
    tensor::Room image, alpha, input, query, context, gate, gates, logits, member;
  };
  Rooms rooms{};
};

class Decoder : public nn::Module {
 public:
  explicit Decoder(const DecoderConfig& config) : config_(config) { validate(config); }
  const DecoderConfig& config() const { return config_; }
  // Where its weights are, and what it is given has to be. One without any is the CPU's.
  virtual Device device() const;

  // Forward pass in the module's mode (train or eval).
  virtual CaptionLoss loss(const CaptionBatch& batch, const LossOptions& options) = 0;

  // One row per image, ready for step() with <sos>. features (m, p, d). No graph.
  virtual DecodingState start(const Tensor& features) = 0;
  // Feeds one word per row; the logits (n, vocabulary) of the next. No graph, evaluation arithmetic. In f32
  // the bits of a row depend on that row alone, here and in start() (on a device: of a FrozenDecoder), and several threads
  // may call both at once with states of their own.
  virtual Tensor step(DecodingState& state, const Tensor& words) = 0;
  // What step() ends with: the logits of rows (n, hidden) of the top layer.
  virtual Tensor logits(const Tensor& hidden);

  // A new state with the given rows (DecodingState::select).
  static DecodingState select(const DecodingState& state, const Tensor& rows);

  // Names of the output layer's parameters, (vocabulary, hidden) and (vocabulary), in a state dict. A tied
  // weight is the embedding's, under both names.
  static constexpr const char *kOutputWeight = "fc.weight", *kOutputBias = "fc.bias";
  static constexpr const char* kEmbedding = "embedding.weight";

  std::string describe() const override;

 protected:
  // Training changes the weights at every step: what is laid out is of no more use.
  void mode_changed() override {
    if (training()) packed_.clear();
  }

  static nn::LstmOptions lstm_options(const DecoderConfig& config) {
    return {config.layers, config.layer_dropout, true};
  }
  // Makes the output layer's weight the embedding, and draws it anew.
  void tie_weights(tensor::Generator& generator);

  autograd::PackedWeights packed_;  // of start() and step()

 private:
  DecoderConfig config_;
};

// A decoder with fresh weights.
std::unique_ptr<Decoder> make_decoder(const DecoderConfig& config,
                                      tensor::Generator& generator = tensor::default_generator());

}  // namespace imgcap
