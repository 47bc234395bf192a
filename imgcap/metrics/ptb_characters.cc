#include "imgcap/metrics/ptb_characters.h"

#include <array>
#include <utility>

#include "imgcap/data/utf8.h"

namespace imgcap::ptb {
namespace {

constexpr char32_t kLess = 0x110000;
constexpr char32_t kGreater = 0x110001;
constexpr size_t kLongestEntity = 6;  // "&nbsp;"

bool between(char32_t c, char32_t first, char32_t last) { return c >= first && c <= last; }

bool is_quote(char32_t c) {
  return c == U'"' || c == U'\'' || c == U'`' || c == 0xAB || c == 0xBB || between(c, 0x2018, 0x201F) ||
         c == 0x2039 || c == 0x203A || c == 0xB4;
}

}  // namespace

bool is_space(char32_t c) {
  return between(c, 9, 13) || c == U' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         between(c, 0x2000, 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_letter(char32_t c) {
  if (c < 128) return between(c | 32, U'a', U'z');
  if (c == 0xAA || c == 0xB5 || c == 0xBA) return true;
  if (between(c, 0xC0, 0x1FFF)) return c != 0xD7 && c != 0xF7 && c != 0x37E && c != 0x387 && c != 0x1680;
  return between(c, 0x2C00, 0x2DFF) || between(c, 0x3005, 0x3007) || between(c, 0x3041, 0xD7FF) ||
         between(c, 0xF900, 0xFDFF) || between(c, 0xFE70, 0xFEFC) || between(c, 0xFF21, 0xFF3A) ||
         between(c, 0xFF41, 0xFF5A) || between(c, 0xFF66, 0xFFDC);
}

bool is_sign(char32_t c) {
  if (c < 128) return between(c, 33, 126) && !is_digit(c) && !is_letter(c);
  return between(c, 0xA1, 0xBF) || c == 0xD7 || c == 0xF7 || c == 0x37E || c == 0x387 ||
         between(c, 0x2010, 0x2027) || between(c, 0x2030, 0x205E) || between(c, 0x20A0, 0x2BFF) ||
         between(c, 0x3001, 0x3004) || between(c, 0x3008, 0x3020) || between(c, 0xFF01, 0xFF0F) ||
         c == kLess || c == kGreater;
}

std::u32string plain_characters(std::string_view utf8) {
  static constexpr std::array<std::pair<std::string_view, char32_t>, 6> kEntities{{{"&amp;", U'&'},
                                                                                   {"&lt;", kLess},
                                                                                   {"&gt;", kGreater},
                                                                                   {"&quot;", U'"'},
                                                                                   {"&apos;", U'\''},
                                                                                   {"&nbsp;", U' '}}};
  std::u32string out;
  out.reserve(utf8.size());
  while (!utf8.empty()) {
    bool resolved = false;
    if (utf8.front() == '&' && utf8.substr(0, kLongestEntity).find(';') != std::string_view::npos)
      for (const auto& [name, code] : kEntities)
        if (utf8.starts_with(name)) {
          out.push_back(code);
          utf8.remove_prefix(name.size());
          resolved = true;
          break;
        }
    if (resolved) continue;
    const char32_t c = take_code_point(utf8);
    if (c == 0xAD) continue;
    out.push_back(c == 0x2019 || c == 0x92 ? U'\'' : c == U'\t' || c == U'\n' ? U' ' : c);
  }
  return out;
}

void append_escaped(std::u32string& out, char32_t c) {
  switch (c) {
    case U'(':
      out += U"-LRB-";
      break;
    case U')':
      out += U"-RRB-";
      break;
    case U'[':
      out += U"-LSB-";
      break;
    case U']':
      out += U"-RSB-";
      break;
    case U'{':
      out += U"-LCB-";
      break;
    case U'}':
      out += U"-RCB-";
      break;
    case U'/':
      out += U"\\/";
      break;
    case U'*':
      out += U"\\*";
      break;
    case 0xA2:
      out += U"cents";
      break;
    case 0xA3:
      out += U'#';
      break;
    case 0x20AC:
      out += U'$';
      break;
    case 0xBC:
      out += U"1\\/4";
      break;
    case 0xBD:
      out += U"1\\/2";
      break;
    case 0xBE:
      out += U"3\\/4";
      break;
    case 0x2153:
      out += U"1\\/3";
      break;
    case 0x2154:
      out += U"2\\/3";
      break;
    case 0x2026:
      out += U"...";
      break;
    case kLess:
      out += U'<';
      break;
    case kGreater:
      out += U'>';
      break;
    default:
      out += c;
  }
}

bool is_removed_punctuation(std::string_view token) {
  for (const std::string_view mark : {".", ",", ":", ";", "?", "!", "-", "--", "..."})
    if (token == mark) return true;
  std::string_view rest = token;
  const char32_t c = take_code_point(rest);
  return rest.empty() && (is_quote(c) || between(c, 0x2010, 0x2015));  // these come out as ``, '' or --
}

}  // namespace imgcap::ptb
