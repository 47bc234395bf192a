// Words, what joins them, and abbreviations.
#include <algorithm>
#include <initializer_list>

#include "imgcap/metrics/ptb_rules.h"

namespace imgcap::ptb {
namespace {

using std::u32string_view;

bool contains(std::initializer_list<u32string_view> words, u32string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

size_t capitals_end(const Text& text, size_t at) {
  return text.skip(at, [&](size_t k) { return ascii_capital(text[k]); });
}

// Letters and digits, with d' o' l' before them.
size_t joined_piece_end(const Text& text, size_t at) {
  const bool elided = (text.lower(at) == U'd' || text.lower(at) == U'o' || text.lower(at) == U'l') &&
                      text.loose_apostrophe(at + 1) && text.alnum(at + 2) && text.alnum(at + 3);
  return text.skip_alnum(elided ? at + 2 : at);
}

size_t joined_end(const Text& text, size_t at) {
  size_t end = joined_piece_end(text, at);
  while (end > at && (text.hyphen(end) || text[end] == U'_') && text.alnum(end + 1))
    end = joined_piece_end(text, end + 1);
  return end;
}

// Single letters with a period each, of which there are `least` at least; 0: there are not.
size_t acronym_end(const Text& text, size_t at, size_t least) {
  size_t end = at;
  while (ascii_letter(text[end]) && text[end + 1] == U'.') end += 2;
  return end >= at + 2 * least ? end : 0;
}

size_t listed_end(Text& text, size_t at) {
  if (!ascii_alnum(text[at])) return at;
  SharedSearch& found = text.list;
  if (at >= found.until)
    found.until = text.skip(at, [&](size_t k) { return ascii_alnum(text[k]) || text.is(k, U".,"); });
  size_t end = found.until;
  while (text[end] == U'-' && ascii_alnum(text[end + 1])) {
    const size_t acronym = acronym_end(text, end + 1, 2);
    end = acronym ? acronym : text.skip_ascii_alnum(end + 1);
  }
  return end > found.until ? end : at;
}

// [&+] between words in capitals.
size_t ampersand_end(const Text& text, size_t at) {
  const size_t first = capitals_end(text, at);
  size_t end = first;
  while (end > at && (text.is(end, U"&+") || text[end] == kAmpersand) && ascii_capital(text[end + 1]))
    end = capitals_end(text, end + 1);
  return end > first ? end : at;
}

Match token_or_none(size_t at, size_t end) { return end > at ? token(end) : Match{}; }

// Abbreviations that keep their period wherever they stand: titles, ranks and the like,
bool is_title(u32string_view lower) {
  return contains({U"adj",  U"adm",  U"adv",   U"alex", U"assoc", U"asst", U"ave",   U"atty",   U"attys",
                   U"brig", U"capt", U"cf",    U"cie",  U"cmdr",  U"col",  U"comdr", U"cpl",    U"dept",
                   U"det",  U"dr",   U"drs",   U"elec", U"ens",   U"esq",  U"ft",    U"gen",    U"gov",
                   U"govs", U"hon",  U"insp",  U"jos",  U"lieut", U"lt",   U"maj",   U"messrs", U"mlle",
                   U"mme",  U"mr",   U"mrs",   U"ms",   U"msgr",  U"mt",   U"natl",  U"pfc",    U"ph",
                   U"pres", U"prof", U"profs", U"pvt",  U"rep",   U"reps", U"rev",   U"sen",    U"sens",
                   U"sfc",  U"sgt",  U"spc",   U"st",   U"ste",   U"supt", U"treas", U"vs",     U"wm"},
                  lower);
}

// and months, days, states and firms, which may also end a sentence.
bool may_end_sentence(u32string_view lower) {
  return contains(
      {U"al",    U"ala", U"apr",  U"ariz", U"assn", U"aug", U"bancorp", U"bhd",  U"bldg", U"blvd", U"bros",
       U"calif", U"co",  U"colo", U"conn", U"corp", U"cos", U"ct",      U"dak",  U"dec",  U"ed.d", U"esq",
       U"est",   U"etc", U"ext",  U"feb",  U"fla",  U"fri", U"ga",      U"inc",  U"ind",  U"intl", U"jan",
       U"jr",    U"jul", U"jun",  U"kan",  U"kans", U"ky",  U"ltd",     U"mar",  U"md",   U"mich", U"minn",
       U"mo",    U"mon", U"mont", U"neb",  U"nev",  U"nov", U"oct",     U"okla", U"penn", U"ph.d", U"plc",
       U"rd",    U"rt",  U"sep",  U"sept", U"seq",  U"sq",  U"sr",      U"sys",  U"tel",  U"tenn", U"thu",
       U"thurs", U"tue", U"tues", U"univ", U"va",   U"vt",  U"wed",     U"wis",  U"wisc", U"wyo"},
      lower);
}

// States that are also words: "Ill. is a state", but "he is ill."
bool needs_capital(u32string_view lower) {
  return contains({U"ark", U"az", U"del", U"ill", U"la", U"mass", U"miss", U"ore", U"pa", U"tex", U"wash"},
                  lower);
}

bool stands_before_number(u32string_view lower) {
  return contains({U"art", U"ca", U"fig", U"figs", U"no", U"nos", U"op", U"pp", U"prop"}, lower);
}

// Words that, with a capital, tell that a sentence begins.
bool begins_sentence(u32string_view lower) {
  return contains(
      {U"a",    U"about", U"according", U"after",   U"an",    U"as",   U"at",    U"but",   U"earlier",
       U"he",   U"her",   U"here",      U"however", U"if",    U"in",   U"it",    U"last",  U"many",
       U"more", U"now",   U"once",      U"one",     U"other", U"our",  U"she",   U"since", U"so",
       U"some", U"such",  U"that",      U"the",     U"their", U"then", U"there", U"these", U"they",
       U"this", U"we",    U"what",      U"when",    U"while", U"yet",  U"you"},
      lower);
}

}  // namespace

size_t word_end(const Text& text, size_t at) {
  const auto piece = [&](size_t k) { return text.letter_or_digit(k); };
  if (!text.letter(at)) return 0;
  size_t end = text.skip(at, piece);
  while (text.is(end, U".!?") && text.letter(end + 1)) end = text.skip(end + 1, piece);
  return end;
}

Match word(Text& text, size_t at) { return token_or_none(at, word_end(text, at)); }

Match joined(Text& text, size_t at) { return token_or_none(at, joined_end(text, at)); }

Match listed(Text& text, size_t at) { return token_or_none(at, listed_end(text, at)); }

Match capitals(Text& text, size_t at) { return token_or_none(at, ampersand_end(text, at)); }

// Two or three pieces, each with up to two more words behind hyphens.
Match slashed(Text& text, size_t at) {
  const auto piece_end = [&](size_t i) {
    size_t end = text.skip_ascii_alnum(i);
    for (int more = 0; more < 2 && end > i && text[end] == U'-' && ascii_letter(text[end + 1]); ++more)
      end = text.skip_ascii_letters(end + 1);
    return end;
  };
  size_t end = piece_end(at);
  int pieces = 1;
  for (; pieces < 3 && end > at; ++pieces) {
    const size_t slash = text[end] == U'\\' ? end + 1 : end;
    if (text[slash] != U'/' || !ascii_alnum(text[slash + 1])) break;
    end = piece_end(slash + 1);
  }
  return pieces > 1 ? token_or_none(at, end) : Match{};
}

Match before_period(Text& text, size_t at) {
  size_t longest = 0;
  for (const size_t end :
       {word_end(text, at), joined_end(text, at), listed_end(text, at), ampersand_end(text, at)})
    if (end > at && text[end] == U'.' && text.is(end + 1, U",;:\u3001")) longest = std::max(longest, end);
  return longest ? token_before(longest + 1, longest + 2) : Match{};
}

Match programming(Text& text, size_t at) {
  if (text.starts(at, U"c++")) return token(at + 3);
  return text.starts(at, U"c#") || text.starts(at, U"f#") ? token(at + 2) : Match{};
}

Match dollars(Text& text, size_t at) {
  const size_t end = capitals_end(text, at);
  return end > at && text[end] == U'$' ? token(end + 1) : Match{};
}

Match fused(Text& text, size_t at) {
  if (text.starts(at, U"cannot")) return token_before(at + 3, at + 6);
  for (const u32string_view word : {U"gonna", U"gotta", U"wanna", U"lemme", U"gimme"})
    if (text.starts(at, word)) return token_before(at + 3, at + 5);
  for (const u32string_view word : {U"'tis", U"'twas"})
    if (text.starts(at, word)) return token_before(at + 2, at + word.size());
  return {};
}

Match acronym(Text& text, size_t at) {
  const size_t end = acronym_end(text, at, 1);
  return end ? token(end) : Match{};
}

Match abbreviation(Text& text, size_t at) {
  size_t period = text.skip(at, [&](size_t k) { return ascii_letter(text[k]) && k < at + 8; });
  if (text.lower(period + 1) == U'd' && text[period + 2] == U'.') period += 2;  // Ph.D.
  if (text[period] != U'.' || period == at) return {};
  const size_t end = period + 1;
  const u32string_view lower = text.lower_part(at, period), rest = text.part(at + 1, period);
  const bool small = rest == lower.substr(1);
  if (is_title(lower) || (small && contains({U"mfg", U"mtg"}, lower))) return token(end);
  // These look two characters ahead, so that "Jan.x" is two tokens, and "Jan.xyz" one.
  if (may_end_sentence(lower) || (ascii_capital(text[at]) && needs_capital(lower)) ||
      (small && contains({U"pte", U"pty"}, lower)))
    return token_before(end, is_letter_entity(text[end]) || end + 2 > text.size() ? end : end + 2);
  if (stands_before_number(lower)) {
    const size_t number = text.space(end) ? end + 1 : end;
    if (text.digit(number)) return token_before(end, number + 1);
  }
  return {};
}

Match letter_at_end(Text& text, size_t at) {
  if (!ascii_letter(text[at]) || text[at + 1] != U'.') return {};
  const size_t next = text.skip_spaces(at + 2);
  if (next == at + 2) return {};
  for (const Rule markup : {tag, declaration})
    if (const Match after = markup(text, next); after.end && text.space(after.end))
      return token_before(at + 1, after.end);
  if (!ascii_capital(text[next])) return {};
  const size_t end = text.skip(next, [&](size_t k) { return ascii_letter(text[k]) && k < next + 12; });
  return text.space(end) && begins_sentence(text.lower_part(next, end)) ? token_before(at + 1, end + 1)
                                                                        : Match{};
}

}  // namespace imgcap::ptb
