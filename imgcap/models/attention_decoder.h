// LSTM decoder with additive attention over the encoder's map. Parameters have the original's names:
// embedding, attention.attention, attention.attn_weights, lstm, fc; and gate, init_h, init_c where they are
// configured.
#pragma once

#include "imgcap/models/decoder.h"
#include "nn/attention.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/lstm.h"

namespace imgcap {

// Step t: x = [embedding(word) ; context], context = attention(features, top h of the step before), LSTM, fc.
class AttentionDecoder final : public Decoder {
 public:
  AttentionDecoder(const DecoderConfig& config, tensor::Generator& generator);

  CaptionLoss loss(const CaptionBatch& batch, const LossOptions& options) override;
  DecodingState start(const Tensor& features) override;
  Tensor step(DecodingState& state, const Tensor& words) override;

 private:
  // h0 and c0 as (layers, m, hidden), or undefined.
  autograd::LstmState initial_state(const Variable& features);
  nn::Linear& add_initial(const std::string& name, tensor::Generator& generator);
  DecoderWeights weights();

  nn::Embedding& embedding_;
  nn::AdditiveAttention& attention_;
  nn::LSTM& lstm_;
  nn::Linear& fc_;
  nn::Linear *gate_, *init_h_, *init_c_;  // null where they are not configured
};

}  // namespace imgcap
