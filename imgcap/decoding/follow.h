// A given caption through a decoder: how likely each of its tokens was, and what else was likely there.
#pragma once

#include <cstdint>
#include <vector>

#include "imgcap/decoding/hypothesis.h"
#include "imgcap/models/decoder.h"

namespace imgcap {

struct TokenChance {
  int64_t token = 0;
  double log_probability = 0;  // the model's, natural logarithm
};

struct FollowedCaption {
  Hypothesis caption;  // of the given words, not finished; with its attention, where the decoder has one
  // Before each word, and behind the last: what the range has there and <eos>, the likeliest first.
  std::vector<std::vector<TokenChance>> chances;
};

// features (1, p, d) of one image; words: without <sos> and <eos>, all of the range; `most` chances a step.
//
// Errors: argument (a word that is not of the range, over 100,000 words, a decoder in training mode, a range that the
// vocabulary does not have), shape (features of another shape), data (the decoder gives NaN).
FollowedCaption follow(Decoder& decoder, const Tensor& features, const std::vector<int64_t>& words,
                       const WordRange& range = {}, int64_t most = 10);

}  // namespace imgcap
