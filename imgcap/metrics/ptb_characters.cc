#include "imgcap/metrics/ptb_characters.h"

#include <algorithm>
#include <iterator>

#include "imgcap/data/utf8.h"

namespace imgcap::ptb {
namespace {

struct Span {
  char32_t first, last;
  Class kind;
};

constexpr Span kSpans[] = {
#include "imgcap/metrics/ptb_characters.inc"
};

struct EntityName {
  std::u32string_view name;  // in lower case
  std::u32string_view sign;
  bool any_case = true;
};

// The first two and the letters stand where the header says. What is not here falls apart: "& copy ;".
constexpr EntityName kEntities[] = {
    {U"&amp;", U"&"},
    {U"&apos;", U"'", false},
    {U"&quot;", U"''", false},
    {U"&lt;", U"<"},
    {U"&gt;", U">"},
    {U"&nbsp;", U""},
    {U"&mdash;", U"--"},
    {U"&ndash;", U"--"},
    {U"&md;", U"--"},
    // in capitals, and not what they say
    {U"&quot;", U"&quot;"},
    {U"&apos;", U"&apos;"},
    // letters
    {U"&aacute;", U""},
    {U"&agrave;", U""},
    {U"&auml;", U""},
    {U"&eacute;", U""},
    {U"&egrave;", U""},
    {U"&euml;", U""},
    {U"&iacute;", U""},
    {U"&igrave;", U""},
    {U"&iuml;", U""},
    {U"&oacute;", U""},
    {U"&ograve;", U""},
    {U"&ouml;", U""},
    {U"&uacute;", U""},
    {U"&ugrave;", U""},
    {U"&uuml;", U""},
};
constexpr size_t kLongestEntity = 8;

bool between(char32_t c, char32_t first, char32_t last) { return c >= first && c <= last; }

// The entity that `text` begins with, as a code point above Unicode, or 0; it is taken off.
char32_t take_entity(std::string_view& text) {
  const size_t end = text.substr(0, kLongestEntity).find(';');
  if (end == std::string_view::npos) return 0;
  for (size_t i = 0; i < std::size(kEntities); ++i) {
    const EntityName& entity = kEntities[i];
    const auto same = [&entity](char c, char32_t want) {
      const bool capital = c >= 'A' && c <= 'Z';
      return static_cast<char32_t>(capital && entity.any_case ? c + 32 : c) == want;
    };
    const std::string_view name = text.substr(0, end + 1);
    if (!std::equal(name.begin(), name.end(), entity.name.begin(), entity.name.end(), same)) continue;
    text.remove_prefix(name.size());
    return kFirstEntity + static_cast<char32_t>(i);
  }
  return 0;
}

// What a sign is written as that is not written as itself.
std::u32string_view sign_text(char32_t c) {
  switch (c) {
    case U'`':
    case 0x91:
    case 0x2018:
    case 0x201B:
    case 0x2039:
      return U"`";
    case 0x92:
    case 0x2019:
    case 0x203A:
      return U"'";
    case 0x93:
    case 0xAB:
    case 0x201C:
      return U"``";
    case U'"':
    case 0x94:
    case 0xBB:
    case 0x201D:
      return U"''";
    case 0x96:
    case 0x97:
    case 0x2013:
    case 0x2014:
    case 0x2015:
      return U"--";
    case 0x2026:
      return U"...";
    case U'(':
      return U"-LRB-";
    case U')':
      return U"-RRB-";
    case U'[':
      return U"-LSB-";
    case U']':
      return U"-RSB-";
    case U'{':
      return U"-LCB-";
    case U'}':
      return U"-RCB-";
    case 0xA2:
      return U"cents";
    case 0xA3:
      return U"#";
    case 0x80:
    case 0xA4:
    case 0x20A0:
    case 0x20AC:
      return U"$";
    case 0xBC:
      return U"1/4";
    case 0xBD:
      return U"1/2";
    case 0xBE:
      return U"3/4";
    case 0x2153:
      return U"1/3";
    case 0x2154:
      return U"2/3";
    default:
      return {};
  }
}

}  // namespace

Class class_of(char32_t c) {
  if (c < 0x80) {
    if (ascii_letter(c)) return Class::letter;
    return ascii_digit(c) ? Class::digit : between(c, U'!', U'~') ? Class::sign : Class::other;
  }
  if (c == kSoftHyphen) return Class::mark;
  if (c >= kFirstEntity) return is_letter_entity(c) ? Class::mark : Class::sign;
  const Span* span = std::upper_bound(std::begin(kSpans), std::end(kSpans), c,
                                      [](char32_t code, const Span& s) { return code < s.first; });
  return span != std::begin(kSpans) && c <= (--span)->last ? span->kind : Class::other;
}

bool is_space(char32_t c) {
  return between(c, 9, 13) || c == U' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         between(c, 0x2000, 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

std::u32string read_characters(std::string_view utf8) {
  std::u32string out;
  out.reserve(utf8.size());
  while (!utf8.empty()) {
    const char32_t entity = utf8.front() == '&' ? take_entity(utf8) : 0;
    out.push_back(entity != 0 ? entity : take_code_point(utf8));
  }
  return out;
}

void append_written(std::u32string& out, char32_t c, Written written) {
  const bool sign = written == Written::sign || (written == Written::parentheses && (c == U'(' || c == U')'));
  if (written == Written::nothing || (c == kSoftHyphen && written != Written::address)) return;
  if (c == U' ')
    out += char32_t{0xA0};
  else if (written == Written::clitic && (c == kApostrophe || c == 0x2019 || c == 0x92))
    out += U'\'';
  else if (written == Written::clitic && (c == 0x2018 || c == 0x91))
    out += U'`';
  else if (c == kAmpersand && written != Written::address)
    out += U'&';
  else if (c >= kFirstEntity)
    out += written == Written::sign && !is_letter_entity(c) ? kEntities[c - kFirstEntity].sign
                                                            : kEntities[c - kFirstEntity].name;
  else if (const auto text = sign ? sign_text(c) : std::u32string_view(); !text.empty())
    out += text;
  else
    out += c;
}

bool is_removed(std::string_view token) {
  for (const std::string_view mark : {"''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"})
    if (token == mark) return true;
  return false;
}

}  // namespace imgcap::ptb
