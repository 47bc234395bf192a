// Several decoders that caption together.
#pragma once

#include <memory>
#include <vector>

#include "imgcap/models/decoder.h"

namespace imgcap {

// Each step's next word has the mean of the members' probabilities. The members see the same features and words;
// both kinds may be mixed. The attention is the mean of those that have one. For captions alone; in evaluation
// mode.
class Ensemble final : public Decoder {
 public:
  // config() is that of the first member with attention, or else of the first. Errors: argument (no member;
  // members of other vocabularies' sizes or features, or on other devices).
  explicit Ensemble(std::vector<std::unique_ptr<Decoder>> members);

  CaptionLoss loss(const CaptionBatch& batch,
                   const LossOptions& options) override;  // Errors: argument (always)
  DecodingState start(const Tensor& features) override;
  // The logarithm of the mean probabilities.
  Tensor step(DecodingState& state, const Tensor& words) override;
  Tensor logits(const Tensor& hidden) override;  // Errors: argument (always: no layer is common to all)
  Device device() const override { return members_.front()->device(); }

  std::string describe() const override { return "Ensemble"; }

 private:
  std::vector<Decoder*> members_;
};

}  // namespace imgcap
