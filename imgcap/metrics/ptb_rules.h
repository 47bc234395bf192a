// The rules of the Penn Treebank tokeniser: each says which token it would make at a place. They were found
// by asking the official tool, and are written down here in our own words.
#pragma once

#include "imgcap/metrics/ptb_text.h"

namespace imgcap::ptb {

struct Match {
  size_t end = 0;   // of the token; 0: the rule makes none here
  size_t seen = 0;  // how far it looked: of several rules the one that saw most wins, the first of equals
  Written written = Written::as_read;
};

inline Match token(size_t end, Written written = Written::as_read) { return {end, end, written}; }
inline Match token_before(size_t end, size_t seen, Written written = Written::as_read) {
  return {end, seen, written};
}

using Rule = Match (*)(Text& text, size_t at);

// ptb_addresses.cc
Match tag(Text& text, size_t at);          // <a href="x">, </a>, <!-- x -->
Match declaration(Text& text, size_t at);  // <!doctype html>
Match url(Text& text, size_t at);          // http://a.org/b?c
Match www(Text& text, size_t at);          // www.a-b.de
Match host(Text& text, size_t at);         // a~b.com/c
Match mail(Text& text, size_t at);         // a.b@c.org
Match file_name(Text& text, size_t at);    // 5.txt
Match user_name(Text& text, size_t at);    // @name
Match hash_tag(Text& text, size_t at);     // #tag

// ptb_words.cc
// The end of letters and digits that begin with a letter, or 0; single . ! ? may stand between such pieces.
size_t word_end(const Text& text, size_t at);
Match word(Text& text, size_t at);           // dog, rees.com, a!b
Match joined(Text& text, size_t at);         // x-y, x_y, five-o'clock
Match listed(Text& text, size_t at);         // 1,000-seat, U.S.-led
Match slashed(Text& text, size_t at);        // and/or, 24/7
Match capitals(Text& text, size_t at);       // AT&T, A+B
Match before_period(Text& text, size_t at);  // "coffee." before a comma
Match programming(Text& text, size_t at);    // C++, C#, F#
Match dollars(Text& text, size_t at);        // US$
Match fused(Text& text, size_t at);          // can|not, gon|na, 't|is
Match acronym(Text& text, size_t at);        // U.S., A.
Match abbreviation(Text& text, size_t at);   // Mr., Inc., no. before a number
Match letter_at_end(Text& text, size_t at);  // the P of "P. The"

// ptb_apostrophes.cc
Match before_clitic(Text& text, size_t at);  // dog|'s, do|n't
Match clitic(Text& text, size_t at);         // 's, 'll, n't
Match elision(Text& text, size_t at);        // d', y', O'Neil, Hawai'i
Match slang(Text& text, size_t at);          // 'em, 'n', ol', s'mores
Match decade(Text& text, size_t at);         // '60s, '09

// ptb_numbers.cc
Match number(Text& text, size_t at);    // 7, 10,000, 9:20, -.5
Match fraction(Text& text, size_t at);  // 1 1/2
Match date(Text& text, size_t at);      // 1/1-20
Match phone(Text& text, size_t at);     // (555) 555-1234

// ptb_signs.cc
Match smiley(Text& text, size_t at);        // :-)
Match kaomoji(Text& text, size_t at);       // (^_^)
Match ellipsis(Text& text, size_t at);      // ..., . . .
Match run_of_signs(Text& text, size_t at);  // !?!, ***, --
Match two_quotes(Text& text, size_t at);    // ''
Match bracket_name(Text& text, size_t at);  // -LRB-
Match code_entity(Text& text, size_t at);   // &#39;
Match sign(Text& text, size_t at);          // any sign

}  // namespace imgcap::ptb
