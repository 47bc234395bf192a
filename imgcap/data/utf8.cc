#include "imgcap/data/utf8.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "imgcap/data/spacy_rules.h"

namespace imgcap {
namespace {

#include "imgcap/data/lower_case.inc"

// The length of the sequence at the front of `text`, 0 where it is malformed; Table 3-7 of the Unicode
// Standard.
size_t sequence_length(std::string_view text, char32_t& code) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) {
    code = lead;
    return 1;
  }
  const size_t length = lead >= 0xC2 && lead < 0xE0   ? 2
                        : lead >= 0xE0 && lead < 0xF0 ? 3
                        : lead >= 0xF0 && lead < 0xF5 ? 4
                                                      : 0;
  if (length == 0 || text.size() < length) return 0;
  code = lead & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3F);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool surrogate = code >= 0xD800 && code < 0xE000;
  return overlong || surrogate || code > 0x10FFFF ? 0 : length;
}

char32_t lower_case(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  const auto* run = std::upper_bound(std::begin(kLowerRuns), std::end(kLowerRuns), c,
                                     [](char32_t value, const LowerRun& r) { return value < r.first; });
  if (run == std::begin(kLowerRuns)) return c;
  --run;
  if (c > run->last || (c - run->first) % static_cast<char32_t>(run->step) != 0) return c;
  return static_cast<char32_t>(static_cast<int32_t>(c) + run->delta);
}

// Unicode's Final_Sigma: a cased letter before it, none after it, characters such as apostrophes skipped.
bool is_final_sigma(std::u32string_view token, size_t at) {
  const auto cased_next = [&](size_t i, size_t end, size_t step) {
    for (; i != end; i += step) {
      if (has_class(token[i], kCaseIgnorable)) continue;
      return has_class(token[i], kCased);
    }
    return false;
  };
  const size_t backwards = static_cast<size_t>(-1);
  return cased_next(at - 1, backwards, backwards) && !cased_next(at + 1, token.size(), 1);
}

}  // namespace

size_t find_invalid_utf8(std::string_view text) {
  char32_t code = 0;
  for (size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const size_t length = sequence_length(text.substr(i), code);
    if (length == 0) return i;
    i += length;
  }
  return kNoPosition;
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    char32_t code = 0;
    const size_t length = sequence_length(text, code);
    const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    if (length == 0 || control) {
      constexpr char kHex[] = "0123456789abcdef";
      for (const char c : text.substr(0, std::max<size_t>(length, 1))) {
        const auto byte = static_cast<unsigned char>(c);
        out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
      }
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

char32_t take_code_point(std::string_view& text) {
  char32_t code = 0xFFFD;
  const size_t length = sequence_length(text, code);
  text.remove_prefix(length == 0 ? 1 : length);
  return length == 0 ? 0xFFFD : code;
}

void append_utf8(std::string& out, char32_t c) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  }
}

std::u32string decode_utf8(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  while (!text.empty()) out.push_back(take_code_point(text));
  return out;
}

std::string encode_utf8(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char32_t c : text) append_utf8(out, c);
  return out;
}

std::string lower_case_utf8(std::u32string_view token) {
  std::string out;
  out.reserve(token.size());
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] == 0x130) {  // the only character whose lower case is two
      out += "i\u0307";
    } else if (token[i] == 0x3A3) {
      append_utf8(out, is_final_sigma(token, i) ? 0x3C2 : 0x3C3);
    } else {
      append_utf8(out, lower_case(token[i]));
    }
  }
  return out;
}

}  // namespace imgcap
