// Captions word by word: the likeliest word each time, or a drawn one.
#pragma once

#include <cstdint>
#include <vector>

#include "imgcap/decoding/hypothesis.h"
#include "imgcap/models/decoder.h"
#include "tensor/random.h"

namespace imgcap {

// One caption per image: the likeliest word each time, equals by token. features (m, p, d) -> m captions. One
// that reaches <eos> leaves the batch. Errors as beam_search.
std::vector<Hypothesis> greedy(Decoder& decoder, const Tensor& features, const DecodingOptions& options = {});

struct SamplingOptions : DecodingOptions {
  // Words are drawn from softmax(logits / temperature), of the top_k likeliest (0: all), and of these the
  // fewest that have top_p of the probability together (Holtzman et al. 2020; 1: all).
  double temperature = 1;
  int64_t top_k = 0;
  double top_p = 1;
  int64_t samples = 1;  // captions per image
  bool operator==(const SamplingOptions&) const = default;
};

// m lists of `samples` captions, in the order they were drawn. Hypothesis::log_probability is the model's
// own, whatever the settings. A caption takes one number of its image's generator a step. Images may share
// one: then what is drawn depends on the other images of the batch, too. On a device nobody else may draw from them until the
// call returns, as the numbers are made there.
//
// Errors: those of beam_search, argument (temperature not over 0, top_k < 0, top_p not in (0, 1], samples <
// 1, not one generator per image).
std::vector<std::vector<Hypothesis>> sample(Decoder& decoder, const Tensor& features,
                                            const SamplingOptions& options,
                                            const std::vector<tensor::Generator*>& generators,
                                            const SearchWatch& watch = {});
// With one generator for all.
std::vector<std::vector<Hypothesis>> sample(Decoder& decoder, const Tensor& features,
                                            const SamplingOptions& options, tensor::Generator& generator);

}  // namespace imgcap
