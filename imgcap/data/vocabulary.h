// The words that a model knows, their numbers, and text from numbers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace imgcap {

inline constexpr int32_t kUnk = 0;  // <unk>: a word or character without a number of its own
inline constexpr int32_t kPad = 1;  // <pad>: fills up the rows of a batch
inline constexpr int32_t kSos = 2;  // <sos>: begins every caption
inline constexpr int32_t kEos = 3;  // <eos>: ends every caption
inline constexpr int32_t kSpecialTokens = 4;

struct VocabularyOptions {
  int64_t max_words = 4065;        // the most frequent ones, ties by code point; 0: no limit
  int64_t min_frequency = 5;       // rarer words are left out
  bool character_fallback = true;  // append a..z and ' ', with which encode() spells an unknown word
};

// Token strings are the original's: a word has one space before it (" man"; the blank that begins a caption
// is two spaces), a letter or space to spell with stands bare.
class Vocabulary {
 public:
  // Counts the tokens of the captions and keeps those that the options ask for. Errors: argument (a negative
  // option), data (no captions).
  static Vocabulary build(std::span<const std::string> captions, const VocabularyOptions& options = {});

  // Exactly these tokens. Errors: data (they do not begin with the four special ones, or one of them is
  // empty, longer than kMaxTokenBytes, no UTF-8, or there twice).
  explicit Vocabulary(std::vector<std::string> tokens);

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
  const std::string& token(int64_t id) const;              // kind index where there is none
  bool contains(std::string_view token) const;             // the token string, with its space
  int32_t id(std::string_view token) const;                // kUnk where it is unknown
  bool has_character_fallback() const { return spells_; }  // all of a..z and ' ' are there
  bool operator==(const Vocabulary& other) const { return tokens_ == other.tokens_; }

  // <sos>, the caption's tokens, <eos>. An unknown word is spelled (its space first, <unk> for what is no
  // letter), or is one <unk> in a vocabulary without characters.
  std::vector<int32_t> encode(std::string_view caption) const;

  // The caption as text: up to the first <eos>, without special tokens, without blanks at either end, one
  // blank between words. Punctuation keeps its blank ("a man ."), as captions have it.
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

  std::vector<std::string> tokens_;
  std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> ids_;
  bool spells_ = false;
};

}  // namespace imgcap
