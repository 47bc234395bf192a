#include "imgcap/data/tokenizer.h"

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <utility>

#include "imgcap/data/spacy_rules.h"
#include "imgcap/data/utf8.h"

namespace imgcap {
namespace {

using View = std::u32string_view;

struct Token {
  View text;
  bool blank_after = false;  // the single blank that is consumed
};
using Tokens = std::vector<Token>;

struct Hash {
  using is_transparent = void;
  size_t operator()(View text) const { return std::hash<View>()(text); }
};
template <class Value>
using Table = std::unordered_map<std::u32string, Value, Hash, std::equal_to<>>;

class SpacyTokenizer {
 public:
  SpacyTokenizer();
  std::vector<std::string> operator()(std::string_view line) const;

 private:
  const std::vector<std::u32string>* find_exception(View text) const;
  Tokens split(View line, bool with_exceptions) const;
  void split_chunk(View chunk, bool with_exceptions, Tokens& out) const;
  View split_affixes(View text, bool with_exceptions, Tokens& prefixes, Tokens& suffixes) const;
  void split_infixes(View text, Tokens& out) const;
  void join_exceptions(Tokens& tokens) const;
  void find_spans(const Tokens& tokens, std::vector<std::pair<size_t, size_t>>& spans) const;

  Table<std::vector<std::u32string>> exceptions_;
  size_t longest_exception_ = 0;
  // Exceptions that the rules would break up, as what the rules make of them, under the first of these
  // tokens.
  Table<std::vector<std::vector<std::u32string>>> broken_;
};

SpacyTokenizer::SpacyTokenizer() {
  for (const char* exception : spacy_exceptions()) {
    const std::u32string parts = decode_utf8(exception);
    std::u32string whole;
    std::vector<std::u32string> tokens(1);
    for (char32_t c : parts) {
      if (c == 0x1F) {
        tokens.emplace_back();
      } else {
        tokens.back().push_back(c);
        whole.push_back(c);
      }
    }
    longest_exception_ = std::max(longest_exception_, whole.size());
    exceptions_.emplace(std::move(whole), std::move(tokens));
  }
  for (const auto& [whole, tokens] : exceptions_) {
    bool has_affix = spacy_prefix(whole) > 0 || spacy_suffix(whole) > 0 || whole.find(U' ') != View::npos;
    for (size_t i = 0; i < whole.size() && !has_affix; ++i) has_affix = spacy_infix(whole, i) > 0;
    if (!has_affix) continue;
    std::vector<std::u32string> pieces;
    for (const Token& token : split(whole, false)) pieces.emplace_back(token.text);
    auto first = pieces.front();
    broken_[std::move(first)].push_back(std::move(pieces));
  }
}

const std::vector<std::u32string>* SpacyTokenizer::find_exception(View text) const {
  if (text.size() > longest_exception_) return nullptr;
  const auto found = exceptions_.find(text);
  return found == exceptions_.end() ? nullptr : &found->second;
}

// Runs of white space and of other characters; a run starts after the single blank that ends the one before.
Tokens SpacyTokenizer::split(View line, bool with_exceptions) const {
  Tokens tokens;
  if (line.empty()) return tokens;
  size_t start = 0;
  bool in_space = has_class(line[0], kSpace);
  for (size_t i = 0; i <= line.size(); ++i) {
    if (i < line.size() && has_class(line[i], kSpace) == in_space) continue;
    if (start < i) split_chunk(line.substr(start, i - start), with_exceptions, tokens);
    if (i == line.size()) break;
    start = i;
    in_space = !in_space;
    if (line[i] == ' ') {
      tokens.back().blank_after = true;
      ++start;
    }
  }
  return tokens;
}

void SpacyTokenizer::split_chunk(View chunk, bool with_exceptions, Tokens& out) const {
  const auto put = [&out](const std::vector<std::u32string>& parts) {
    for (const auto& part : parts) out.push_back({part});
  };
  if (with_exceptions) {
    if (const auto* parts = find_exception(chunk)) return put(*parts);
  }
  Tokens prefixes, suffixes;
  const View rest = split_affixes(chunk, with_exceptions, prefixes, suffixes);
  out.insert(out.end(), prefixes.begin(), prefixes.end());
  if (!rest.empty()) {
    const auto* parts = with_exceptions ? find_exception(rest) : nullptr;
    if (parts != nullptr) {
      put(*parts);
    } else if (spacy_url(rest)) {
      out.push_back({rest});
    } else {
      split_infixes(rest, out);
    }
  }
  out.insert(out.end(), suffixes.rbegin(), suffixes.rend());
}

// Takes a prefix and a suffix off until nothing comes off or an exception is left. The suffix is looked for
// behind the prefix, so that a rule about what stands before it does not see the prefix.
View SpacyTokenizer::split_affixes(View text, bool with_exceptions, Tokens& prefixes,
                                   Tokens& suffixes) const {
  const auto is_exception = [&](View t) {
    return with_exceptions && !t.empty() && find_exception(t) != nullptr;
  };
  while (!text.empty() && !is_exception(text)) {
    const size_t prefix = spacy_prefix(text);
    const View behind = text.substr(prefix);
    if (prefix > 0 && is_exception(behind)) {
      prefixes.push_back({text.substr(0, prefix)});
      return behind;
    }
    const size_t suffix = spacy_suffix(behind);
    if (prefix == 0 && suffix == 0) return text;
    const View ahead = text.substr(0, text.size() - suffix);
    if (suffix > 0) suffixes.push_back({text.substr(text.size() - suffix)});
    if (suffix > 0 && is_exception(ahead)) return ahead;
    if (prefix > 0) prefixes.push_back({text.substr(0, prefix)});
    text = ahead.substr(prefix);
  }
  return text;
}

void SpacyTokenizer::split_infixes(View text, Tokens& out) const {
  size_t start = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t length = spacy_infix(text, i);
    if (length > 0 && i > 0) {  // an infix at the very front stays with what follows it
      if (start < i) out.push_back({text.substr(start, i - start)});
      out.push_back({text.substr(i, length)});
      start = i + length;
    }
    i += std::max<size_t>(length, 1);
  }
  if (start < text.size()) out.push_back({text.substr(start)});
}

// Where the pieces of a broken-up exception stand one after the other, longest first, then from the left.
void SpacyTokenizer::find_spans(const Tokens& tokens, std::vector<std::pair<size_t, size_t>>& spans) const {
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto candidates = broken_.find(tokens[i].text);
    if (candidates == broken_.end()) continue;
    for (const auto& pieces : candidates->second) {
      if (pieces.size() > tokens.size() - i) continue;
      size_t same = 1;
      while (same < pieces.size() && tokens[i + same].text == pieces[same]) ++same;
      if (same == pieces.size()) spans.emplace_back(i, i + same);
    }
  }
  std::sort(spans.begin(), spans.end(), [](const auto& a, const auto& b) {
    const size_t m = a.second - a.first, n = b.second - b.first;
    return m != n ? m > n : a.first < b.first;
  });
}

// spaCy's last pass: an exception that prefixes, suffixes and infixes took apart is put together again. A
// span whose pieces have blanks between them is no exception, but still keeps shorter spans away.
void SpacyTokenizer::join_exceptions(Tokens& tokens) const {
  std::vector<std::pair<size_t, size_t>> spans;
  find_spans(tokens, spans);
  if (spans.empty()) return;
  std::vector<bool> seen(tokens.size());
  std::vector<size_t> end_at(tokens.size());
  for (const auto& [start, end] : spans) {
    if (!seen[start] && !seen[end - 1]) end_at[start] = end;
    std::fill(seen.begin() + static_cast<std::ptrdiff_t>(start),
              seen.begin() + static_cast<std::ptrdiff_t>(end), true);
  }
  Tokens joined;
  for (size_t i = 0; i < tokens.size();) {
    const size_t end = end_at[i];
    if (end == 0) {
      joined.push_back(tokens[i++]);
      continue;
    }
    std::u32string text;
    for (size_t k = i; k < end; ++k) {
      text += tokens[k].text;
      if (tokens[k].blank_after && k + 1 < end) text += U' ';
    }
    if (const auto* parts = find_exception(text)) {
      for (const auto& part : *parts) joined.push_back({part});
      joined.back().blank_after = tokens[end - 1].blank_after;
    } else {
      for (size_t k = i; k < end; ++k) joined.push_back(tokens[k]);
    }
    i = end;
  }
  tokens = std::move(joined);
}

std::vector<std::string> SpacyTokenizer::operator()(std::string_view line) const {
  const std::u32string text = decode_utf8(line);
  Tokens tokens = split(text, true);
  join_exceptions(tokens);
  std::vector<std::string> out;
  out.reserve(tokens.size());
  for (const Token& token : tokens) out.push_back(lower_case_utf8(token.text));
  return out;
}

}  // namespace

std::vector<std::string> tokenize_spacy(std::string_view utf8_line) {
  static const SpacyTokenizer tokenizer;
  return tokenizer(utf8_line);
}

}  // namespace imgcap
