// The rules of what captions say, read off whole captions: what searches that keep them are compared with.
#pragma once

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "imgcap/decoding/caption_rules.h"
#include "toy_decoder.h"

namespace tests {

using Tokens = std::vector<int64_t>;

inline std::vector<std::string> split(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

// The special tokens, `pieces`, and words that never come, up to `size`.
inline Vocabulary small_vocabulary(const std::vector<std::string>& pieces, size_t size = 0) {
  std::vector<std::string> tokens = {"<unk>", "<pad>", "<sos>", "<eos>"};
  tokens.insert(tokens.end(), pieces.begin(), pieces.end());
  while (tokens.size() < size) tokens.push_back(" never" + std::to_string(tokens.size()));
  return Vocabulary(tokens);
}

// Random logits of the specials and the first `words` others.
inline Table first_words(int64_t vocabulary, int64_t words, uint64_t seed) {
  const Table dense = dense_table(kSpecialTokens + words, seed, 4, 0.5);
  return [=](int64_t image, int64_t before, int64_t last) {
    std::vector<double> logits = dense(image, before, last);
    logits.resize(static_cast<size_t>(vocabulary), -INFINITY);
    return logits;
  };
}

class Reference {
 public:
  Reference(const Vocabulary& vocabulary, const CaptionRules& rules, int64_t max_words)
      : vocabulary_(vocabulary), rules_(rules), max_words_(max_words) {}

  // Whether a caption may be these tokens, without an end, and end with them.
  bool fits(const Tokens& tokens) const {
    const std::vector<std::string> words = split(text(tokens));
    for (const std::string& word : words)
      if (is_suppressed(word)) return false;
    return std::ssize(words) >= rules_.min_words && says_nothing_twice(tokens) && begins_well(tokens, true);
  }

  // Whether a caption may begin with them, <eos> being the last where it is there. A word more than max_words
  // is not said, but looked at.
  bool may(Tokens tokens) const {
    if (tokens.back() == kEos) {
      tokens.pop_back();
      return fits(tokens);
    }
    std::vector<std::string> words = split(text(tokens));
    // The last word can still become another one by letters.
    const bool over = vocabulary_.token(tokens.back()).front() == ' ';
    if (!words.empty() && !over && std::ssize(tokens) != max_words_) words.pop_back();
    for (const std::string& word : words)
      if (is_suppressed(word)) return false;
    return says_nothing_twice(tokens) && begins_well(tokens, false);
  }

 private:
  std::string text(const Tokens& tokens) const {
    return vocabulary_.decode(std::vector<int32_t>(tokens.begin(), tokens.end()));
  }
  bool is_suppressed(const std::string& word) const {
    return std::count(rules_.suppressed.begin(), rules_.suppressed.end(), word) > 0;
  }

  bool says_nothing_twice(const Tokens& tokens) const {
    const auto n = static_cast<size_t>(rules_.no_repeat_ngram);
    std::vector<std::string> words;
    bool spells = false;
    for (const int64_t token : tokens) {
      const std::string& piece = vocabulary_.token(token);
      if (piece.front() != ' ') {
        if (!spells) words.push_back("#" + std::to_string(words.size()));
      } else if (piece.find_first_not_of(' ') != std::string::npos) {
        words.push_back(piece);
        // Letters behind it do not take back what was said.
        if (is_suppressed(piece.substr(1))) return false;
      }
      spells = piece.front() != ' ';
    }
    std::set<std::vector<std::string>> seen;
    for (size_t i = 0; n > 0 && i + n <= words.size(); ++i)
      if (!seen.emplace(words.begin() + static_cast<std::ptrdiff_t>(i),
                        words.begin() + static_cast<std::ptrdiff_t>(i + n))
               .second)
        return false;
    return true;
  }

  bool begins_well(const Tokens& tokens, bool complete) const {
    for (const bool leads : {false, true}) {
      Tokens wanted = rules_.prefix;
      if (leads && (wanted.empty() || !vocabulary_.contains("  "))) continue;
      if (leads) wanted.insert(wanted.begin(), vocabulary_.id("  "));
      if (std::ssize(wanted) > max_words_ || (complete && tokens.size() < wanted.size())) continue;
      const size_t common = std::min(wanted.size(), tokens.size());
      if (!std::equal(wanted.begin(), wanted.begin() + static_cast<std::ptrdiff_t>(common), tokens.begin()))
        continue;
      const std::string begin = text(wanted), all = text(tokens);
      if (tokens.size() <= wanted.size() || rules_.prefix.empty() || all == begin ||
          all.starts_with(begin + " "))
        return true;
    }
    return false;
  }

  const Vocabulary& vocabulary_;
  const CaptionRules& rules_;
  int64_t max_words_;
};

}  // namespace tests
