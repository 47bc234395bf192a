#include "imgcap/decoding/caption_search.h"

#include <cmath>

#include "imgcap/decoding/search_steps.h"
#include "tensor/error.h"

namespace imgcap {
namespace {

using tensor::check;
using tensor::ErrorKind;

// The requests `which`, all of one search.
std::vector<std::vector<Hypothesis>> find_equals(Decoder& decoder, const Tensor& features,
                                                 const std::vector<SearchRequest>& requests,
                                                 const std::vector<size_t>& which) {
  const auto request = [&](int64_t image) -> const SearchRequest& {
    return requests[which[static_cast<size_t>(image)]];
  };
  SearchWatch watch;
  for (const size_t i : which) {
    if (requests[i].stop != nullptr)
      watch.stop = [&](int64_t image) { return request(image).stop != nullptr && *request(image).stop; };
    if (requests[i].on_step)
      watch.leading = [&](int64_t image, const std::vector<int64_t>& words) {
        if (request(image).on_step) request(image).on_step(words);
      };
  }
  const CaptionSearch& search = requests[which.front()].search;
  if (const auto* drawn = std::get_if<SamplingOptions>(&search)) {
    std::vector<tensor::Generator*> generators;
    for (const size_t i : which) {
      check(requests[i].generator != nullptr, ErrorKind::argument,
            "find_captions: request {} draws words and has no generator", i);
      generators.push_back(requests[i].generator);
    }
    return sample(decoder, features, *drawn, generators, watch);
  }
  const auto& beam = std::get<BeamOptions>(search);
  return beam.kind == SearchKind::hundred_steps ? hundred_steps_search(decoder, features, beam, watch)
                                                : beam_search(decoder, features, beam, watch);
}

}  // namespace

const DecodingOptions& common_options(const CaptionSearch& search) {
  return std::visit([](const auto& options) -> const DecodingOptions& { return options; }, search);
}

std::vector<std::vector<Hypothesis>> find_captions(Decoder& decoder, const Tensor& features,
                                                   const std::vector<SearchRequest>& requests) {
  check(
      features.defined() && features.rank() == 3 && features.size(0) == static_cast<int64_t>(requests.size()),
      ErrorKind::shape, "find_captions: features {} for {} requests", tensor::describe(features),
      requests.size());
  std::vector<std::vector<Hypothesis>> captions(requests.size());
  std::vector<bool> found(requests.size(), false);
  for (size_t first = 0; first < requests.size(); ++first) {
    if (found[first]) continue;
    std::vector<size_t> equals;
    for (size_t i = first; i < requests.size(); ++i) {
      if (found[i] || requests[i].search != requests[first].search) continue;
      found[i] = true;
      equals.push_back(i);
    }
    const bool all = equals.size() == requests.size();
    auto lists =
        find_equals(decoder, all ? features : internal::rows_of(features, {equals.begin(), equals.end()}),
                    requests, equals);
    for (size_t i = 0; i < equals.size(); ++i) captions[equals[i]] = std::move(lists[i]);
  }
  return captions;
}

std::vector<TextWord> text_words(const std::vector<int64_t>& tokens, const Vocabulary& vocabulary) {
  std::vector<TextWord> words;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < kSpecialTokens) continue;
    const std::string& token = vocabulary.token(tokens[i]);
    // A blank begins a word, and a letter goes on with one.
    if (words.empty() || token.front() == ' ') words.push_back({"", i, i});
    for (const char c : token)
      if (c != ' ') words.back().text += c;
    words.back().end = i + 1;
  }
  std::erase_if(words, [](const TextWord& word) { return word.text.empty(); });
  return words;
}

std::vector<WordProbability> word_probabilities(const Hypothesis& caption, const Vocabulary& vocabulary) {
  std::vector<WordProbability> all;
  for (const TextWord& word : text_words(caption.words, vocabulary)) {
    double probability = 1;
    for (size_t i = word.first; i < word.end; ++i)
      if (caption.words[i] >= kSpecialTokens) probability *= std::exp(caption.token_log_probabilities[i]);
    all.push_back({word.text, probability});
  }
  return all;
}

std::string text_of(const Hypothesis& caption, const Vocabulary& vocabulary, TextForm form) {
  const auto text = [](const std::vector<int64_t>& tokens) {
    return std::vector<int32_t>(tokens.begin(), tokens.end());
  };
  return form == TextForm::tokens ? vocabulary.decode_tokens(text(caption.ids))
                                  : vocabulary.decode(text(caption.words));
}

}  // namespace imgcap
