// The characters of the Penn Treebank tokeniser: how it sorts them, and how it writes them.
#pragma once

#include <string>
#include <string_view>

namespace imgcap::ptb {

// The classes that imgcap/metrics/ptb_characters.inc gives, as the official tool shows them.
enum class Class {
  other,   // no token: controls, emoji, what Unicode 6 does not have
  letter,  // words, and the pieces of "x-y"
  mark,    // combining marks: in words only
  digit,   // of any script
  hyphen,  // U+2010, U+2011 and the Armenian one: inside words only
  sign,    // a token of its own
};
Class class_of(char32_t c);

inline bool ascii_digit(char32_t c) { return c >= U'0' && c <= U'9'; }
inline bool ascii_capital(char32_t c) { return c >= U'A' && c <= U'Z'; }
inline bool ascii_letter(char32_t c) { return ascii_capital(c) || (c >= U'a' && c <= U'z'); }
inline bool ascii_alnum(char32_t c) { return ascii_letter(c) || ascii_digit(c); }

bool is_space(char32_t c);
inline constexpr char32_t kSoftHyphen = 0xAD;  // a mark in words, not written

// What stands in a text for a character entity such as &amp;, above all of Unicode: the tool writes an entity
// by its name inside an address and as its sign elsewhere.
inline constexpr char32_t kFirstEntity = 0x110000;
inline constexpr char32_t kAmpersand = kFirstEntity, kApostrophe = kFirstEntity + 1, kLess = kFirstEntity + 3,
                          kFirstLetterEntity = kFirstEntity + 11;
inline bool is_letter_entity(char32_t c) { return c >= kFirstLetterEntity; }  // &eacute; and its kin

// Code points of a text in UTF-8, with entities resolved.
std::u32string read_characters(std::string_view utf8);

// How a token is written. In all of them a blank inside is a no-break space, so that no token falls apart;
// soft hyphens are left out.
enum class Written {
  as_read,      // characters as they are, entities by their names but for &
  address,      // &amp;, too
  parentheses,  // ( and ) as -LRB- and -RRB-: smileys, telephone numbers
  clitic,       // apostrophes as "'" or "`"
  sign,         // every bracket by its name, quotes in ASCII, the euro as $, a half as 1/2
  nothing,      // hyphens that are a dash, and "...": pycocoevalcap removes them
};
void append_written(std::u32string& out, char32_t c, Written written);

// pycocoevalcap's list of punctuation, less the names of brackets: it has these in capitals.
bool is_removed(std::string_view token);

}  // namespace imgcap::ptb
