// The character classes and the prefix, suffix, infix and URL rules of spaCy's English tokeniser (3.8, MIT
// License), as hand-written matchers: std::regex is far too slow, and knows no Unicode classes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace imgcap {

// spacy_characters.inc says which code points are in which class.
enum CharacterClass : uint16_t {
  kSpace = 1 << 0,      // Python's str.isspace()
  kAlpha = 1 << 1,      // spaCy's ALPHA
  kLower = 1 << 2,      // spaCy's ALPHA_LOWER, which also holds letters without case
  kUpper = 1 << 3,      // spaCy's ALPHA_UPPER, likewise
  kQuote = 1 << 4,      // spaCy's CONCAT_QUOTES
  kBeforeDot = 1 << 5,  // a full stop after one of these is a suffix
  kWord = 1 << 6,       // \w of Python's re
  kDigit = 1 << 7,      // \d of Python's re
  kPrefix = 1 << 8,     // a prefix alone, whatever follows
  kSuffix = 1 << 9,     // a suffix alone, whatever precedes
  kInfix = 1 << 10,     // an infix alone, whatever surrounds it
  kCased = 1 << 11,     // Unicode's Cased and not Case_Ignorable
  kCaseIgnorable = 1 << 12,
};

// The classes (bits of CharacterClass) of a code point.
uint16_t character_classes(char32_t c);
inline bool has_class(char32_t c, unsigned classes) { return (character_classes(c) & classes) != 0; }

// The length of the prefix that spaCy splits off, 0 if none.
size_t spacy_prefix(std::u32string_view text);

// The length of the suffix that spaCy splits off, 0 if none.
size_t spacy_suffix(std::u32string_view text);

// The length of the infix that starts at `at`, 0 if none.
size_t spacy_infix(std::u32string_view text, size_t at);

// Whether the whole text (without blanks) is what spaCy takes for a URL: also an e-mail address or a bare
// host name. Linear time.
bool spacy_url(std::u32string_view text);

// Whole exceptions: UTF-8 parts joined by U+001F, in code point order.
std::span<const char* const> spacy_exceptions();

}  // namespace imgcap
