// A caption that was decoded, and the settings that all ways of decoding have.
#pragma once

#include <cstdint>
#include <vector>

#include "imgcap/decoding/caption_rules.h"

namespace imgcap {

struct Hypothesis {
  std::vector<int64_t> words;  // without <sos> and <eos>
  // As a line of text would show it: <sos>, words, <eos> where it is finished. With compat_original, what the
  // original prints: the plain model has to emit <sos> itself.
  std::vector<int64_t> ids;
  double log_probability = 0;  // the model's, natural logarithm: of the words and, where finished, <eos>
  // log_probability / length^length_exponent; the length counts the words and, where finished, <eos>, and is
  // never 0.
  double score = 0;
  bool finished = false;                      // <eos> was reached
  std::vector<std::vector<float>> attention;  // a word: weights of the p places, when asked; empty without
};

struct DecodingOptions {
  int64_t max_words = 30;      // without <sos> and <eos>
  double length_exponent = 1;  // 0: the plain sum, which favours short captions; 1: the mean of a word
  bool attention = false;      // fill in Hypothesis::attention; the plain model has none
  bool allow_unknown = false;  // <unk> may be produced; <pad> and <sos> never are
  // Log-probabilities stay the model's, the prefix's included. A caption that cannot go on stays unfinished.
  CaptionRules rules;
  // As the original program: every token may be produced, the plain model emits <sos> itself, scores are
  // sums, and there are 100 steps; max_words, length_exponent and allow_unknown are not read, and rules are
  // an error.
  bool compat_original = false;
};

}  // namespace imgcap
