// Words and n-grams as numbers, so that counting and comparing them is cheap and in a fixed order.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace imgcap {

inline constexpr int kMaxOrder = 4;  // BLEU-4, CIDEr's n

// The words of a text as by Python's str.split(): between runs of white space, Unicode's included. Views into
// `text`.
std::vector<std::string_view> split_words(std::string_view text);

// One n-gram of a sentence and how often it occurs there.
struct NgramCount {
  uint32_t id;
  uint32_t count;
};

// The n-grams of a sentence, by order (index n-1), sorted by id.
struct SentenceNgrams {
  int64_t words = 0;
  std::array<std::vector<NgramCount>, kMaxOrder> orders;
};

// Gives every n-gram that it sees a number, in the order of first sight. A text's result depends on what was
// seen before only in these numbers, never in a count.
class NgramTable {
 public:
  SentenceNgrams count(std::string_view text);
  size_t size() const { return ngrams_.size(); }

 private:
  std::unordered_map<std::string, uint32_t> words_;
  std::unordered_map<uint64_t, uint32_t>
      ngrams_;  // (id of the n-gram less its last word or 0, word) -> id from 1
};

// Calls visit(count in a, count in b) for each n-gram of `a`; the second is 0 where `b` lacks it.
template <class Visit>
void merge_counts(const std::vector<NgramCount>& a, const std::vector<NgramCount>& b, Visit&& visit) {
  size_t j = 0;
  for (const NgramCount& gram : a) {
    while (j < b.size() && b[j].id < gram.id) ++j;
    visit(gram, j < b.size() && b[j].id == gram.id ? b[j].count : 0);
  }
}

}  // namespace imgcap
