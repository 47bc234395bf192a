// Training on the score itself: self-critical sequence training (Rennie et al. 2017,
// https://arxiv.org/abs/1612.00563), with the other samples of a photo in place of the greedy caption as
// baseline (Luo 2020, https://arxiv.org/abs/2003.09971).
#pragma once

#include <cstdint>
#include <vector>

#include "imgcap/decoding/hypothesis.h"
#include "imgcap/metrics/cider.h"
#include "imgcap/models/decoder.h"
#include "imgcap/training/dataset.h"

namespace imgcap {

// Captions that the model draws itself, with what each is worth beside the others of its photo.
struct SampledCaptions {
  // A row's weight is its advantage: its CIDEr minus the mean CIDEr of its photo's others, times the weight of its set.
  CaptionBatch batch;
  std::vector<WordRange> ranges;  // a row of the batch: what it was drawn from; empty: all words
  double reward = 0;              // mean CIDEr of all
};

// Divides the vocabulary layer of a decoder's state dict by `temperature`: below 1 the model draws what it
// holds likely more often, and searches as before. A model that label smoothing has made flat would else
// spend its first epochs on nothing but getting sure, and captions get worse meanwhile. Errors: argument (not
// over 0; tied weights, whose embedding would change as well).
void sharpen(nn::StateDict& weights, const DecoderConfig& config, double temperature);

class SelfCritical {
 public:
  // CIDEr against the captions of `training`, whose n-grams give the document frequencies: of each set its own,
  // as the sets are scored. A photo's reward is the mean over its references, so that one reference gives the
  // same reward on average as five do, only less surely. Its words are the
  // vocabulary's tokens with <eos>: if signs and ends cost nothing, captions learn to break off ("in a . .").
  // `samples` captions of at most `max_words` words are drawn per photo. Errors: argument (samples < 2).
  // `training` has to outlive it.
  SelfCritical(const Dataset& training, int64_t samples, int64_t max_words);

  // Draws for the given photos of the training set, of each in its set's language; features (photos, p, d) as their
  // batch has them. The decoder draws in evaluation mode and is left in it.
  SampledCaptions draw(Decoder& decoder, const Variable& features, const std::vector<int64_t>& photos,
                       tensor::Generator& generator);

  // Mean over the drawn tokens of advantage * -ln p(token): its gradient is that of the expected CIDEr,
  // estimated from the samples, with the sign of a loss. In evaluation mode and over the tokens that can be
  // drawn, since the samples have to be of the policy that learns: tokens that are never drawn are never
  // pushed down, and the probability that drifts to them ruins the rest after some hundred steps. So it is with
  // another language's words.
  static CaptionLoss loss(Decoder& decoder, const SampledCaptions& sampled, tensor::Generator& generator);

 private:
  std::vector<std::vector<Hypothesis>> draw_captions(Decoder& decoder, const Tensor& features,
                                                     const std::vector<int64_t>& photos,
                                                     tensor::Generator& generator) const;
  double reward(int64_t photo, const std::string& caption) const;

  const Dataset& training_;
  std::vector<CiderScorer> scorers_;  // of the sets
  std::vector<size_t> place_;         // of a photo in its set
  int64_t samples_, max_words_;
};

}  // namespace imgcap
