#include "imgcap/metrics/words.h"

#include <algorithm>
#include <bit>

#include "imgcap/data/utf8.h"

namespace imgcap {
namespace {

bool is_python_space(char32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

// number(key) numbers an n-gram of such a key, prefetch(key) makes that fast.
template <class Prefetch, class Number>
SentenceNgrams count_ngrams(const std::vector<uint32_t>& words, Prefetch prefetch, Number number) {
  SentenceNgrams result;
  result.words = static_cast<int64_t>(words.size());
  std::vector<uint32_t> prefix(words.size(), 0);  // the n-gram that starts at i, so far
  std::vector<uint64_t> keys(words.size());
  std::vector<NgramCount>& grams = result.grams;
  grams.reserve(words.size() * kMaxOrder);
  for (size_t n = 0; n < kMaxOrder; ++n) {
    const size_t start = grams.size(), count = words.size() - std::min(n, words.size());
    for (size_t i = 0; i < count; ++i) {
      keys[i] = (static_cast<uint64_t>(prefix[i]) << 32) | words[i + n];
      prefetch(keys[i]);
    }
    for (size_t i = 0; i < count; ++i) {
      prefix[i] = number(keys[i]);
      grams.push_back({prefix[i], 1});
    }
    std::sort(grams.begin() + static_cast<std::ptrdiff_t>(start), grams.end(),
              [](auto& a, auto& b) { return a.id < b.id; });
    size_t end = start;
    for (size_t i = start; i < grams.size(); ++i) {
      if (end > start && grams[i].id == grams[end - 1].id)
        ++grams[end - 1].count;
      else
        grams[end++] = grams[i];
    }
    grams.resize(end);
    result.starts[n + 1] = end;
  }
  return result;
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

size_t KeyNumbers::first_place(uint64_t key) const {
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15;  // 2^64 / the golden ratio
  const uint64_t mixed = key * kOdd;
  return static_cast<size_t>(((mixed ^ mixed >> 32) * kOdd) >> shift_);
}

size_t KeyNumbers::place_of(uint64_t key) const {
  size_t place = first_place(key);
  while (slots_[place].number != 0 && slots_[place].key != key) place = (place + 1) & (slots_.size() - 1);
  return place;
}

void KeyNumbers::grow() {
  const std::vector<Slot> old = std::move(slots_);
  slots_.assign(std::max<size_t>(64, old.size() * 2), {0, 0});
  shift_ = 64 - std::countr_zero(slots_.size());
  for (const Slot& slot : old)
    if (slot.number != 0) slots_[place_of(slot.key)] = slot;
}

uint32_t KeyNumbers::operator[](uint64_t key) {
  if (size_t{size_} * 3 >= slots_.size() * 2) grow();
  Slot& slot = slots_[place_of(key)];
  if (slot.number == 0) slot = {key, ++size_};
  return slot.number;
}

uint32_t KeyNumbers::find(uint64_t key) const { return slots_.empty() ? 0 : slots_[place_of(key)].number; }

void KeyNumbers::prefetch(uint64_t key) const {
  if (!slots_.empty()) __builtin_prefetch(&slots_[first_place(key)]);
}

SentenceNgrams NgramTable::count(std::string_view text) {
  std::vector<uint32_t> words;
  for (const std::string_view word : split_words(text)) {
    auto known = words_.find(word);
    if (known == words_.end()) known = words_.emplace(word, static_cast<uint32_t>(words_.size())).first;
    words.push_back(known->second);
  }
  return count_ngrams(
      words, [&](uint64_t key) { ngrams_.prefetch(key); }, [&](uint64_t key) { return ngrams_[key]; });
}

SentenceNgrams NgramTable::count_known(std::string_view text) const {
  std::unordered_map<std::string_view, uint32_t> new_words;
  KeyNumbers new_ngrams;
  std::vector<uint32_t> words;
  for (const std::string_view word : split_words(text)) {
    if (const auto known = words_.find(word); known != words_.end())
      words.push_back(known->second);
    else
      words.push_back(
          new_words.try_emplace(word, static_cast<uint32_t>(words_.size() + new_words.size())).first->second);
  }
  return count_ngrams(
      words, [&](uint64_t key) { ngrams_.prefetch(key); },
      [&](uint64_t key) {
        const uint32_t known = ngrams_.find(key);
        return known != 0 ? known : size() + new_ngrams[key];
      });
}

}  // namespace imgcap
