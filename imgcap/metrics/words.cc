#include "imgcap/metrics/words.h"

#include <algorithm>

#include "imgcap/data/utf8.h"

namespace imgcap {
namespace {

bool is_python_space(char32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

}  // namespace

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  const char* word = nullptr;
  while (!text.empty()) {
    const char* here = text.data();
    if (is_python_space(take_code_point(text))) {
      if (word != nullptr) words.emplace_back(word, static_cast<size_t>(here - word));
      word = nullptr;
    } else if (word == nullptr) {
      word = here;
    }
    if (text.empty() && word != nullptr) words.emplace_back(word, static_cast<size_t>(text.data() - word));
  }
  return words;
}

SentenceNgrams NgramTable::count(std::string_view text) {
  std::vector<uint32_t> words;
  for (const std::string_view word : split_words(text))
    words.push_back(
        words_.try_emplace(std::string(word), static_cast<uint32_t>(words_.size())).first->second);

  SentenceNgrams result;
  result.words = static_cast<int64_t>(words.size());
  std::vector<uint32_t> prefix(words.size(), 0);  // the n-gram that starts at i, so far
  for (size_t n = 1; n <= kMaxOrder && n <= words.size(); ++n) {
    std::vector<NgramCount>& counts = result.orders[n - 1];
    for (size_t i = 0; i + n <= words.size(); ++i) {
      const uint64_t key = (static_cast<uint64_t>(prefix[i]) << 32) | words[i + n - 1];
      prefix[i] = ngrams_.try_emplace(key, static_cast<uint32_t>(ngrams_.size() + 1)).first->second;
      counts.push_back({prefix[i], 1});
    }
    std::sort(counts.begin(), counts.end(), [](auto& a, auto& b) { return a.id < b.id; });
    size_t kept = 0;
    for (size_t i = 1; i < counts.size(); ++i) {
      if (counts[i].id == counts[kept].id)
        ++counts[kept].count;
      else
        counts[++kept] = counts[i];
    }
    counts.resize(kept + 1);
  }
  return result;
}

}  // namespace imgcap
