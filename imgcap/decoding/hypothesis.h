// A caption that was decoded, and the settings that all ways of decoding have.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "imgcap/decoding/caption_rules.h"

namespace imgcap {

struct Hypothesis {
  std::vector<int64_t> words;  // without <sos> and <eos>
  // As a line of text would show it: <sos> (WordRange::start), words, <eos> where it is finished.
  std::vector<int64_t> ids;
  double log_probability = 0;  // the model's, natural logarithm: of the words and, where finished, <eos>
  // log_probability / length^length_exponent; the length counts the words and, where finished, <eos>, and is
  // never 0.
  double score = 0;
  bool finished = false;  // <eos> was reached
  // The model's, whatever the search: one for each of `words` and, where finished, <eos>.
  std::vector<double> token_log_probabilities;
  std::vector<std::vector<float>> attention;  // a word: weights of the p places, when asked; empty without
};

// How a search is followed, and ended, from outside while it runs; on the thread that searches.
struct SearchWatch {
  // Asked before each step of an image; true ends it with what it has.
  std::function<bool(int64_t image)> stop{};
  // After each step of an image: the words of the hypothesis that leads, the one of best score, finished or
  // open. With a beam over 1 another one may lead after the next step; when words are drawn, it is the first
  // caption.
  std::function<void(int64_t image, const std::vector<int64_t>& words)> leading{};
};

enum class SearchKind {
  standard,       // beam_search()
  hundred_steps,  // hundred_steps_search()
};

struct DecodingOptions {
  int64_t max_words = 30;      // without <sos> and <eos>
  double length_exponent = 1;  // 0: the plain sum, which favours short captions; 1: the mean of a word
  bool attention = false;      // fill in Hypothesis::attention; the plain model has none
  bool allow_unknown = false;  // <unk> may be produced; <pad> and <sos> never are
  WordRange range;             // what captions begin with and are made of: one language's words
  // Log-probabilities stay the model's, the prefix's included. A caption that cannot go on stays unfinished.
  CaptionRules rules;
  SearchKind kind = SearchKind::standard;  // find_captions() looks at it
  bool operator==(const DecodingOptions&) const = default;
};

}  // namespace imgcap
