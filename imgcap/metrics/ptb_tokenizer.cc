#include "imgcap/metrics/ptb_tokenizer.h"

#include <algorithm>
#include <initializer_list>

#include "imgcap/data/utf8.h"
#include "imgcap/metrics/ptb_characters.h"

namespace imgcap {
namespace {

using std::u32string_view;

bool contains(std::initializer_list<u32string_view> words, u32string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Abbreviations that keep their period wherever they stand.
bool is_abbreviation(u32string_view word, u32string_view lower) {
  if (contains(
          {// titles, ranks, places
           U"mr", U"mrs", U"ms", U"messrs", U"dr", U"drs", U"prof", U"rev", U"hon", U"st", U"ste", U"mt",
           U"ft", U"gov", U"sen", U"pres", U"gen", U"col", U"maj", U"capt", U"lt", U"sgt", U"cpl", U"pvt",
           U"cmdr", U"adm", U"jr", U"sr", U"bros", U"esq", U"ave", U"blvd", U"rd",
           // firms and institutions
           U"inc", U"co", U"cos", U"corp", U"ltd", U"plc", U"dept", U"univ", U"assn", U"intl",
           // months and days, less those that are words
           U"jan", U"feb", U"mar", U"apr", U"jun", U"jul", U"aug", U"sep", U"sept", U"oct", U"nov", U"dec",
           U"mon", U"tue", U"tues", U"wed", U"thu", U"thurs", U"fri",
           // states
           U"ala", U"ariz", U"calif", U"colo", U"conn", U"fla", U"ga", U"ky", U"md", U"mich", U"minn",
           U"mont", U"neb", U"nev", U"okla", U"tenn", U"va", U"vt", U"wis", U"wyo",
           // the rest
           U"etc", U"vs", U"al", U"cf"},
          lower))
    return true;
  // States and titles that are also words need their capital: "ill." ends a sentence, "Ill." is Illinois.
  return word[0] < 128 && word[0] != lower[0] &&
         contains({U"ark", U"del", U"ill", U"ind", U"kan", U"la", U"mass", U"miss", U"mo", U"ore", U"pa",
                   U"penn", U"tex", U"wash", U"rep"},
                  lower);
}

// Abbreviations that keep their period only before a number: "No. 5", "p. 12".
bool is_number_abbreviation(u32string_view lower) {
  return contains({U"no", U"nos", U"art", U"fig", U"figs", U"p", U"pp"}, lower);
}

class PtbLexer {
 public:
  PtbLexer(std::u32string text, std::vector<std::string>& out)
      : text_(std::move(text)), lower_(text_), out_(out) {
    for (char32_t& c : lower_)
      if (c >= U'A' && c <= U'Z') c += 32;
  }

  void run() {
    while (at_ < text_.size()) {
      const size_t before = at_;
      next();
      if (at_ == before) ++at_;  // a character that makes no word
    }
  }

 private:
  char32_t peek(size_t i) const { return i < text_.size() ? text_[i] : U'\n'; }
  bool alnum(size_t i) const { return ptb::is_letter(peek(i)) || ptb::is_digit(peek(i)); }
  bool starts(size_t i, u32string_view lower) const {
    return u32string_view(lower_).substr(i).starts_with(lower);
  }
  size_t skip_alnum(size_t i) const {
    while (alnum(i)) ++i;
    return i;
  }
  size_t skip_digits(size_t i) const {
    while (ptb::is_digit(peek(i))) ++i;
    return i;
  }

  // One token [at_, end), or two when `cut` lies inside.
  void take(size_t end, size_t cut = 0) {
    if (cut > at_ && cut < end) {
      emit(u32string_view(text_).substr(at_, cut - at_));
      at_ = cut;
    }
    emit(u32string_view(text_).substr(at_, end - at_));
    at_ = end;
  }

  void emit(u32string_view token) {
    std::u32string shown;
    for (const char32_t c : token) ptb::append_escaped(shown, c);
    std::string word = lower_case_utf8(shown);
    if (!ptb::is_removed_punctuation(word)) out_.push_back(std::move(word));
  }

  void next() {
    const char32_t c = peek(at_);
    if (ptb::is_space(c)) return;
    if (starts(at_, U"...")) return skip_ellipsis();
    if (const size_t end = smiley_end()) return take(end);
    if (const size_t end = number_end(); end > 0 && !alnum(at_)) return take(end);  // "-5", ".99"
    if (alnum(at_)) return word();
    if (c == U'\'') return apostrophe();
    if (c == U'<')
      if (const size_t end = tag_end()) return take(end);
    if ((c == U'#' || c == U'@') && ptb::is_letter(peek(at_ + 1))) {  // hash tags and user names
      size_t end = at_ + 1;
      while (alnum(end) || peek(end) == U'_') ++end;
      return take(end);
    }
    if (c == U'!' || c == U'?' || c == U'*' || c == U'_') {  // runs: "!!" is a word, "!" is none
      size_t end = at_;
      while (peek(end) == c || ((c == U'!' || c == U'?') && (peek(end) == U'!' || peek(end) == U'?'))) ++end;
      return take(end);
    }
    if (ptb::is_sign(c)) take(at_ + 1);
  }

  // Up to five periods are one "...", which pycocoevalcap removes: ".5" after them is no number.
  void skip_ellipsis() {
    const size_t first = at_;
    while (at_ < first + 5 && peek(at_) == U'.') ++at_;
  }

  // :) ;-D =P and the like, when no word follows directly.
  size_t smiley_end() const {
    size_t i = at_;
    if (peek(i) == U'<' || peek(i) == U'>') ++i;
    if (u32string_view(U":;=").find(peek(i)) == u32string_view::npos) return 0;
    ++i;
    if (u32string_view(U"-o*'").find(peek(i)) != u32string_view::npos) ++i;
    if (u32string_view(U"()DPdpO\\{@|[]").find(peek(i)) == u32string_view::npos) return 0;
    return alnum(i + 1) ? 0 : i + 1;
  }

  // 7, 10,000, 9:20, .99, -5, +8.
  size_t number_end() const {
    size_t i = at_;
    if (peek(i) == U'-' || peek(i) == U'+') ++i;
    size_t end = skip_digits(i);
    bool any = end > i;
    while ((peek(end) == U'.' || peek(end) == U',' || peek(end) == U':') && ptb::is_digit(peek(end + 1))) {
      end = skip_digits(end + 1);
      any = true;
    }
    return any ? end : 0;
  }

  // <tag>, </tag>, <tag name="value"/>; blanks only where there are attributes
  size_t tag_end() const {
    size_t i = at_ + 1;
    if (peek(i) == U'/') ++i;
    if (!ptb::is_letter(peek(i)) || peek(i) >= 128) return 0;
    bool blank = false;
    bool attribute = false;
    for (; i < text_.size() && peek(i) != U'>' && peek(i) != U'<'; ++i) {
      blank = blank || ptb::is_space(peek(i));
      attribute = attribute || peek(i) == U'=';
    }
    return peek(i) == U'>' && (attribute || !blank) ? i + 1 : 0;
  }

  // 's, 'm, 'd, 'll, 're, 've that end at a word's end.
  size_t clitic_end(size_t i) const {
    if (peek(i) != U'\'') return 0;
    for (const u32string_view tail : {U"ll", U"re", U"ve", U"s", U"m", U"d"})
      if (starts(i + 1, tail) && !alnum(i + 1 + tail.size())) return i + 1 + tail.size();
    return 0;
  }

  void apostrophe() {
    if (starts(at_, U"'n'") && !alnum(at_ + 3)) return take(at_ + 3);  // slip 'n' slide
    if (const size_t end = clitic_end(at_)) return take(end);
    for (const u32string_view elided : {U"'n", U"'em", U"'til", U"'till", U"'cause"})
      if (starts(at_, elided) && !alnum(at_ + elided.size())) return take(at_ + elided.size());
    for (const u32string_view joined : {U"'tis", U"'twas"})
      if (starts(at_, joined) && !alnum(at_ + joined.size())) return take(at_ + joined.size(), at_ + 2);
    if (ptb::is_digit(peek(at_ + 1)) && ptb::is_digit(peek(at_ + 2))) {  // '09, '60s
      const size_t end = at_ + 3 + (starts(at_ + 3, U"s") ? 1 : 0);
      if (!alnum(end)) return take(end);
    }
  }

  // A token that begins with a letter or digit: the longest of the forms below.
  void word() {
    if (const size_t end = address_end()) return take(end);
    const size_t plain = plain_word_end();
    size_t end = plain;
    const auto longer = [&](size_t other) { end = std::max(end, other); };
    longer(number_end());
    longer(hyphenated_end());
    longer(slashed_end());
    longer(ampersand_end());
    longer(elision_end());
    if (end == plain) return finish_plain(end);
    finish(end);
  }

  // letters and digits; after a letter also single . ! ? between letters ("rees.com")
  size_t plain_word_end() const {
    size_t end = skip_alnum(at_);
    if (ptb::is_digit(peek(at_))) return end;
    while ((peek(end) == U'.' || peek(end) == U'!' || peek(end) == U'?') && ptb::is_letter(peek(end + 1)))
      end = skip_alnum(end + 1);
    return end;
  }

  // 10-year-old, t-shirt, U.S.-led, 1,000-seat
  size_t hyphenated_end() {
    if (at_ >= run_end_) {  // remembered, so that "a,a,a,..." is scanned once
      run_end_ = at_;
      while (alnum(run_end_) || peek(run_end_) == U'.' || peek(run_end_) == U',') ++run_end_;
    }
    size_t end = run_end_;
    while (peek(end) == U'-' && alnum(end + 1)) {
      const size_t acronym = acronym_end(end + 1);
      end = acronym ? acronym : skip_alnum(end + 1);
    }
    return end > run_end_ ? end : 0;
  }

  // U.S. with its last period
  size_t acronym_end(size_t i) const {
    size_t end = i;
    while (ptb::is_letter(peek(end)) && peek(end + 1) == U'.') end += 2;
    return end >= i + 4 && !alnum(end) ? end : 0;
  }

  // and/or, 24/7: two or three pieces
  size_t slashed_end() const {
    size_t end = slash_piece_end(at_);
    size_t pieces = 1;
    while (pieces < 3 && peek(end) == U'/' && alnum(end + 1)) {
      end = slash_piece_end(end + 1);
      ++pieces;
    }
    return pieces > 1 ? end : 0;
  }
  size_t slash_piece_end(size_t i) const {
    size_t end = skip_alnum(i);
    for (int hyphens = 0; hyphens < 2 && peek(end) == U'-' && ptb::is_letter(peek(end + 1)); ++hyphens) {
      ++end;
      while (ptb::is_letter(peek(end))) ++end;
    }
    return end;
  }

  // A&M, AT&T: capitals only
  size_t ampersand_end() const {
    const auto capitals = [&](size_t i) {
      while (peek(i) >= U'A' && peek(i) <= U'Z') ++i;
      return i;
    };
    size_t end = capitals(at_);
    while ((peek(end) == U'&' || peek(end) == U'+') && capitals(end + 1) > end + 1) end = capitals(end + 1);
    return end;  // of capitals alone: no longer than the plain word
  }

  // o'clock, d'oeuvres, L'Oreal, and a few words with an apostrophe of their own
  size_t elision_end() const {
    if (u32string_view(U"dol").find(peek_lower(at_)) != u32string_view::npos && peek(at_ + 1) == U'\'' &&
        alnum(at_ + 2) && clitic_end(at_ + 1) == 0)
      return skip_alnum(at_ + 2);
    for (const u32string_view word : {U"y'all", U"ol'", U"ma'am"})
      if (starts(at_, word) && !alnum(at_ + word.size())) return at_ + word.size();
    return 0;
  }
  char32_t peek_lower(size_t i) const { return i < lower_.size() ? lower_[i] : U'\n'; }

  // http://..., www..., name@host
  size_t address_end() {
    if (starts(at_, U"http://") || starts(at_, U"https://") || starts(at_, U"www.")) {
      size_t end = at_;
      while (end < text_.size() && !ptb::is_space(peek(end)) &&
             u32string_view(U"\"'`<>|(){}[]").find(peek(end)) == u32string_view::npos)
        ++end;
      while (end > at_ && u32string_view(U".,;:!?-").find(peek(end - 1)) != u32string_view::npos) --end;
      return end;
    }
    const auto name = [&](size_t i) {
      return alnum(i) || u32string_view(U"._%+-").find(peek(i)) != u32string_view::npos;
    };
    if (at_ >= name_end_) {
      name_end_ = at_;
      while (name(name_end_)) ++name_end_;
    }
    if (peek(name_end_) != U'@' || !alnum(name_end_ + 1)) return 0;
    size_t end = name_end_ + 1;
    bool dot = false;
    while (alnum(end) || ((peek(end) == U'.' || peek(end) == U'-') && alnum(end + 1))) {
      dot = dot || peek(end) == U'.';
      ++end;
    }
    return dot ? end : 0;
  }

  void finish_plain(size_t end) {
    const u32string_view lower = u32string_view(lower_).substr(at_, end - at_);
    const u32string_view word = u32string_view(text_).substr(at_, end - at_);
    if (peek(end) == U'$' && end - at_ <= 2 &&
        std::all_of(word.begin(), word.end(), [](char32_t c) { return c >= U'A' && c <= U'Z'; }))
      return take(end + 1);  // US$, A$
    if (const size_t acronym = acronym_end(at_)) return take(acronym);
    if (peek(end) == U'.') {
      if (is_abbreviation(word, lower) || contains({U"ph.d", U"ed.d"}, lower)) return take(end + 1);
      if (is_number_abbreviation(lower)) {
        size_t i = end + 1;
        while (peek(i) == U' ' && i < end + 3) ++i;
        if (ptb::is_digit(peek(i))) return take(end + 1);
      }
      if (word.size() == 1 && ptb::is_letter(word[0]) && peek(end + 1) == U' ') return take(end + 1);
    }
    if (lower == U"cannot") return take(end, at_ + 3);
    if (contains({U"gonna", U"gotta", U"wanna", U"lemme", U"gimme"}, lower)) return take(end, end - 2);
    finish(end);
  }

  void finish(size_t end) {
    // don't: the n goes with its apostrophe
    if (peek_lower(end - 1) == U'n' && peek(end) == U'\'' && peek_lower(end + 1) == U't' && !alnum(end + 2))
      return take(end + 2, end - 1);
    // inside a sentence the period belongs to the word: "Jr.,"
    if (peek(end) == U'.' && ptb::is_letter(peek(at_)) &&
        u32string_view(U",;:").find(peek(end + 1)) != u32string_view::npos)
      ++end;
    take(end);
  }

  const std::u32string text_;  // apostrophes and character entities already made plain
  std::u32string lower_;       // the same in lower case, as far as ASCII goes
  std::vector<std::string>& out_;
  size_t at_ = 0;
  size_t run_end_ = 0, name_end_ = 0;
};

}  // namespace

std::vector<std::string> tokenize_ptb(std::string_view caption) {
  std::vector<std::string> out;
  PtbLexer(ptb::plain_characters(caption), out).run();
  return out;
}

}  // namespace imgcap
