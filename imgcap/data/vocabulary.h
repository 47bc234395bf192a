// The words that a model knows, their numbers, and text from numbers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "imgcap/data/text_rules.h"

namespace imgcap {

inline constexpr int32_t kUnk = 0;  // <unk>: a word or character without a number of its own
inline constexpr int32_t kPad = 1;  // <pad>: fills up the rows of a batch
inline constexpr int32_t kSos = 2;  // <sos>: begins every caption
inline constexpr int32_t kEos = 3;  // <eos>: ends every caption
inline constexpr int32_t kSpecialTokens = 4;

// Which tokens a caption is made of, between the one that begins it and <eos>.
struct WordRange {
  int64_t start = kSos;  // in <sos>'s place
  int64_t first = kSpecialTokens;
  int64_t end = kAllTokens;  // behind the last one

  static constexpr int64_t kAllTokens = std::numeric_limits<int64_t>::max();
  bool has(int64_t token) const { return token >= first && token < end; }
  bool operator==(const WordRange&) const = default;
};

// One of a vocabulary's languages.
struct Language {
  std::string code;  // ISO 639-1, two letters a-z; empty: the only one, which has no name
  TextRules rules;   // how its captions become words
  WordRange range;   // its words; they begin with its token, <en>
};

// Whether text is such a code.
bool is_language_code(std::string_view text);
// Whether a vocabulary of these tokens has languages with names.
bool names_languages(const std::vector<std::string>& tokens);

struct VocabularyOptions {
  int64_t max_words = 4065;   // the most frequent ones of each language, ties by code point; 0: no limit
  int64_t min_frequency = 5;  // rarer words are left out
  bool character_fallback =
      true;  // append a..z and ' ', with which encode() spells an unknown word; not where
             // words are Unicode's (TextRules): those letters would spell few of them
};

// What a vocabulary's part is made from.
struct LanguageCaptions {
  std::string language;
  TextRules rules;
  std::vector<std::string> captions;
};

// Token strings are the original's: a word has one space before it (" man"; the blank that begins a caption
// is two spaces), a letter or space to spell with stands bare.
//
// A vocabulary of languages has a section for each: its token (<en>), which begins its captions in <sos>'s place,
// and its words. The first token stands behind the four special ones, and a section ends where the next one
// begins, so the list of tokens says it all. A token is there once in a section; two may have the same.
class Vocabulary {
 public:
  // Counts the tokens of the captions and keeps those that the options ask for. Errors: argument (a negative
  // option), data (no captions).
  static Vocabulary build(std::span<const std::string> captions, const VocabularyOptions& options = {});
  // A section for each language; one alone may be without a code. Errors as above, data (a code that is none or
  // there twice).
  static Vocabulary of_languages(std::span<const LanguageCaptions> languages,
                                 const VocabularyOptions& options = {});

  // Exactly these tokens. `rules` by code; where a language has none there, default_rules(). Errors: data (they
  // do not begin with the four special ones, or one of them is empty, longer than kMaxTokenBytes, no UTF-8, or
  // twice in a section; with languages: a token in angle brackets that is none, or a second section of one;
  // rules of a language that is not there).
  explicit Vocabulary(std::vector<std::string> tokens, const std::map<std::string, TextRules>& rules = {});

  // JSON Lines: one JSON string a line, in index order. Errors are "name:line: ..." of kind data, or io for
  // the file. `name` stands for the file in messages.
  static Vocabulary from_jsonl(std::string_view text, const std::string& name);
  std::string to_jsonl() const;
  // The tokens of a pickle that holds torchtext's Vocab (the original's vocab.pkl) or a list of strings.
  // Nothing in it is executed. Errors as above.
  static Vocabulary from_pickle(std::string_view bytes, const std::string& name);
  // A pickle where the name ends in .pkl, else JSON Lines.
  static Vocabulary load(const std::filesystem::path& file);
  void save(const std::filesystem::path& file) const;

  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }
  const std::vector<std::string>& tokens() const { return tokens_; }
  const std::string& token(int64_t id) const;  // kind index where there is none

  // In the order of their sections; at least one.
  const std::vector<Language>& languages() const { return languages_; }
  bool has_languages() const { return !languages_.front().code.empty(); }
  // Errors: argument (it lacks that one, or has several and none is named; the text says which it has).
  const Language& language(std::string_view code) const;

  // How many of a language's tokens are words, not letters to spell with.
  int64_t words(const Language& language) const;

  // Of one language's section, or of the whole where languages have no name; with errors as language().
  bool contains(std::string_view token,
                std::string_view code = {}) const;                       // the token string, with its space
  int32_t id(std::string_view token, std::string_view code = {}) const;  // kUnk where it is unknown
  bool has_character_fallback(std::string_view code = {}) const;         // all of a..z and ' ' are there
  bool operator==(const Vocabulary& other) const {
    return tokens_ == other.tokens_ && rules() == other.rules();
  }
  std::map<std::string, TextRules> rules() const;  // of the languages, by code

  // <sos> or the language's token, the caption's tokens, <eos>. An unknown word is spelled (its space first,
  // <unk> for what is no letter), or is one <unk> in a section without characters.
  std::vector<int32_t> encode(std::string_view caption, std::string_view code = {}) const;

  // The caption as text: up to the first <eos>, without special tokens and languages' tokens, without blanks at
  // either end, one blank between words. Punctuation keeps its blank ("a man ."), as captions have it.
  std::string decode(std::span<const int32_t> ids) const;

  // The original's decode: special tokens stay, all blanks stay, and letters at the very end get one more
  // blank.
  std::string decode_tokens(std::span<const int32_t> ids) const;

  static constexpr size_t kMaxTokens = 1'000'000;
  static constexpr size_t kMaxTokenBytes = 1024;
  static constexpr int64_t kMaxFileBytes = int64_t{256} << 20;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  struct Section {
    std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> ids;  // the special ones, too
    bool spells = false;
  };

  const Section& section(std::string_view code) const;
  bool is_word(int32_t id) const;

  std::vector<std::string> tokens_;
  std::vector<Language> languages_;
  std::vector<Section> sections_;  // of the languages
};

}  // namespace imgcap
