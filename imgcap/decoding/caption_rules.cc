#include "imgcap/decoding/caption_rules.h"

#include <algorithm>
#include <sstream>

#include "imgcap/data/utf8.h"
#include "tensor/error.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;

namespace {

// Texts as captions have them: one blank between words.
std::vector<std::string> split(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

// In some languages only letters and digits make words.
void expect_word(const std::vector<std::string>& tokens, const std::string& text) {
  check(!tokens.empty(), ErrorKind::argument, "there is no word in \"{}\"", printable(text));
}

bool is_special(int64_t token) { return token < kSpecialTokens; }

}  // namespace

bool CaptionRules::given() const {
  return no_repeat_ngram > 0 || min_words > 0 || !suppressed.empty() || !prefix.empty();
}

void validate(const CaptionRules& rules, int64_t vocabulary, int64_t max_words, const char* op) {
  check(rules.no_repeat_ngram >= 0, ErrorKind::argument,
        "{}: no_repeat_ngram is {}; it has to be 0 (repeats are allowed) or more", op, rules.no_repeat_ngram);
  check(rules.min_words >= 0 && rules.min_words <= max_words, ErrorKind::argument,
        "{}: at least {} words are asked for and at most {}", op, rules.min_words, max_words);
  if (!rules.given()) return;
  check(std::ssize(rules.tokens) == vocabulary, ErrorKind::argument,
        "{}: the rules have {} tokens, the decoder's vocabulary {}", op, rules.tokens.size(), vocabulary);
  check(std::ssize(rules.prefix) <= max_words, ErrorKind::argument,
        "{}: the prefix has {} tokens; a caption has at most {}", op, rules.prefix.size(), max_words);
  for (const int64_t token : rules.prefix)
    check(!is_special(token) && token < vocabulary, ErrorKind::argument, "{}: the prefix has the token {}",
          op, token);
  // Each of the other rules alone, so that the sentence can say which one it is.
  CaptionRules repeats = rules, words = rules;
  for (CaptionRules* one : {&repeats, &words}) one->prefix.clear(), one->min_words = 0;
  repeats.suppressed.clear();
  words.no_repeat_ngram = 0;
  internal::RuleChecker no_repeats(repeats, max_words), no_words(words, max_words);
  std::vector<int64_t> path = rules.prefix;
  path.push_back(kEos);  // behind the last word, where that is spelled
  for (size_t at = 0; !rules.prefix.empty() && at < path.size(); ++at) {
    const std::vector<int64_t> before(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(at));
    std::vector<bool> banned(static_cast<size_t>(vocabulary), false);
    no_repeats.ban(before, banned);
    check(!banned[static_cast<size_t>(path[at])], ErrorKind::argument,
          "{}: the prefix has an n-gram of {} twice, which no caption may have", op, rules.no_repeat_ngram);
    no_words.ban(before, banned);
    check(!banned[static_cast<size_t>(path[at])], ErrorKind::argument,
          "{}: the prefix has a word that no caption may have", op);
  }
}

std::vector<int64_t> prefix_tokens(const std::string& text, const Vocabulary& vocabulary,
                                   std::string_view language) {
  const std::string words = tensor::join(split(text), " ");
  const std::vector<std::string> tokens = tokenize(words, vocabulary.language(language).rules);
  if (!words.empty()) expect_word(tokens, text);
  const auto can_say = [&](const std::string& word) {
    return vocabulary.contains(" " + word, language) ||
           (vocabulary.has_character_fallback(language) &&
            std::all_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; }));
  };
  for (const std::string& word : tokens)
    check(can_say(word), ErrorKind::argument,
          "the model's vocabulary has no word \"{}\"{} and cannot spell it, so no caption begins with it",
          printable(word), language.empty() ? "" : tensor::format(" in {}", language));
  const std::vector<int32_t> ids = vocabulary.encode(words, language);
  return {ids.begin() + 1, ids.end() - 1};  // without <sos> and <eos>
}

std::vector<std::string> suppressed_words(const std::string& text, const Vocabulary& vocabulary,
                                          std::string_view language) {
  std::vector<std::string> words = split(text);
  expect_word(words, text);
  for (std::string& word : words) {
    if (vocabulary.contains(" " + word, language)) continue;
    const std::vector<std::string> parts = tokenize(word, vocabulary.language(language).rules);
    expect_word(parts, word);
    check(parts.size() == 1, ErrorKind::argument,
          "\"{}\" is {} words to the model ({}); name the one that is to be suppressed", printable(word),
          parts.size(), printable(tensor::join(parts, ", ")));
    word = parts.front();
  }
  return words;
}

namespace internal {

RuleChecker::RuleChecker(const CaptionRules& rules, int64_t max_words, const WordRange& range)
    : rules_(rules), max_words_(max_words) {
  said_.units.reserve(static_cast<size_t>(std::min(max_words, kUsualWords)));
  size_t longest = 0;
  for (const std::string& token : rules.tokens) {
    longest = std::max(longest, token.size());
    Piece piece;
    const auto id = std::ssize(pieces_);
    const size_t first = token.find_first_not_of(' ');
    if (is_special(id) || first == std::string::npos) {  // <unk> is not in the text
      piece.begins = piece.ends = !is_special(id);
    } else {
      piece.text = token.substr(first, token.find_last_not_of(' ') - first + 1);
      piece.begins = token.front() == ' ';
      piece.ends = token.back() == ' ';
      piece.suppressed_word = piece.begins && is_suppressed(piece.text);
    }
    if (token == "  " && range.has(id)) lead_ = id;
    pieces_.push_back(std::move(piece));
  }
  said_.last.reserve(longest * said_.units.capacity());  // one word, spelled out
}

bool RuleChecker::is_suppressed(std::string_view begin, std::string_view end) const {
  return std::any_of(rules_.suppressed.begin(), rules_.suppressed.end(), [&](const std::string& word) {
    return word.size() == begin.size() + end.size() && word.starts_with(begin) && word.ends_with(end);
  });
}

void RuleChecker::say(const std::vector<int64_t>& path) {
  said_.units.clear(), said_.last.clear(), said_.words = 0;
  for (const int64_t token : path) {
    const Piece& piece = pieces_[static_cast<size_t>(token)];
    if (piece.begins) said_.last.clear();
    if (!piece.text.empty()) {
      if (said_.last.empty()) ++said_.words;
      // What is spelled parts what stands around it, however many tokens it takes.
      said_.units.push_back(piece.begins ? token : -1);
      said_.last += piece.text;
    }
    if (piece.ends) said_.last.clear();
  }
}

void RuleChecker::ban(const std::vector<int64_t>& path, std::vector<bool>& banned) {
  if (ban_but_prefix(path, banned)) return;
  say(path);
  if (said_.words < rules_.min_words) banned[kEos] = true;
  if (rules_.no_repeat_ngram > 0) ban_repeats(banned);
  if (!rules_.suppressed.empty()) ban_suppressed(std::ssize(path) + 1 == max_words_, banned);
}

// Whether the path is not over the prefix yet, so that no other rule has a say.
bool RuleChecker::ban_but_prefix(const std::vector<int64_t>& path, std::vector<bool>& banned) const {
  const std::vector<int64_t>& prefix = rules_.prefix;
  if (prefix.empty()) return false;
  const bool leads = !path.empty() && path.front() != prefix.front();
  const size_t said = path.size() - (leads ? 1 : 0);
  if (said < prefix.size()) {
    // A blank that leaves too little room would be no caption with this prefix.
    const bool may_lead = path.empty() && std::ssize(prefix) < max_words_;
    for (size_t token = 0; token < banned.size(); ++token)
      if (static_cast<int64_t>(token) != prefix[said] && !(may_lead && static_cast<int64_t>(token) == lead_))
        banned[token] = true;
    return true;
  }
  if (said == prefix.size())
    for (size_t token = kSpecialTokens; token < banned.size(); ++token)
      if (!pieces_[token].begins) banned[token] = true;
  return false;
}

void RuleChecker::ban_repeats(std::vector<bool>& banned) const {
  const std::vector<int64_t>& units = said_.units;
  const auto before = rules_.no_repeat_ngram - 1;
  if (std::ssize(units) < before) return;
  const auto last = units.end() - before;
  if (std::any_of(last, units.end(), [](int64_t unit) { return unit < 0; })) return;
  for (auto at = units.begin(); units.end() - at > before; ++at)
    if (at[before] >= 0 && std::equal(last, units.end(), at)) banned[static_cast<size_t>(at[before])] = true;
}

// `last`: the caption has room for one more token, and then is over even without an end.
void RuleChecker::ban_suppressed(bool last, std::vector<bool>& banned) const {
  const bool over = !is_suppressed(said_.last);
  if (!over) banned[kEos] = true;
  for (size_t token = kSpecialTokens; token < banned.size(); ++token) {
    const Piece& piece = pieces_[token];
    if (piece.suppressed_word || (!over && piece.begins)) banned[token] = true;
    // Letters that a blank or the caption's end follows make a word of what is there.
    if (!piece.begins && (last || piece.ends) && is_suppressed(said_.last, piece.text)) banned[token] = true;
  }
}

}  // namespace internal
}  // namespace imgcap
