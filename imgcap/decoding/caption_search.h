// Captions of a batch whose images want different searches, and what is shown of them.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "imgcap/data/vocabulary.h"
#include "imgcap/decoding/beam_search.h"
#include "imgcap/decoding/sampling.h"

namespace imgcap {

// A search of the kind that its options say, or words that are drawn.
using CaptionSearch = std::variant<BeamOptions, SamplingOptions>;

const DecodingOptions& common_options(const CaptionSearch& search);

struct SearchRequest {
  CaptionSearch search = BeamOptions{};
  tensor::Generator* generator = nullptr;   // of words that are drawn; no other request's
  const std::atomic<bool>* stop = nullptr;  // true ends the search before its next step, with what there is
  std::function<void(const std::vector<int64_t>& words)> on_step{};  // SearchWatch::leading
};

// The captions of each image, as beam_search(), hundred_steps_search() and sample() give them for
// requests[i]. features (m, p, d), a request an image. Images of equal settings are searched as one batch.
// What is found for one depends on no other.
//
// Errors as those searches have them, and kind argument for another number of requests, for words to be drawn
// without a generator or by another kind of search. An error of one request ends the call.
std::vector<std::vector<Hypothesis>> find_captions(Decoder& decoder, const Tensor& features,
                                                   const std::vector<SearchRequest>& requests);

// How a caption is written: its words, or all its tokens, <sos> and <eos> included
// (Vocabulary::decode_tokens).
enum class TextForm { words, tokens };
// The form that results of a kind of search are compared in.
constexpr TextForm form_of(SearchKind kind) {
  return kind == SearchKind::standard ? TextForm::words : TextForm::tokens;
}
std::string text_of(const Hypothesis& caption, const Vocabulary& vocabulary, TextForm form = TextForm::words);

struct WordProbability {
  std::string word;
  double probability = 0;
  std::optional<double> confidence{};  // where the model has one fitted (training/confidence.h)
  bool operator==(const WordProbability&) const = default;
};

// The words of a caption's text in words, as blanks part them, and the model's probability of each after those
// before it: of one that is spelled out the product of its letters'.
std::vector<WordProbability> word_probabilities(const Hypothesis& caption, const Vocabulary& vocabulary);

// A word of a caption's text: what of its tokens stands between two blanks, and which tokens these are.
struct TextWord {
  std::string text;
  size_t first = 0, end = 0;
};
// Special tokens and languages' tokens belong to none.
std::vector<TextWord> text_words(const std::vector<int64_t>& tokens, const Vocabulary& vocabulary);

// The words of a caption and, for each, rows x columns weights of where the model looked. Without attention:
// both are empty.
struct AttentionMaps {
  std::vector<std::string> words;
  std::vector<std::vector<float>> maps;
  int64_t rows = 0, columns = 0;
};

}  // namespace imgcap
