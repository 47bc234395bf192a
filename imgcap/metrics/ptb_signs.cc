// Tokens without letters, and what looks like them.
#include <initializer_list>

#include "imgcap/metrics/ptb_rules.h"

namespace imgcap::ptb {
namespace {

bool in_face(const Text& text, size_t i) { return text.is(i, U"-^x=~<>'"); }

}  // namespace

Match smiley(Text& text, size_t at) {
  size_t i = text.is(at, U"<>") ? at + 1 : at;
  if (!text.is(i++, U":;=")) return {};
  if (text.is(i, U"-o*'")) ++i;
  if (!text.is(i++, U"()DPdpO\\{@|[]") || i >= text.size() || ascii_alnum(text[i])) return {};
  return token_before(i, i + 1, Written::parentheses);
}

Match kaomoji(Text& text, size_t at) {
  if (in_face(text, at)) return text[at + 1] == U'_' && in_face(text, at + 2) ? token(at + 3) : Match{};
  if (text[at] != U'(' || !in_face(text, at + 1)) return {};
  const bool dash = text[at + 2] == U'-' && text[at + 3] != U')';
  if (dash && (text[at + 1] == U'-' || text[at + 3] == U'-')) return {};
  const size_t last = dash || text.is(at + 2, U"_.") ? at + 3 : at + 2;
  return in_face(text, last) && text[last + 1] == U')' ? token(last + 2, Written::parentheses) : Match{};
}

// Three to five periods, with a blank between any two or none.
Match ellipsis(Text& text, size_t at) {
  if (text[at] != U'.') return {};
  const size_t step = text.is(at + 1, U" \u00A0") ? 2 : 1;
  size_t end = at + 1, periods = 1;
  while (periods < 5 && text[end + step - 1] == U'.' && (step == 1 || text.is(end, U" \u00A0"))) {
    end += step;
    ++periods;
  }
  return periods >= 3 ? token(end, Written::nothing) : Match{};
}

Match run_of_signs(Text& text, size_t at) {
  const auto run = [&](size_t most) {
    return text.skip(at, [&](size_t k) { return text[k] == text[at] && k < at + most; });
  };
  if (text.is(at, U"!?")) return token(text.skip(at, [&](size_t k) { return text.is(k, U"!?"); }));
  if (text.is(at, U"*_@#")) return token(run(text.size()));
  if (text[at] == U'-') {
    const size_t end = run(text.size());
    return token(end, end <= at + 4 ? Written::nothing : Written::as_read);
  }
  if (text.is(at, U"<>")) return token(run(2));
  if (text.starts(at, U"\\*")) {
    size_t end = at + 2;
    while (end < at + 6 && text.starts(end, U"\\*")) end += 2;
    return token(end);
  }
  return {};
}

// '' and any two quotes but ' and " are one, which makes a word of ’”: "'''".
Match two_quotes(Text& text, size_t at) {
  constexpr std::u32string_view quotes =
      U"`\u0091\u0092\u0093\u0094\u00AB\u00BB\u2018\u2019\u201B\u201C\u201D\u201E\u201F\u2039\u203A";
  const bool two = text.starts(at, U"''") || (text.is(at, quotes) && text.is(at + 1, quotes));
  return two ? token(at + 2, Written::sign) : Match{};
}

Match bracket_name(Text& text, size_t at) {
  for (const std::u32string_view name : {U"-lrb-", U"-rrb-", U"-lsb-", U"-rsb-", U"-lcb-", U"-rcb-"})
    if (text.starts(at, name)) return token(at + name.size());
  return {};
}

Match code_entity(Text& text, size_t at) {
  if (!text.starts(at, U"&#")) return {};
  const size_t end = text.skip(at + 2, [&](size_t k) { return ascii_digit(text[k]); });
  return end > at + 2 && text[end] == U';' ? token(end + 1) : Match{};
}

Match sign(Text& text, size_t at) { return text.sign(at) ? token(at + 1, Written::sign) : Match{}; }

}  // namespace imgcap::ptb
