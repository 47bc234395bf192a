#include "imgcap/data/vocabulary.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "imgcap/data/text_file.h"
#include "imgcap/data/tokenizer.h"
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

// What is wrong with token `index` by itself, empty if nothing.
std::string fault(const std::string& token, size_t index) {
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

}  // namespace

Vocabulary Vocabulary::build(std::span<const std::string> captions, const VocabularyOptions& options) {
  check(options.max_words >= 0 && options.min_frequency >= 0, ErrorKind::argument,
        "vocabulary: max_words {} and min_frequency {} must not be negative", options.max_words,
        options.min_frequency);
  check(!captions.empty(), ErrorKind::data, "vocabulary: there are no captions to build it from");
  std::unordered_map<std::string, int64_t> counts;
  for (const auto& caption : captions)
    for (const auto& token : tokenize_spacy(caption)) ++counts[" " + token];

  std::vector<std::pair<std::string, int64_t>> words;
  for (const auto& [word, count] : counts)
    if (count >= options.min_frequency && word.size() <= kMaxTokenBytes) words.emplace_back(word, count);
  // The order of UTF-8 bytes is that of code points.
  std::sort(words.begin(), words.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  const auto limit = static_cast<size_t>(options.max_words);
  if (limit > 0 && words.size() > limit) words.resize(limit);

  std::vector<std::string> tokens(std::begin(kSpecials), std::end(kSpecials));
  for (auto& word : words) tokens.push_back(std::move(word.first));
  if (options.character_fallback)  // none of them is there yet: every word has a space and something after it
    for (char c : kCharacters) tokens.emplace_back(1, c);
  return Vocabulary(std::move(tokens));
}

Vocabulary::Vocabulary(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {
  check(tokens_.size() >= kSpecialTokens, ErrorKind::data,
        "vocabulary: {} tokens; it begins with <unk>, <pad>, <sos>, <eos>", tokens_.size());
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const std::string wrong = fault(tokens_[i], i);
    check(wrong.empty(), ErrorKind::data, "vocabulary: {}", wrong);
    const auto [place, is_new] = ids_.emplace(tokens_[i], static_cast<int32_t>(i));
    check(is_new, ErrorKind::data, "vocabulary: token {} is the same as token {}: \"{}\"", i, place->second,
          printable(tokens_[i]));
  }
  spells_ = std::all_of(kCharacters.begin(), kCharacters.end(), [&](char c) { return contains({&c, 1}); });
}

Vocabulary Vocabulary::from_jsonl(std::string_view text, const std::string& name) {
  check(std::ssize(text) <= kMaxFileBytes, ErrorKind::data, "{}: {} bytes; a vocabulary has {} at most", name,
        text.size(), kMaxFileBytes);
  std::vector<std::string> tokens;
  std::unordered_map<std::string, size_t> lines;
  LineReader reader(text);
  while (const auto line = reader.next()) {
    const auto where = [&] { return tensor::format("{}:{}", name, reader.line_number()); };
    // Only a string may stand here, so that nothing nested is ever parsed.
    check(!line->empty() && line->front() == '"', ErrorKind::data,
          "{}: expected one JSON string, as in \" man\"", where());
    const std::optional<Json> json = Json::try_parse(*line);
    check(json.has_value(), ErrorKind::data, "{}: no valid JSON string (or no valid UTF-8)", where());
    std::string token = json->as_text();
    const std::string wrong = fault(token, tokens.size());
    check(wrong.empty(), ErrorKind::data, "{}: {}", where(), wrong);
    const auto [place, is_new] = lines.emplace(token, reader.line_number());
    check(is_new, ErrorKind::data, "{}: the token \"{}\" is on line {} already", where(), printable(token),
          place->second);
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

bool Vocabulary::contains(std::string_view token) const { return ids_.find(token) != ids_.end(); }

int32_t Vocabulary::id(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? kUnk : found->second;
}

std::vector<int32_t> Vocabulary::encode(std::string_view caption) const {
  std::vector<int32_t> ids{kSos};
  for (const auto& token : tokenize_spacy(caption)) {
    const std::string word = " " + token;
    const auto found = ids_.find(word);
    if (found != ids_.end()) {
      ids.push_back(found->second);
    } else if (!spells_) {
      ids.push_back(kUnk);
    } else {
      for (std::string_view rest = word; !rest.empty();) {
        const std::string_view before = rest;
        take_code_point(rest);
        ids.push_back(id(before.substr(0, before.size() - rest.size())));
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
    if (id < kSpecialTokens) continue;
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
