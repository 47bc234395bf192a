#include "imgcap/training/new_words.h"

#include <algorithm>
#include <map>
#include <utility>

#include "tensor/error.h"

namespace imgcap {
namespace {

using tensor::Tensor;

// Where the rows of a grown vocabulary come from: the old one's [first, end), and behind them `added` new ones.
struct Section {
  int64_t first, end, added;
};

// (v, ...) f32 -> (v + all that is added, ...): a new row is the mean of its section's.
Tensor with_rows(const Tensor& weight, const std::vector<Section>& sections) {
  const int64_t width = weight.numel() / weight.size(0);
  tensor::Shape shape = weight.shape();
  for (const Section& section : sections) shape[0] += section.added;
  Tensor grown = Tensor::empty(shape);
  const Tensor dense = weight.contiguous();
  const float* from = dense.data<float>();
  float* to = grown.mutable_data<float>();
  std::vector<double> mean(static_cast<size_t>(width));
  for (const Section& section : sections) {
    const int64_t rows = section.end - section.first;
    std::fill(mean.begin(), mean.end(), 0.0);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < width; ++i) mean[static_cast<size_t>(i)] += from[r * width + i];
    to = std::copy_n(from, rows * width, to);
    from += rows * width;
    for (int64_t r = 0; r < section.added; ++r)
      for (const double sum : mean) *to++ = static_cast<float>(sum / static_cast<double>(rows));
  }
  return grown;
}

// Of each language's captions, the words that the model lacks.
std::map<std::string, std::vector<std::string>> words_to_add(const Vocabulary& known,
                                                             std::span<const LanguageCaptions> captions,
                                                             int64_t min_frequency) {
  std::map<std::string, std::vector<std::string>> result;
  for (LanguageCaptions from : captions) {
    const Language& language = known.language(from.language);
    tensor::check(!result.contains(language.code), tensor::ErrorKind::argument,
                  "new words: the language \"{}\" is there twice", language.code);
    from.rules = language.rules;
    const Vocabulary theirs = Vocabulary::of_languages(std::span(&from, 1), {0, min_frequency, false});
    std::vector<std::string>& added = result[language.code];
    const WordRange words = theirs.languages().front().range;
    for (int64_t id = words.first; id < theirs.size(); ++id)
      if (const std::string& word = theirs.token(id); !known.contains(word, language.code))
        added.push_back(word);
  }
  return result;
}

}  // namespace

std::vector<std::string> add_words(Checkpoint& model, std::span<const LanguageCaptions> captions,
                                   int64_t min_frequency) {
  tensor::check(!captions.empty(), tensor::ErrorKind::data, "new words: there are no captions");
  const Vocabulary known = model.make_vocabulary();
  tensor::check(known.size() > kSpecialTokens, tensor::ErrorKind::data,
                "new words: the model has no words of its own");
  std::map<std::string, std::vector<std::string>> words = words_to_add(known, captions, min_frequency);
  std::vector<std::string> added, tokens(known.tokens().begin(), known.tokens().begin() + kSpecialTokens);
  std::vector<Section> sections = {{0, kSpecialTokens, 0}};
  for (const Language& language : known.languages()) {
    const std::vector<std::string>& own = words[language.code];
    const Section section{sections.back().end, std::min(language.range.end, known.size()), std::ssize(own)};
    tokens.insert(tokens.end(), known.tokens().begin() + section.first, known.tokens().begin() + section.end);
    tokens.insert(tokens.end(), own.begin(), own.end());
    added.insert(added.end(), own.begin(), own.end());
    sections.push_back(section);
  }
  if (added.empty()) return added;
  model.vocabulary = std::move(tokens);
  model.decoder.vocabulary += std::ssize(added);
  for (const char* name : {Decoder::kEmbedding, Decoder::kOutputWeight, Decoder::kOutputBias}) {
    const auto weight = model.weights.find(name);
    if (weight != model.weights.end()) weight->second = with_rows(weight->second, sections);
  }
  return added;
}

}  // namespace imgcap
