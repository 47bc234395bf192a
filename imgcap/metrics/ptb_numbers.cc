// Numbers, fractions, dates, telephone numbers.
#include <algorithm>
#include <string_view>

#include "imgcap/metrics/ptb_rules.h"

namespace imgcap::ptb {
namespace {

// The end of a run of `least` to `most` digits, or 0. A longer run is none if it must end
// there.
size_t digits_end(const Text& text, size_t at, size_t least, size_t most, bool whole = true) {
  const size_t end = text.skip(at, [&](size_t k) { return k <= at + most && text.digit(k); });
  if (end < at + least || (whole && end > at + most)) return 0;
  return std::min(end, at + most);
}

bool blank(const Text& text, size_t i) { return text.is(i, U" \u00A0"); }
bool blank_or_hyphen(const Text& text, size_t i) { return blank(text, i) || text[i] == U'-'; }

// 555-1234: 3 or 4 digits and 3 to 5, with or without one sign between them.
size_t subscriber_end(const Text& text, size_t at) {
  if (const size_t end = digits_end(text, at, 6, 9, false)) return end;
  const size_t first = digits_end(text, at, 3, 4);
  return first && text.is(first, U" -\u00A0") ? digits_end(text, first + 1, 3, 5, false) : 0;
}

}  // namespace

Match number(Text& text, size_t at) {
  const size_t first = text.is(at, U"+-") ? at + 1 : at;
  size_t end = text.skip(first, [&](size_t k) { return text.digit(k) || text[k] == kSoftHyphen; });
  while (text.is(end, U".:,\u066B\u066C") && text.digit(end + 1)) end = text.skip_digits(end + 1);
  return end > first ? token(end) : Match{};
}

Match fraction(Text& text, size_t at) {
  const auto simple = [&](size_t i) -> size_t {
    size_t bar = digits_end(text, i, 1, 4);
    if (bar == 0) return 0;
    if (text[bar] == U'\\' && text[bar + 1] == U'/') ++bar;
    return text.is(bar, U"/\u2044") ? digits_end(text, bar + 1, 1, 4, false) : 0;
  };
  const size_t whole = digits_end(text, at, 1, 4);
  if (whole && blank_or_hyphen(text, whole))
    if (const size_t end = simple(whole + 1)) return token(end);
  const size_t end = simple(at);
  return end ? token(end) : Match{};
}

Match date(Text& text, size_t at) {
  const size_t day = digits_end(text, at, 1, 2);
  if (!text.is(day, U"-/") || day == 0) return {};
  const size_t month = digits_end(text, day + 1, 1, 2);
  if (!text.is(month, U"-/") || month == 0) return {};
  const size_t end = digits_end(text, month + 1, 2, 4, false);
  return end ? token(end) : Match{};
}

Match phone(Text& text, size_t at) {
  size_t end = 0;
  if (text[at] == U'(') {
    const size_t area = digits_end(text, at + 1, 2, 3);
    if (area && text[area] == U')') end = subscriber_end(text, blank(text, area + 1) ? area + 2 : area + 1);
  } else {
    size_t i = at;
    while (text[i] == U'+' && i < at + 2) ++i;
    const size_t first = digits_end(text, i, 2, 4);
    if (first == 0 || !blank_or_hyphen(text, first)) return {};
    const size_t second = digits_end(text, first + 1, 2, 4);
    if (second && blank_or_hyphen(text, second)) end = subscriber_end(text, second + 1);
    end = std::max(end, subscriber_end(text, first + 1));
  }
  return end ? token(end, Written::parentheses) : Match{};
}

}  // namespace imgcap::ptb
