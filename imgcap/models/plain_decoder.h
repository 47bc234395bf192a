// LSTM decoder without attention: the image is the first word. Parameters have the original's names:
// projection, embedding, lstm, fc; and head.0, head.3, which the original keeps in its encoder as
// cnn.ResNet50.fc.
#pragma once

#include "imgcap/models/decoder.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/lstm.h"

namespace imgcap {

// Step 0 is fed projection(head(mean feature)), or, with tanh_image, tanh(image(mean feature)); step 1 <sos>,
// step k the word k - 1. In the original step 0 has the target <sos>, so that the model emits <sos> itself;
// by default it has no target here and <sos> is given.
class PlainDecoder final : public Decoder {
 public:
  PlainDecoder(const DecoderConfig& config, tensor::Generator& generator);

  CaptionLoss loss(const CaptionBatch& batch, const LossOptions& options) override;
  DecodingState start(const Tensor& features) override;
  Tensor step(DecodingState& state, const Tensor& words) override;

 private:
  // The head of the encoder: Linear, ReLU, Dropout(0.5), Linear, ReLU.
  class Head final : public nn::Module {
   public:
    Head(int64_t features, int64_t width, tensor::Generator& generator);
    Variable forward(const Variable& x, tensor::Generator& generator);
    std::string describe() const override { return "Head"; }

   private:
    nn::Linear &first_, &second_;
  };

  Variable image_input(const Variable& features, tensor::Generator& generator);
  DecoderWeights weights();

  // Either image_, or head_ and projection_, turn the image into an input.
  nn::Linear* image_;
  Head* head_;
  nn::Embedding& embedding_;
  nn::Linear* projection_;
  nn::LSTM& lstm_;
  nn::Linear& fc_;
};

}  // namespace imgcap
