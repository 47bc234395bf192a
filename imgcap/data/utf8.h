// UTF-8 to code points and back, and lower case as Python's str.lower() gives it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace imgcap {

inline constexpr size_t kNoPosition = static_cast<size_t>(-1);

// The byte position of the first malformed sequence (overlong forms, surrogates and code points over U+10FFFF
// are malformed), or kNoPosition where the whole text is valid UTF-8.
size_t find_invalid_utf8(std::string_view text);

// For a terminal: control characters and malformed bytes become \x1b, the rest stays. Names of files may hold
// both.
std::string printable(std::string_view text);

// One code point from the front of `text` (not empty), which is shortened by it. A malformed sequence gives
// U+FFFD and takes one byte.
char32_t take_code_point(std::string_view& text);

void append_utf8(std::string& out, char32_t code);
std::u32string decode_utf8(std::string_view text);  // malformed bytes become U+FFFD
std::string encode_utf8(std::u32string_view text);

// Lower case of one whole token: a capital sigma at the end of a word becomes the final form.
std::string lower_case_utf8(std::u32string_view token);

}  // namespace imgcap
