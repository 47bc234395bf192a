#include "imgcap/data/text_rules.h"

#include <utf8proc.h>

#include <algorithm>

#include "imgcap/data/tokenizer.h"
#include "imgcap/data/utf8.h"

namespace imgcap {
namespace {

utf8proc_category_t category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

int combining_class(utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; }

// Unicode's NFKC. utf8proc_map() would do, but for the time that it takes to order a long run of marks: its square.
std::u32string nfkc(std::string_view text) {
  constexpr size_t kLongest = 18;  // that one code point becomes (U+FDFA)
  std::vector<utf8proc_int32_t> codes;
  codes.reserve(text.size());
  while (!text.empty()) {
    const auto code = static_cast<utf8proc_int32_t>(take_code_point(text));
    if (code < 0x80) {
      codes.push_back(code);
      continue;
    }
    utf8proc_int32_t parts[kLongest];
    int last_boundary = 0;  // of graphemes, which nobody asks for
    const auto options =
        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE);
    const utf8proc_ssize_t count = utf8proc_decompose_char(code, parts, kLongest, options, &last_boundary);
    codes.insert(codes.end(), parts, parts + count);
  }
  for (auto at = codes.begin(); at != codes.end();) {
    const auto marks = std::find_if(at, codes.end(), [](auto c) { return combining_class(c) != 0; });
    at = std::find_if(marks, codes.end(), [](auto c) { return combining_class(c) == 0; });
    std::stable_sort(marks, at, [](auto a, auto b) { return combining_class(a) < combining_class(b); });
  }
  const utf8proc_ssize_t length =
      utf8proc_normalize_utf32(codes.data(), static_cast<utf8proc_ssize_t>(codes.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  return {codes.begin(), codes.begin() + length};
}

bool is_arabic(char32_t c) {
  return (c >= 0x600 && c < 0x700) || (c >= 0x750 && c < 0x780) || (c >= 0x870 && c < 0x900);
}

bool is_diacritic(char32_t c) {
  return is_arabic(c) && (category(c) == UTF8PROC_CATEGORY_MN || c == 0x6E5 || c == 0x6E6);
}

// Of text in NFKC.
void normalise(std::u32string& text, const Normalisation& what) {
  std::erase_if(
      text, [&](char32_t c) { return (what.tatweel && c == 0x640) || (what.diacritics && is_diacritic(c)); });
  for (char32_t& c : text) {
    if (what.alef && (c == 0x622 || c == 0x623 || c == 0x625 || c == 0x671)) c = 0x627;
    if (what.ya && (c == 0x649 || c == 0x6CC)) c = 0x64A;
    if (what.ta_marbuta && c == 0x629) c = 0x647;
  }
}

enum class Kind { word, mark, joiner, ignored, other };

Kind kind_of(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return Kind::word;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return Kind::mark;
    case UTF8PROC_CATEGORY_CF:
      return c == 0x200B ? Kind::other : c == 0x200C || c == 0x200D ? Kind::joiner : Kind::ignored;
    default:
      return Kind::other;
  }
}

std::vector<std::string> unicode_words(const std::u32string& text) {
  std::vector<std::string> words;
  std::u32string run;
  bool is_word = false;  // not marks alone
  char32_t joiner = 0;   // before the next character, if it is of the same word
  const auto finish = [&] {
    if (is_word) words.push_back(lower_case_utf8(run));
    run.clear();
    is_word = false;
  };
  for (const char32_t c : text) {
    const Kind kind = kind_of(c);
    if (kind == Kind::ignored) continue;
    if (kind == Kind::joiner) {
      joiner = c;
      continue;
    }
    if (kind == Kind::other) {
      finish();
    } else {
      if (joiner != 0 && !run.empty()) run += joiner;
      run += c;
      is_word = is_word || kind == Kind::word;
    }
    joiner = 0;
  }
  finish();
  return words;
}

}  // namespace

TextRules default_rules(std::string_view language) {
  TextRules rules;
  if (!language.empty() && language != "en") rules.tokenizer = Tokenizer::unicode;
  if (language == "ar") rules.alef = rules.ya = rules.ta_marbuta = rules.tatweel = rules.diacritics = true;
  return rules;
}

std::string describe(const Normalisation& what) {
  std::string text;
  const auto add = [&text](bool given, const char* name) {
    if (given) text += (text.empty() ? "" : ", ") + std::string(name);
  };
  add(what.alef, "alef");
  add(what.ya, "ya");
  add(what.ta_marbuta, "ta marbuta");
  add(what.tatweel, "tatweel");
  add(what.diacritics, "diacritics");
  return text;
}

std::string describe(const TextRules& rules) {
  const std::string what = describe(static_cast<const Normalisation&>(rules));
  return (rules.tokenizer == Tokenizer::spacy ? "spaCy tokens" : "unicode words") +
         (what.empty() ? "" : "; " + what);
}

std::string normalised(std::string_view text, const Normalisation& what) {
  if (!what.any()) return std::string(text);
  std::u32string codes = nfkc(text);
  normalise(codes, what);
  return encode_utf8(codes);
}

std::vector<std::string> tokenize(std::string_view line, const TextRules& rules) {
  if (rules.tokenizer == Tokenizer::spacy) return tokenize_spacy(normalised(line, rules));
  std::u32string text = nfkc(line);
  normalise(text, rules);
  return unicode_words(text);
}

}  // namespace imgcap
