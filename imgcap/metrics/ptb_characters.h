// The character classes of the Penn Treebank tokeniser.
#pragma once

#include <string>
#include <string_view>

namespace imgcap::ptb {

bool is_space(char32_t c);
bool is_letter(char32_t c);  // also combining marks, which only ever follow letters
inline bool is_digit(char32_t c) { return c >= U'0' && c <= U'9'; }

// Signs that are tokens of their own, punctuation among them; other characters (emoji, controls) are left
// out.
bool is_sign(char32_t c);

// Code points with &amp; and its kin resolved, typographic apostrophes as "'", soft hyphens gone. A resolved
// &lt; or &gt; opens no tag, so it gets a code of its own above Unicode, which append_escaped() turns into
// the sign.
std::u32string plain_characters(std::string_view utf8);

// What the Treebank writes for a character: -LRB- for (, \/ for /, $ for the euro, 1\/2 for a half.
void append_escaped(std::u32string& out, char32_t c);

// The tokens that pycocoevalcap removes, as far as they can occur after lower-casing.
bool is_removed_punctuation(std::string_view token);

}  // namespace imgcap::ptb
