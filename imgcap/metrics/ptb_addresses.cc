// Tags, web and mail addresses, file names.
#include <algorithm>
#include <initializer_list>

#include "imgcap/metrics/ptb_rules.h"

namespace imgcap::ptb {
namespace {

using std::u32string_view;

constexpr u32string_view kEndsUrl = U" \t\n\f\r\"<>|(){}";
constexpr u32string_view kEndsPath = U" \t\n\f\r\"<>|()";

bool name_character(char32_t c) { return ascii_alnum(c) || c == U'.' || c == U'-' || c == U'_' || c == U':'; }

size_t skip_blanks(const Text& text, size_t i) {
  return text.skip(i, [&](size_t k) { return text[k] == U' '; });
}

// The end of ` name` or ` name = "value"`, where a value may hold anything but the end of a line; 0: there is
// none.
size_t attribute_end(const Text& text, size_t at) {
  size_t i = skip_blanks(text, at);
  if (i == at || !ascii_letter(text[i])) return 0;
  i = text.skip(i, [&](size_t k) { return name_character(text[k]); });
  const size_t equals = skip_blanks(text, i);
  if (text[equals] != U'=') return i;
  const size_t open = skip_blanks(text, equals + 1);
  if (!text.is(open, U"\"'")) return 0;
  const size_t close =
      text.skip(open + 1, [&](size_t k) { return text[k] != text[open] && text[k] != U'\n'; });
  return text[close] == text[open] ? close + 1 : 0;
}

// [at, end) less the punctuation at its end; at least `least` characters, or 0.
size_t without_punctuation(const Text& text, size_t at, size_t end, u32string_view punctuation,
                           size_t least) {
  while (end >= at + least && text.is(end - 1, punctuation)) --end;
  return end >= at + least ? end : 0;
}

size_t with_path(const Text& text, size_t host_end) {
  if (text[host_end] != U'/') return host_end;
  const size_t run = text.skip(host_end, [&](size_t k) { return !text.is(k, kEndsPath); });
  const size_t end = without_punctuation(text, host_end, run, U".!?{},-", 3);
  return end ? end : host_end;
}

// Pieces between single periods, as `in_piece` allows them, up to the last period behind which a top-level
// domain stands. `domain_end(i)` is its end or 0.
template <class InPiece, class DomainEnd>
void search_host(const Text& text, size_t at, SharedSearch& found, InPiece in_piece, DomainEnd domain_end) {
  found = {};
  size_t i = at;
  size_t host_end = 0;
  while (i < text.size() && in_piece(i)) {
    i = text.skip(i, in_piece);
    if (text[i] != U'.') break;
    if (const size_t end = domain_end(i + 1)) {
      found.mark = i;
      host_end = end;
    }
    ++i;
  }
  found.until = std::max(i, at + 1);
  if (host_end) found.end = with_path(text, host_end);
}

bool in_mail_name(const Text& text, size_t i) { return !text.is(i, U" \t\n\f\r\"<>|(){}\u00A0"); }

size_t mail_domain_end(const Text& text, size_t at) {
  const auto piece = [&](size_t k) { return in_mail_name(text, k) && text[k] != U'.'; };
  size_t end = text.skip(at, piece);
  while (end > at && text[end] == U'.' && piece(end + 1) && end + 1 < text.size())
    end = text.skip(end + 1, piece);
  return end > at ? end : 0;
}

}  // namespace

// However often it fails, this takes linear time: a "<" outside values ends a tag, so at any place at most
// three can be under way, one outside values and one in each kind of quotes.
Match tag(Text& text, size_t at) {
  if (text[at] != U'<') return {};
  const bool closes = text[at + 1] == U'/';
  size_t i = at + (closes ? 2 : 1);
  if (!ascii_letter(text[i])) return {};
  i = text.skip(i, [&](size_t k) { return name_character(text[k]); });
  if (!closes)
    while (const size_t end = attribute_end(text, i)) i = end;
  i = skip_blanks(text, i);
  if (!closes && text[i] == U'/') i = skip_blanks(text, i + 1);
  return text[i] == U'>' ? token(i + 1, Written::address) : Match{};
}

Match declaration(Text& text, size_t at) {
  if (text[at] != U'<' || !text.is(at + 1, U"!?")) return {};
  if (!ascii_letter(text[at + 2]) && text[at + 2] != U'-') return {};
  SharedSearch& found = text.declaration;
  if (at >= found.until) found.until = text.skip(at, [&](size_t k) { return !text.is(k, U">\r\n"); });
  return text[found.until] == U'>' && found.until > at + 2 ? token(found.until + 1, Written::address)
                                                           : Match{};
}

Match url(Text& text, size_t at) {
  const size_t start = text.starts(at, U"http://") ? at + 7 : text.starts(at, U"https://") ? at + 8 : 0;
  if (start == 0) return {};
  const size_t run = text.skip(start, [&](size_t k) { return !text.is(k, kEndsUrl); });
  return token(without_punctuation(text, start, run, U".!?,-", 2), Written::address);
}

Match www(Text& text, size_t at) {
  if (!text.starts(at, U"www.")) return {};
  SharedSearch& found = text.www_host;
  if (at + 4 >= found.until)
    search_host(
        text, at + 4, found, [&](size_t k) { return !text.is(k, U" \t\n\f\r\"<>|.!?(){},"); },
        [&](size_t k) {
          const size_t end = std::min(text.skip_ascii_letters(k), k + 4);
          return end >= k + 2 ? end : 0;
        });
  return found.end && at + 4 < found.mark ? token(found.end, Written::address) : Match{};
}

Match host(Text& text, size_t at) {
  const auto in_piece = [&](size_t k) {
    const char32_t c = text[k];
    return !text.is(k, U" \t\n\f\r\"`'|!(){}$") && (c < U',' || c > U'_') && c < kFirstEntity;
  };
  if (!in_piece(at)) return {};
  SharedSearch& found = text.host;
  if (at >= found.until)
    search_host(text, at, found, in_piece, [&](size_t k) -> size_t {
      for (const u32string_view domain : {U"com", U"net", U"org", U"edu"})
        if (text.starts(k, domain)) return k + 3;
      return 0;
    });
  return found.end && at < found.mark ? token(found.end, Written::address) : Match{};
}

Match mail(Text& text, size_t at) {
  const size_t name = text[at] == U'<' || text[at] == kLess ? at + 1 : at;
  if (!ascii_alnum(text[name])) return {};
  SharedSearch& found = text.mail;
  if (name >= found.until) {
    found = {text.skip(name, [&](size_t k) { return in_mail_name(text, k); })};
    for (size_t i = found.until; i > name + 1 && found.end == 0; --i)
      if (text[i - 1] == U'@') {
        found.mark = i - 1;
        found.end = mail_domain_end(text, i);
      }
  }
  if (found.end == 0 || name >= found.mark) return {};
  return token(text[found.end] == U'>' ? found.end + 1 : found.end, Written::address);
}

Match file_name(Text& text, size_t at) {
  // The last of the pieces between single periods that is one of these.
  size_t end = 0;
  size_t i = text.skip_alnum(at);
  while (i > at && text[i] == U'.' && text.alnum(i + 1)) {
    const size_t piece = i + 1;
    i = text.skip_alnum(piece);
    const u32string_view extension = text.lower_part(piece, i);
    for (const u32string_view known :
         {U"bat", U"bmp", U"c",    U"cgi", U"class", U"cpp",  U"dll", U"doc", U"docx", U"exe", U"gif", U"gz",
          U"h",   U"htm", U"html", U"jar", U"java",  U"jpeg", U"jpg", U"mov", U"mp3",  U"pdf", U"php", U"pl",
          U"png", U"ppt", U"ps",   U"py",  U"sql",   U"tar",  U"txt", U"wav", U"x",    U"xml", U"zip"})
      if (extension == known && (text.space(i) || text.is(i, U".,!?"))) end = i;
  }
  return end ? token_before(end, end + 1) : Match{};
}

Match user_name(Text& text, size_t at) {
  const auto name = [&](size_t k) { return ascii_alnum(text[k]) || text[k] == U'_'; };
  if (text[at] != U'@' || !name(at + 1) || ascii_digit(text[at + 1])) return {};
  return token(text.skip(at + 1, name));
}

Match hash_tag(Text& text, size_t at) {
  const size_t end = text.skip(at + 1, [&](size_t k) { return text.letter(k); });
  return text[at] == U'#' && end > at + 1 ? token(end, Written::address) : Match{};
}

}  // namespace imgcap::ptb
