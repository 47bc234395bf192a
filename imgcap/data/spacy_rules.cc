#include "imgcap/data/spacy_rules.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>
#include <vector>

#include "imgcap/data/utf8.h"

namespace imgcap {
namespace {

#include "imgcap/data/spacy_characters.inc"
#include "imgcap/data/spacy_exceptions.inc"

uint16_t find_run(char32_t c) {
  const auto* next =
      std::upper_bound(std::begin(kCharacterRuns), std::end(kCharacterRuns), c,
                       [](char32_t value, const CharacterRun& run) { return value < run.first; });
  return next == std::begin(kCharacterRuns) ? uint16_t{0} : std::prev(next)->flags;
}

bool is_ascii_digit(char32_t c) { return c >= '0' && c <= '9'; }
bool is_in(char32_t c, char32_t first, char32_t last) { return c >= first && c <= last; }

size_t run_length(std::u32string_view text, size_t at, char32_t c) {
  size_t end = at;
  while (end < text.size() && text[end] == c) ++end;
  return end - at;
}

// What is a suffix after a digit: units, currencies and "+".
struct AfterDigit {
  std::vector<std::u32string> texts{U"+"};
  size_t longest = 1;

  AfterDigit() {
    for (const char* unit : kUnits) texts.push_back(decode_utf8(unit));
    for (const char* currency : kCurrencies) texts.push_back(decode_utf8(currency));
    for (const auto& text : texts) longest = std::max(longest, text.size());
    std::sort(texts.begin(), texts.end());
  }
  bool contains(std::u32string_view text) const {
    return std::binary_search(texts.begin(), texts.end(), text, std::less<>());
  }
};

// None of those texts has an ASCII digit in it, so only what follows the last digit can be one of them.
size_t suffix_after_digit(std::u32string_view text) {
  static const AfterDigit table;
  for (size_t length = 0; length <= table.longest && length < text.size(); ++length) {
    if (!is_ascii_digit(text[text.size() - 1 - length])) continue;
    return length > 0 && table.contains(text.substr(text.size() - length)) ? length : 0;
  }
  return 0;
}

bool is_suffix_dot(std::u32string_view text) {  // the last character is a full stop
  if (text.size() < 2) return false;
  const char32_t before = text[text.size() - 2];
  if (has_class(before, kBeforeDot)) return true;
  if (text.size() < 3) return false;
  const char32_t second = text[text.size() - 3];
  if (second == U'°') return std::u32string_view(U"FfCcKk").find(before) != std::u32string_view::npos;
  return has_class(before, kUpper) && has_class(second, kUpper);
}

// --- the URL rule: [scheme://][user@](IPv4|host.name)[:port][/path]

bool is_host(char32_t c) {
  return is_ascii_digit(c) || is_in(c, 'A', 'Z') || is_in(c, 'a', 'z') || is_in(c, 0xA1, 0xFFFF);
}

bool is_digit(char32_t c) { return has_class(c, kDigit); }

bool is_url_tail(std::u32string_view text) {
  const auto is_path = [](std::u32string_view t) {
    return t.empty() || t[0] == '/' || t[0] == '?' || t[0] == '#';
  };
  if (is_path(text)) return true;
  if (text[0] != ':') return false;
  size_t digits = 0;
  while (digits < 5 && digits + 1 < text.size() && is_digit(text[digits + 1])) ++digits;
  return digits >= 2 && is_path(text.substr(digits + 1));
}

bool is_url_octet(std::u32string_view d, int position) {
  if (position == 0 || position == 3) {
    if (!is_in(d[0], '1', '9')) return false;
    if (d.size() < 3) return true;
    if (d[0] == '1') return true;
    if (d[0] != '2') return false;
    if (position == 0) return is_in(d[1], '0', '1') || (d[1] == '2' && is_in(d[2], '0', '3'));
    return is_in(d[1], '0', '4') || (d[1] == '5' && is_in(d[2], '0', '4'));
  }
  if (d.size() < 3 || d[0] == '1') return true;
  return d[0] == '2' && (is_in(d[1], '0', '4') || (d[1] == '5' && is_in(d[2], '0', '5')));
}

// An IPv4 address that is not a private or local one.
bool is_address(std::u32string_view text) {
  std::array<std::u32string_view, 4> octets;
  for (size_t i = 0; i < 4; ++i) {
    size_t digits = 0;
    while (digits < text.size() && is_digit(text[digits])) ++digits;
    if (digits == 0 || digits > 3) return false;
    octets[i] = text.substr(0, digits);
    if (!is_url_octet(octets[i], static_cast<int>(i))) return false;
    text.remove_prefix(digits);
    if (i == 3) break;
    if (text.empty() || text[0] != '.') return false;
    text.remove_prefix(1);
  }
  if (!is_url_tail(text)) return false;
  const auto first = octets[0], second = octets[1];
  if (first == U"10" || first == U"127") return false;
  if ((first == U"169" && second == U"254") || (first == U"192" && second == U"168")) return false;
  const bool shared =
      second.size() == 2 && ((second[0] == '1' && is_in(second[1], '6', '9')) || second[0] == '2' ||
                             (second[0] == '3' && is_in(second[1], '0', '1')));
  return !(first == U"172" && shared);
}

// Labels of 1..64 characters, each followed by a dot, then a top-level domain of 2..63 letters.
bool is_host_name(std::u32string_view text) {
  for (bool first = true;; first = false) {
    if (!first) {
      size_t letters = 0;
      while (letters < text.size() && has_class(text[letters], kLower)) ++letters;
      if (letters >= 2 && letters <= 63 && is_url_tail(text.substr(letters))) return true;
    }
    size_t length = 0;
    while (length < text.size() && length < 65 &&
           (is_host(text[length]) || text[length] == '_' || text[length] == '-'))
      ++length;
    if (length == 0 || length > 64 || length == text.size() || text[length] != '.') return false;
    if (!is_host(text[0]) || !is_host(text[length - 1])) return false;
    text.remove_prefix(length + 1);
  }
}

}  // namespace

uint16_t character_classes(char32_t c) {
  static const auto ascii = [] {
    std::array<uint16_t, 128> table{};
    for (char32_t i = 0; i < 128; ++i) table[i] = find_run(i);
    return table;
  }();
  return c < 128 ? ascii[c] : find_run(c);
}

size_t spacy_prefix(std::u32string_view text) {
  if (text.empty()) return 0;
  const char32_t c = text[0];
  if (has_class(c, kPrefix)) return 1;
  if (c == '+') return text.size() == 1 || !is_ascii_digit(text[1]) ? 1 : 0;
  if (c == '.') {
    const size_t dots = run_length(text, 0, '.');
    return dots >= 2 ? dots : 0;
  }
  if (text.starts_with(U"US$")) return 3;
  return text.starts_with(U"C$") || text.starts_with(U"A$") ? 2 : 0;
}

// spaCy searches from the left for a rule that matches up to the end, so the longest suffix wins.
size_t spacy_suffix(std::u32string_view text) {
  if (text.empty()) return 0;
  size_t best = suffix_after_digit(text);
  const char32_t last = text.back(), before = text.size() > 1 ? text[text.size() - 2] : U'\0';
  if (has_class(last, kSuffix)) best = std::max<size_t>(best, 1);
  if (last == U'…' && before == U'…') best = std::max<size_t>(best, 2);
  if ((last == 's' || last == 'S') && (before == '\'' || before == U'’')) best = std::max<size_t>(best, 2);
  if (last == '.') {
    size_t dots = 1;
    while (dots < text.size() && text[text.size() - 1 - dots] == '.') ++dots;
    if (dots >= 2 || is_suffix_dot(text)) best = std::max(best, dots);
  }
  return best;
}

size_t spacy_infix(std::u32string_view text, size_t at) {
  const auto peek = [&](size_t i) { return i < text.size() ? text[i] : U'\0'; };
  const char32_t c = text[at], before = at > 0 ? text[at - 1] : U'\0', after = peek(at + 1);
  if (has_class(c, kInfix)) return 1;
  if (c == '.') {
    const size_t dots = run_length(text, at, '.');
    if (dots >= 2) return dots;
    return has_class(before, kLower | kQuote) && has_class(after, kUpper | kQuote) ? 1 : 0;
  }
  if ((c == '+' || c == '-' || c == '*' || c == '^') && is_ascii_digit(before) &&
      (is_ascii_digit(after) || after == '-'))
    return 1;
  if (c == ',') return has_class(before, kAlpha) && has_class(after, kAlpha) ? 1 : 0;
  if (!is_ascii_digit(before) && !has_class(before, kAlpha)) return 0;
  if (c == '-' || c == U'—') {
    const size_t longest = c == '-' ? 3 : 2, dashes = run_length(text, at, c);
    return dashes <= longest && has_class(peek(at + dashes), kAlpha) ? dashes : 0;
  }
  if (c == U'–' || c == '~' || c == ':' || c == '<' || c == '>' || c == '=' || c == '/')
    return has_class(after, kAlpha) ? 1 : 0;
  return 0;
}

bool spacy_url(std::u32string_view text) {
  if (text.find(U'.') == std::u32string_view::npos) return false;
  const auto is_host_at = [&](size_t at) {
    const auto rest = text.substr(at);
    return is_address(rest) || is_host_name(rest);
  };
  if (is_host_at(0)) return true;
  size_t scheme = 0;
  while (scheme < text.size() && (has_class(text[scheme], kWord) || text[scheme] == '+' ||
                                  text[scheme] == '-' || text[scheme] == '.'))
    ++scheme;
  if (scheme >= 2 && text.substr(scheme).starts_with(U"://") && is_host_at(scheme + 3)) return true;
  // Anything with an "@" behind it is a user, whatever it contains.
  for (size_t at = 1; at < text.size(); ++at)
    if (text[at] == '@' && is_host_at(at + 1)) return true;
  return false;
}

std::span<const char* const> spacy_exceptions() { return kExceptions; }

}  // namespace imgcap
