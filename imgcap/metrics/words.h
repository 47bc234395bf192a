// Words and n-grams as numbers, so that counting and comparing them is cheap and in a fixed order.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
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

// The n-grams of a sentence.
struct SentenceNgrams {
  int64_t words = 0;
  std::vector<NgramCount> grams;  // of all orders, one behind the other
  std::array<size_t, kMaxOrder + 1> starts{};

  // Of n + 1 words, sorted by id.
  std::span<const NgramCount> order(size_t n) const {
    return std::span(grams).subspan(starts[n], starts[n + 1] - starts[n]);
  }
};

// Numbers for keys, from 1 in the order of first sight. A flat table: a look-up reads one place in memory, which
// prefetch() fetches beforehand, since the n-grams of many captions are more than a processor's caches hold.
class KeyNumbers {
 public:
  uint32_t operator[](uint64_t key);  // a new number for a new key
  uint32_t find(uint64_t key) const;  // 0 for a new key
  void prefetch(uint64_t key) const;
  uint32_t size() const { return size_; }

 private:
  struct Slot {
    uint64_t key;
    uint32_t number;  // 0: empty
  };
  size_t first_place(uint64_t key) const;  // where the search for its slot begins
  size_t place_of(uint64_t key) const;     // its slot, or the empty one where it would be
  void grow();

  std::vector<Slot> slots_;
  int shift_ = 64;
  uint32_t size_ = 0;
};

// Gives every n-gram that it sees a number, in the order of first sight. A text's result depends on what was
// seen before only in these numbers, never in a count.
class NgramTable {
 public:
  SentenceNgrams count(std::string_view text);
  // The same without learning: what is new has numbers above size(), for this text alone.
  SentenceNgrams count_known(std::string_view text) const;
  uint32_t size() const { return ngrams_.size(); }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, uint32_t, Hash, std::equal_to<>> words_;
  KeyNumbers ngrams_;  // of (number of the n-gram less its last word or 0, word)
};

// Calls visit(count in a, count in b) for each n-gram of `a`; the second is 0 where `b` lacks it.
template <class Visit>
void merge_counts(std::span<const NgramCount> a, std::span<const NgramCount> b, Visit&& visit) {
  size_t j = 0;
  for (const NgramCount& gram : a) {
    while (j < b.size() && b[j].id < gram.id) ++j;
    visit(gram, j < b.size() && b[j].id == gram.id ? b[j].count : 0);
  }
}

}  // namespace imgcap
