#include "imgcap/data/vocabulary.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "imgcap/data/text_file.h"
#include "imgcap/data/utf8.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/json.h"

namespace imgcap {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::fail;
using tensor::io::Json;

constexpr const char* kSpecials[] = {"<unk>", "<pad>", "<sos>", "<eos>"};
constexpr std::string_view kCharacters = "abcdefghijklmnopqrstuvwxyz ";

bool is_letter(std::string_view token) { return token.size() == 1 && token[0] >= 'a' && token[0] <= 'z'; }

// "en" of "<en>", empty if it is no language's token.
std::string_view code_in(std::string_view token) {
  if (token.size() != 4 || token.front() != '<' || token.back() != '>') return {};
  const std::string_view code = token.substr(1, 2);
  return is_language_code(code) ? code : std::string_view();
}

// Takes a vocabulary's tokens one after the other, and says what is wrong with one.
class TokenChecker {
 public:
  // Empty if nothing is wrong; `before` becomes the index of the same token, where that is what is wrong.
  std::string fault(const std::string& token, std::optional<size_t>& before) {
    const size_t index = count_++;
    if (std::string wrong = fault_alone(token, index); !wrong.empty()) return wrong;
    if (index == kSpecialTokens) has_languages_ = !code_in(token).empty();
    if (has_languages_ && token.front() == '<' && token.back() == '>') {
      if (code_in(token).empty())
        return tensor::format("\"{}\" is no language; its token is two letters a-z in angle brackets",
                              printable(token));
      if (!languages_.insert(token).second)
        return tensor::format("a second section of the language {}", code_in(token));
      seen_.clear();
      return {};
    }
    const auto [place, is_new] = seen_.emplace(token, index);
    if (!is_new) before = place->second;
    return is_new ? "" : "there twice";
  }

 private:
  static std::string fault_alone(const std::string& token, size_t index) {
    if (index < kSpecialTokens && token != kSpecials[index])
      return tensor::format("token {} must be {}: a vocabulary begins with <unk>, <pad>, <sos>, <eos>", index,
                            kSpecials[index]);
    if (token.empty()) return "an empty token";
    if (token.size() > Vocabulary::kMaxTokenBytes)
      return tensor::format("a token of {} bytes; the limit is {}", token.size(), Vocabulary::kMaxTokenBytes);
    if (find_invalid_utf8(token) != kNoPosition) return "a token that is no valid UTF-8";
    if (index >= Vocabulary::kMaxTokens) return tensor::format("more than {} tokens", Vocabulary::kMaxTokens);
    return {};
  }

  size_t count_ = 0;
  bool has_languages_ = false;
  std::set<std::string> languages_;
  std::unordered_map<std::string, size_t> seen_;  // in this section
};

// The words that the options keep, with the space before them, the most frequent first.
std::vector<std::string> words_of(const LanguageCaptions& from, const VocabularyOptions& options) {
  check(!from.captions.empty(), ErrorKind::data, "vocabulary: there are no captions to build it from{}",
        from.language.empty() ? "" : " in the language " + from.language);
  std::unordered_map<std::string, int64_t> counts;
  for (const std::string& caption : from.captions)
    for (const std::string& token : tokenize(caption, from.rules)) ++counts[" " + token];

  std::vector<std::pair<std::string, int64_t>> words;
  for (const auto& [word, count] : counts)
    if (count >= options.min_frequency && word.size() <= Vocabulary::kMaxTokenBytes)
      words.emplace_back(word, count);
  // The order of UTF-8 bytes is that of code points.
  std::sort(words.begin(), words.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  const auto limit = static_cast<size_t>(options.max_words);
  if (limit > 0 && words.size() > limit) words.resize(limit);
  std::vector<std::string> kept;
  for (auto& word : words) kept.push_back(std::move(word.first));
  return kept;
}

}  // namespace

bool is_language_code(std::string_view text) {
  return text.size() == 2 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

bool names_languages(const std::vector<std::string>& tokens) {
  return tokens.size() > kSpecialTokens && !code_in(tokens[kSpecialTokens]).empty();
}

Vocabulary Vocabulary::build(std::span<const std::string> captions, const VocabularyOptions& options) {
  const LanguageCaptions only{"", {}, {captions.begin(), captions.end()}};
  return of_languages(std::span(&only, 1), options);
}

Vocabulary Vocabulary::of_languages(std::span<const LanguageCaptions> languages,
                                    const VocabularyOptions& options) {
  check(options.max_words >= 0 && options.min_frequency >= 0, ErrorKind::argument,
        "vocabulary: max_words {} and min_frequency {} must not be negative", options.max_words,
        options.min_frequency);
  check(!languages.empty(), ErrorKind::data, "vocabulary: there are no captions to build it from");
  std::vector<std::string> tokens(std::begin(kSpecials), std::end(kSpecials));
  std::map<std::string, TextRules> rules;
  for (const LanguageCaptions& from : languages) {
    rules.emplace(from.language, from.rules);
    const bool is_unnamed = from.language.empty() && languages.size() == 1;
    check(is_unnamed || is_language_code(from.language), ErrorKind::data,
          "vocabulary: \"{}\" is no language; it has two letters a-z", printable(from.language));
    if (!is_unnamed) tokens.push_back("<" + from.language + ">");
    for (std::string& word : words_of(from, options)) tokens.push_back(std::move(word));
    // None of them is there yet: every word has a space and something after it.
    if (options.character_fallback && from.rules.tokenizer == Tokenizer::spacy)
      for (char c : kCharacters) tokens.emplace_back(1, c);
  }
  return Vocabulary(std::move(tokens), rules);
}

Vocabulary::Vocabulary(std::vector<std::string> tokens, const std::map<std::string, TextRules>& rules)
    : tokens_(std::move(tokens)) {
  check(tokens_.size() >= kSpecialTokens, ErrorKind::data,
        "vocabulary: {} tokens; it begins with <unk>, <pad>, <sos>, <eos>", tokens_.size());
  TokenChecker checker;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    std::optional<size_t> before;
    const std::string wrong = checker.fault(tokens_[i], before);
    check(!before, ErrorKind::data, "vocabulary: token {} is the same as token {}: \"{}\"", i,
          before.value_or(0), printable(tokens_[i]));
    check(wrong.empty(), ErrorKind::data, "vocabulary: {}", wrong);
  }
  const bool named = names_languages(tokens_);
  if (!named) languages_.push_back({"", default_rules(""), {}});
  for (size_t i = kSpecialTokens; named && i < tokens_.size(); ++i) {
    const std::string_view code = code_in(tokens_[i]);
    if (code.empty()) continue;
    const auto at = static_cast<int64_t>(i);
    if (!languages_.empty()) languages_.back().range.end = at;
    languages_.push_back({std::string(code), default_rules(code), {at, at + 1, size()}});
  }
  for (Language& language : languages_) {
    if (const auto own = rules.find(language.code); own != rules.end()) language.rules = own->second;
    Section& section = sections_.emplace_back();
    for (int32_t id = 0; id < kSpecialTokens; ++id) section.ids.emplace(tokens_[static_cast<size_t>(id)], id);
    for (int64_t id = language.range.first; id < std::min(language.range.end, size()); ++id)
      section.ids.emplace(tokens_[static_cast<size_t>(id)], static_cast<int32_t>(id));
    section.spells = std::all_of(kCharacters.begin(), kCharacters.end(),
                                 [&](char c) { return section.ids.contains(std::string_view(&c, 1)); });
  }
  for (const auto& [code, own] : rules)
    check(std::ranges::find(languages_, code, &Language::code) != languages_.end(), ErrorKind::data,
          "vocabulary: rules of the language \"{}\", which it does not have", printable(code));
}

Vocabulary Vocabulary::from_jsonl(std::string_view text, const std::string& name) {
  check(std::ssize(text) <= kMaxFileBytes, ErrorKind::data, "{}: {} bytes; a vocabulary has {} at most", name,
        text.size(), kMaxFileBytes);
  std::vector<std::string> tokens;
  TokenChecker checker;
  LineReader reader(text);
  while (const auto line = reader.next()) {
    const auto where = [&] { return tensor::format("{}:{}", name, reader.line_number()); };
    // Only a string may stand here, so that nothing nested is ever parsed.
    check(!line->empty() && line->front() == '"', ErrorKind::data,
          "{}: expected one JSON string, as in \" man\"", where());
    const std::optional<Json> json = Json::try_parse(*line);
    check(json.has_value(), ErrorKind::data, "{}: no valid JSON string (or no valid UTF-8)", where());
    std::string token = json->as_text();
    std::optional<size_t> before;
    const std::string wrong = checker.fault(token, before);
    check(!before, ErrorKind::data, "{}: the token \"{}\" is on line {} already", where(), printable(token),
          before.value_or(0) + 1);
    check(wrong.empty(), ErrorKind::data, "{}: {}", where(), wrong);
    tokens.push_back(std::move(token));
  }
  check(tokens.size() >= kSpecialTokens, ErrorKind::data,
        "{}:{}: the file ends after {} tokens; a vocabulary begins with "
        "<unk>, <pad>, <sos>, <eos>",
        name, reader.line_number(), tokens.size());
  return Vocabulary(std::move(tokens));
}

std::string Vocabulary::to_jsonl() const {
  std::string out;
  for (const auto& token : tokens_) out += Json(token).dump() + "\n";
  return out;
}

Vocabulary Vocabulary::load(const std::filesystem::path& file) {
  const std::string bytes = tensor::io::read_file(file, kMaxFileBytes);
  return file.extension() == ".pkl" ? from_pickle(bytes, file.string()) : from_jsonl(bytes, file.string());
}

void Vocabulary::save(const std::filesystem::path& file) const {
  tensor::io::write_file_atomically(file, to_jsonl());
}

const std::string& Vocabulary::token(int64_t id) const {
  check(id >= 0 && id < size(), ErrorKind::index, "vocabulary: token {} of a vocabulary of {}", id, size());
  return tokens_[static_cast<size_t>(id)];
}

const Language& Vocabulary::language(std::string_view code) const {
  const auto found = std::find_if(languages_.begin(), languages_.end(),
                                  [&](const Language& language) { return language.code == code; });
  if (found != languages_.end()) return *found;
  check(has_languages(), ErrorKind::argument,
        "the language {} cannot be asked for: the vocabulary is of one without a name", printable(code));
  std::vector<std::string> codes;
  for (const Language& language : languages_) codes.push_back(language.code);
  const std::string known = tensor::join(codes, ", ");
  check(!code.empty(), ErrorKind::argument, "no language is named; the model has {}", known);
  fail(ErrorKind::argument, "the model does not have the language {}; it has {}", printable(code), known);
}

int64_t Vocabulary::words(const Language& language) const {
  const auto begin = tokens_.begin() + language.range.first,
             end = tokens_.begin() + std::min(language.range.end, size());
  return std::count_if(begin, end, [](const std::string& token) { return token.size() > 1; });
}

const Vocabulary::Section& Vocabulary::section(std::string_view code) const {
  return sections_[static_cast<size_t>(&language(code) - languages_.data())];
}

std::map<std::string, TextRules> Vocabulary::rules() const {
  std::map<std::string, TextRules> all;
  for (const Language& language : languages_) all.emplace(language.code, language.rules);
  return all;
}

bool Vocabulary::contains(std::string_view token, std::string_view code) const {
  return section(code).ids.contains(token);
}

int32_t Vocabulary::id(std::string_view token, std::string_view code) const {
  const Section& words = section(code);
  const auto found = words.ids.find(token);
  return found == words.ids.end() ? kUnk : found->second;
}

bool Vocabulary::has_character_fallback(std::string_view code) const { return section(code).spells; }

// Neither one of the special tokens nor a language's.
bool Vocabulary::is_word(int32_t id) const {
  return id >= kSpecialTokens &&
         std::none_of(languages_.begin(), languages_.end(),
                      [&](const Language& language) { return language.range.start == id; });
}

std::vector<int32_t> Vocabulary::encode(std::string_view caption, std::string_view code) const {
  const Language& language = this->language(code);
  const Section& words = section(code);
  std::vector<int32_t> ids{static_cast<int32_t>(language.range.start)};
  const auto id_of = [&](std::string_view text) {
    const auto found = words.ids.find(text);
    return found == words.ids.end() ? kUnk : found->second;
  };
  for (const auto& token : tokenize(caption, language.rules)) {
    const std::string word = " " + token;
    if (const auto found = words.ids.find(word); found != words.ids.end()) {
      ids.push_back(found->second);
    } else if (!words.spells) {
      ids.push_back(kUnk);
    } else {
      for (std::string_view rest = word; !rest.empty();) {
        const std::string_view before = rest;
        take_code_point(rest);
        ids.push_back(id_of(before.substr(0, before.size() - rest.size())));
      }
    }
  }
  ids.push_back(kEos);
  return ids;
}

std::string Vocabulary::decode(std::span<const int32_t> ids) const {
  std::string out;
  for (const int32_t id : ids) {
    const std::string& text = token(id);
    if (id == kEos) break;
    if (!is_word(id)) continue;
    for (char c : text)
      if (c != ' ' || (!out.empty() && out.back() != ' ')) out.push_back(c);
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::string Vocabulary::decode_tokens(std::span<const int32_t> ids) const {
  std::string out, letters;
  for (const int32_t id : ids) {
    const std::string& text = token(id);
    if (is_letter(text)) {
      letters += text;
      continue;
    }
    out += letters + text;
    letters.clear();
  }
  if (!letters.empty()) out += " " + letters;
  return out;
}

}  // namespace imgcap
