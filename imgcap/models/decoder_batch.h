// What both decoders make of a batch before they run it.
#pragma once

#include <vector>

#include "imgcap/models/decoder.h"
#include "nn/linear.h"
#include "nn/lstm.h"

namespace imgcap::internal {

// Errors: shape (names what does not fit the decoder).
void expect_batch(const CaptionBatch& batch, const DecoderConfig& config);

// rows[t] = captions of more than t + shift tokens, for as long as there are any.
std::vector<int64_t> rows_at_steps(const std::vector<int64_t>& lengths, int64_t shift);

// What a loss is made of, packed step after step.
struct PackedTargets {
  Tensor words;    // (total) i64
  Tensor factors;  // (total) f64: of each its caption's weight; undefined where all are 1
};

// words[r, t + shift] for the rows[t] captions that step t runs, with shift 0 or 1.
PackedTargets packed_targets(const CaptionBatch& batch, const std::vector<int64_t>& rows, int64_t shift);

// teacher[t] for each step; the first `always` are fed by the teacher, the others by a coin each.
std::vector<bool> draw_coins(const LossOptions& options, size_t steps, size_t always,
                             tensor::Generator& generator);

inline tensor::Generator& generator_of(const LossOptions& options) {
  return options.generator ? *options.generator : tensor::default_generator();
}

// Dropout, vocabulary layer and cross-entropy of the packed states; rows[t] captions belong to step t.
Variable vocabulary_loss(const Variable& hidden, nn::Linear& fc, const PackedTargets& targets,
                         const std::vector<int64_t>& rows, const DecoderConfig& config, bool train,
                         const LossOptions& options);

// One step of all layers without dropout; the top layer's output.
Tensor advance(nn::LSTM& lstm, DecodingState& state, const Variable& x);

// The layers' weights in the decoder sequence's form.
std::vector<DecoderWeights::Layer> layer_weights(const nn::LSTM& lstm);

}  // namespace imgcap::internal
