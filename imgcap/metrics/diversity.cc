#include "imgcap/metrics/diversity.h"

#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "imgcap/metrics/arguments.h"
#include "imgcap/metrics/scored_words.h"
#include "imgcap/metrics/words.h"
#include "tensor/error.h"
#include "tensor/thread_pool.h"

namespace imgcap {
namespace {

std::vector<std::string> words_of(const std::vector<const std::string*>& texts, const std::string& tokenizer,
                                  const Normalisation& normalisation) {
  std::vector<std::string> words(texts.size());
  tensor::parallel_each(std::ssize(texts), kImagesPerTask, [&](int64_t i) {
    words[static_cast<size_t>(i)] = scored_words(*texts[static_cast<size_t>(i)], tokenizer, normalisation);
  });
  return words;
}

double share(int64_t part, int64_t all) {
  return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
}

void count_ngrams(const std::vector<std::string>& captions, Diversity& result) {
  std::unordered_map<std::string_view, uint32_t> words;
  KeyNumbers bigrams;
  int64_t all_words = 0, all_bigrams = 0;
  for (const std::string& caption : captions) {
    uint32_t last = 0;  // none
    for (const std::string_view word : split_words(caption)) {
      const uint32_t number = words.try_emplace(word, static_cast<uint32_t>(words.size() + 1)).first->second;
      ++all_words;
      if (last != 0) {
        bigrams[uint64_t{last} << 32 | number];
        ++all_bigrams;
      }
      last = number;
    }
  }
  result.distinct_1 = share(std::ssize(words), all_words);
  result.distinct_2 = share(bigrams.size(), all_bigrams);
}

}  // namespace

Diversity diversity(const Candidates& candidates, const std::string& tokenizer,
                    const std::vector<std::string>* training, const Normalisation& normalisation) {
  tensor::check(!candidates.empty(), tensor::ErrorKind::argument, "diversity: no candidates");
  std::vector<const std::string*> texts;
  for (const auto& [image, text] : candidates) texts.push_back(&text);
  const std::vector<std::string> captions = words_of(texts, tokenizer, normalisation);
  Diversity result;
  result.captions = std::ssize(captions);
  result.distinct_captions =
      std::ssize(std::unordered_set<std::string_view>(captions.begin(), captions.end()));
  count_ngrams(captions, result);
  if (training == nullptr) return result;
  texts.clear();
  for (const std::string& text : *training) texts.push_back(&text);
  const std::vector<std::string> seen = words_of(texts, tokenizer, normalisation);
  const std::unordered_set<std::string_view> known(seen.begin(), seen.end());
  int64_t copies = 0;
  for (const std::string& caption : captions) copies += known.contains(caption) ? 1 : 0;
  result.in_training = share(copies, result.captions);
  result.training = std::ssize(seen);
  return result;
}

std::string describe(const Diversity& d) {
  std::string text = tensor::format("distinct-1 {:.4f}, distinct-2 {:.4f}; {} distinct captions of {}",
                                    d.distinct_1, d.distinct_2, d.distinct_captions, d.captions);
  if (d.in_training)
    text += tensor::format("; {:.4f} of all stand in the {} training captions", *d.in_training, d.training);
  return text;
}

void add_diversity(tensor::io::Json& json, const Diversity& d) {
  json["distinct-1"] = d.distinct_1;
  json["distinct-2"] = d.distinct_2;
  json["distinct_captions"] = d.distinct_captions;
  if (!d.in_training) return;
  json["in_training"] = *d.in_training;
  json["training_captions"] = d.training;
}

}  // namespace imgcap
