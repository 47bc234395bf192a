// What a caption must and must not say, whatever the model finds likely.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "imgcap/data/vocabulary.h"

namespace imgcap {

// A word is what stands between blanks in the caption's text (Vocabulary::decode), be it one token or spelled
// out in letters.
struct CaptionRules {
  // No n words follow each other twice in a caption; 0: they may. A word that is spelled out equals no other
  // here: its letters and blanks may come again.
  int64_t no_repeat_ngram = 0;
  int64_t min_words = 0;                // no <eos> before that many words
  std::vector<std::string> suppressed;  // words that no caption has, spelled out or not
  // The tokens of the words that all captions begin with. Where the vocabulary has the blank that begins a
  // caption, the model decides whether it stands before them. No letter follows that would change the last
  // word.
  std::vector<int64_t> prefix;
  std::vector<std::string> tokens;  // the vocabulary's; not read when no rule is given

  bool given() const;
  bool operator==(const CaptionRules&) const = default;
};

// Errors, which begin with `op`: argument (a number below 0, min_words or the prefix over max_words, tokens
// that are not `vocabulary` many, a prefix with special or unknown tokens or one that the other rules
// forbid).
void validate(const CaptionRules& rules, int64_t vocabulary, int64_t max_words, const char* op);

// CaptionRules::prefix from text as captions have it: white space only parts words, letters become small.
// Blank text: no prefix. `language`: its code, where the vocabulary has several. Errors: argument (other text without
// a word, a word that the language's words neither have nor can spell, a language that the vocabulary lacks).
std::vector<int64_t> prefix_tokens(const std::string& text, const Vocabulary& vocabulary,
                                   std::string_view language = {});

// Entries of CaptionRules::suppressed from words that white space parts, in the form that captions have them.
// Errors: argument (text without a word; a word that the tokeniser takes apart ("t-shirt"): none of its parts
// alone may be meant; a language that the vocabulary lacks).
std::vector<std::string> suppressed_words(const std::string& text, const Vocabulary& vocabulary,
                                          std::string_view language = {});

namespace internal {

// Room for so many tokens of a caption is made before a search's first step; longer ones let it grow.
inline constexpr int64_t kUsualWords = 100;

// The rules at work: which tokens may not come next.
class RuleChecker {
 public:
  // `range` as the search has it: two languages may have the same token.
  RuleChecker(const CaptionRules& rules, int64_t max_words, const WordRange& range = {});

  // banned[t] becomes true where token t may not follow these tokens; else it stays.
  void ban(const std::vector<int64_t>& path, std::vector<bool>& banned);

 private:
  struct Piece {
    std::string text;              // without blanks at either end
    bool begins = false;           // with a blank
    bool ends = false;             // with a blank
    bool suppressed_word = false;  // a word as it stands
  };
  struct Said {
    std::vector<int64_t> units;  // a token per word; -1 for each of one that is spelled
    std::string last;            // the word at the end, empty after a blank
    int64_t words = 0;
  };

  // Whether no caption may have the word that these two make.
  bool is_suppressed(std::string_view begin, std::string_view end = {}) const;
  void say(const std::vector<int64_t>& path);  // into said_
  bool ban_but_prefix(const std::vector<int64_t>& path, std::vector<bool>& banned) const;
  void ban_repeats(std::vector<bool>& banned) const;
  void ban_suppressed(bool last, std::vector<bool>& banned) const;

  const CaptionRules& rules_;
  int64_t max_words_;
  std::vector<Piece> pieces_;  // of the tokens
  int64_t lead_ = -1;          // the blank that may come before the prefix
  Said said_;                  // of the path that ban() looks at
};

}  // namespace internal
}  // namespace imgcap
