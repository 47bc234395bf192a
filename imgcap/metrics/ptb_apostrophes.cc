// Tokens with an apostrophe, and those that end before one.
#include <initializer_list>

#include "imgcap/metrics/ptb_rules.h"

namespace imgcap::ptb {
namespace {

using std::u32string_view;

bool in(char32_t c, u32string_view set) { return set.find(c) != u32string_view::npos; }

size_t skip_letters(const Text& text, size_t at) {
  return text.skip(at, [&](size_t k) { return text.alnum(k) && !text.digit(k); });
}

// The end of 's, 'm, 'd, 'll, 're, 've, or 0.
size_t clitic_end(const Text& text, size_t at) {
  if (!text.apostrophe(at)) return 0;
  for (const u32string_view tail : {U"s", U"m", U"d", U"ll", U"re", U"ve"})
    if (text.starts(at + 1, tail)) return at + 1 + tail.size();
  return 0;
}

bool is_negation(const Text& text, size_t at) {
  return text.lower(at) == U'n' && text.loose_apostrophe(at + 1) && text.lower(at + 2) == U't';
}

// `spelling` with any apostrophe that `typed` takes for its "'".
bool starts(const Text& text, size_t at, u32string_view spelling, bool straight) {
  for (size_t i = 0; i < spelling.size(); ++i)
    if (spelling[i] == U'\'' && !straight ? !text.apostrophe(at + i) : text.lower(at + i) != spelling[i])
      return false;
  return true;
}

}  // namespace

Match before_clitic(Text& text, size_t at) {
  if (const size_t end = word_end(text, at))
    if (const size_t seen = clitic_end(text, end)) return token_before(end, seen);
  const size_t end = text.skip_ascii_letters(at);
  if (end >= at + 2 && is_negation(text, end - 1) && text.lower(end - 2) != U'n')
    return token_before(end - 1, end + 2);
  return {};
}

Match clitic(Text& text, size_t at) {
  if (is_negation(text, at)) return token(at + 3, Written::clitic);
  const size_t end = clitic_end(text, at);
  // "'mores" begins with a quote; what is typographic is an apostrophe
  return end && (text[at] != U'\'' || !ascii_letter(text[end])) ? token_before(end, end + 1, Written::clitic)
                                                                : Match{};
}

Match elision(Text& text, size_t at) {
  const char32_t c = text[at];
  if (!ascii_letter(c)) {
    if (!text.alnum(at) || text.digit(at)) return {};
  } else if (text.loose_apostrophe(at + 1)) {
    const size_t end = skip_letters(text, at + 2);
    if (end >= at + 4 && c != U'I' && c != U'Y' && (ascii_capital(c) || c == U'n')) return token(end);
    if (text.apostrophe(at + 1) && in(text.lower(at), U"ldj")) return token(at + 2);
    if (text.apostrophe(at + 1) && text.lower(at) == U'y' && end > at + 2)
      return token_before(at + 2, at + 3);
    return {};
  }
  // Hawai'i, Xi'an, qu'il: between vowels, or before a capital
  const size_t end = skip_letters(text, at);
  if (end >= at + 2 && in(text.lower(end - 1), U"aeiouy") && text.loose_apostrophe(end) &&
      (in(text[end + 1], U"aeiou") || ascii_capital(text[end + 1])))
    return token(skip_letters(text, end + 1));
  return {};
}

Match slang(Text& text, size_t at) {
  for (const u32string_view word : {U"'em", U"'till", U"'til", U"'cause", U"'n'", U"ol'", U"dunkin'",
                                    U"somethin'", U"cap'n", U"c'est", U"o'o"})
    if (starts(text, at, word, false)) return token(at + word.size());
  for (const u32string_view word : {U"s'mores", U"c'mon", U"nor'easter", U"nat'l", U"e'er"})
    if (starts(text, at, word, true)) return token(at + word.size());
  if (starts(text, at, U"'n", false) && (text[at] != U'\'' || text.space(at + 2)))
    return token_before(at + 2, at + 3);
  return {};
}

Match decade(Text& text, size_t at) {
  if (!text.apostrophe(at) || !ascii_digit(text[at + 1])) return {};
  if (text[at + 1] >= U'2' && text.starts(at + 2, U"0s")) return token(at + 4);
  return ascii_digit(text[at + 2]) && text.space(at + 3) ? token_before(at + 3, at + 4) : Match{};
}

}  // namespace imgcap::ptb
