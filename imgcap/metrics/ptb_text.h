// A text as the rules of the Treebank tokeniser look at it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "imgcap/metrics/ptb_characters.h"

namespace imgcap::ptb {

// A search that many positions share, so that it is made once: without it a line of "a@a@a@" or "<!a<!a"
// would take quadratic time. `mark` must lie behind a position for it to match up to `end`.
struct SharedSearch {
  size_t until = 0;  // what is below holds for positions before this one
  size_t mark = 0;
  size_t end = 0;  // 0: no match
};

class Text {
 public:
  explicit Text(std::u32string characters);

  size_t size() const { return characters_.size(); }
  char32_t operator[](size_t i) const { return i < size() ? characters_[i] : 0; }  // 0 behind the end
  char32_t lower(size_t i) const { return i < size() ? lower_[i] : 0; }            // as far as ASCII goes
  std::u32string_view part(size_t first, size_t end) const {
    return std::u32string_view(characters_).substr(first, end - first);
  }
  std::u32string_view lower_part(size_t first, size_t end) const {
    return std::u32string_view(lower_).substr(first, end - first);
  }
  bool starts(size_t i, std::u32string_view lower) const {
    return i < size() && std::u32string_view(lower_).substr(i).starts_with(lower);
  }
  bool is(size_t i, std::u32string_view set) const {
    return i < size() && set.find(characters_[i]) != std::u32string_view::npos;
  }

  bool digit(size_t i) const { return is_class(i, Class::digit); }               // of any script
  bool alnum(size_t i) const { return is_class(i, Class::letter) || digit(i); }  // without marks
  bool letter(size_t i) const { return is_class(i, Class::letter) || is_class(i, Class::mark); }
  bool letter_or_digit(size_t i) const { return letter(i) || digit(i); }
  bool hyphen(size_t i) const { return (*this)[i] == U'-' || is_class(i, Class::hyphen); }
  bool sign(size_t i) const { return is_class(i, Class::sign); }
  bool space(size_t i) const { return is_space((*this)[i]); }
  bool apostrophe(size_t i) const { return is(i, U"'\u2019\u0092") || (*this)[i] == kApostrophe; }
  // also what people type in its place: ` and a typographic opening quote
  bool loose_apostrophe(size_t i) const { return apostrophe(i) || is(i, U"`\u2018\u0091"); }

  // The first place from i on where `matches(place)` is false.
  template <class Matches>
  size_t skip(size_t i, Matches matches) const {
    while (i < size() && matches(i)) ++i;
    return i;
  }
  size_t skip_alnum(size_t i) const {
    return skip(i, [this](size_t k) { return alnum(k); });
  }
  size_t skip_digits(size_t i) const {
    return skip(i, [this](size_t k) { return digit(k); });
  }
  size_t skip_spaces(size_t i) const {
    return skip(i, [this](size_t k) { return space(k); });
  }
  size_t skip_ascii_letters(size_t i) const {
    return skip(i, [this](size_t k) { return ascii_letter((*this)[k]); });
  }
  size_t skip_ascii_alnum(size_t i) const {
    return skip(i, [this](size_t k) { return ascii_alnum((*this)[k]); });
  }

  SharedSearch mail, host, www_host, list, declaration;

 private:
  bool is_class(size_t i, Class kind) const { return i < size() && classes_[i] == kind; }

  std::u32string characters_, lower_;
  std::vector<Class> classes_;
};

}  // namespace imgcap::ptb
