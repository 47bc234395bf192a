// A decoder for captions alone, as FrozenCnn is an encoder for features alone: its weights stay as narrow as
// their file has them, and start() and step() run kernels without any graph. What the decoder of the config's
// kind gives for the widened weights, on the CPU to the bit.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "imgcap/models/decoder.h"
#include "tensor/narrow_matrix.h"

namespace imgcap {

// By the names of a decoder's state dict; vectors have no scales.
using StoredWeights = std::map<std::string, tensor::StoredWeight>;

// A decoder's own, its matrices rounded to `dtype`: f32, f16 or bf16.
StoredWeights stored_weights(const Decoder& decoder, tensor::DType dtype = tensor::DType::f32);

class FrozenDecoder final : public Decoder {
 public:
  // On `device` from then on; `weights` may be elsewhere. Errors: data (as load_state_dict(): what is missing or does not
  // fit; a weight that is not finite), device (it is not there).
  FrozenDecoder(const DecoderConfig& config, const StoredWeights& weights, Device device = {});

  CaptionLoss loss(const CaptionBatch& batch,
                   const LossOptions& options) override;  // Errors: argument (always)
  DecodingState start(const Tensor& features) override;
  Tensor step(DecodingState& state, const Tensor& words) override;
  Tensor logits(const Tensor& hidden) override;
  Device device() const override { return output_.bias.device(); }

  std::string describe() const override { return "FrozenDecoder"; }

 private:
  struct Linear {
    tensor::NarrowMatrix weight;
    Tensor bias;  // undefined: none

    Tensor operator()(const Tensor& x) const;  // (n, in) -> (n, out)
    Tensor operator()(const Tensor& x, tensor::Room& room) const;
  };
  struct Layer {
    tensor::NarrowMatrix ih, hh;
    Tensor bias;  // the sum of both
  };

  // All layers of the LSTM; the top one's output.
  Tensor advance(DecodingState& state, const Tensor& x) const;
  Tensor attend(DecodingState& state) const;  // the context, gated
  Tensor image_input(const Tensor& features) const;

  tensor::StoredWeight embedding_;
  std::vector<Layer> lstm_;
  Linear output_;
  // Of the attention decoder.
  std::optional<Linear> keys_, query_, gate_, init_h_, init_c_;
  Tensor score_weight_, score_bias_;
  // Of the plain one, which has the first or the others.
  std::optional<Linear> image_, head_, head_out_, projection_;
};

}  // namespace imgcap
