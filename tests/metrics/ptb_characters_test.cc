// The Treebank tokeniser's classes of characters, and what it writes for some.
#include "imgcap/metrics/ptb_characters.h"

#include <doctest/doctest.h>

#include <string>

#include "imgcap/data/utf8.h"

using namespace imgcap;
using ptb::Class;
using ptb::Written;

namespace {

std::string written(const std::string& text, Written how) {
  std::u32string out;
  for (const char32_t c : ptb::read_characters(text)) ptb::append_written(out, c, how);
  return encode_utf8(out);
}

void check_class(Class kind, const std::u32string& characters) {
  for (const char32_t c : characters) {
    CAPTURE(static_cast<uint32_t>(c));
    CHECK(ptb::class_of(c) == kind);
  }
}

}  // namespace

TEST_CASE("ptb: classes of characters, at the ends of their ranges, too") {
  check_class(
      Class::letter,
      U"azAZ\u00aa\u00b5\u00ba\u00c0\u00d6\u00d8\u00f6\u00f8\u0100\u03a9\u0416\u05d0\u0627\u0915\u1e9e\u2c00"
      U"\u3005\u3041\u30a2\u4e2d\ud55c\uf900\ufefc\uff21\uff3a\uff41\uff5a\uff66\uffdc");
  check_class(Class::mark, U"\u02c2\u0301\u064b\u0902\u00ad");
  check_class(Class::digit, U"09\u0660\u0669\u0966\uff10\uff19");
  check_class(Class::hyphen, U"\u2010\u2011\u058a");
  check_class(
      Class::sign,
      U"!/:@[`{~\u00a1\u00bf\u00d7\u00f7\u037e\u0387\u2013\u203b\u20ac\u2190\u2bff\u3001\uff01\uffe6");
  // of no use to the tool, among them what came after Unicode 6 and all beyond the first plane
  check_class(Class::other, U"\u0001\u007f \u0081\u200b\u2012\u20b9\ue000\ufffd\U0001F600\U00020000");
}

TEST_CASE("ptb: blanks are Unicode's") {
  for (const char32_t c :
       std::u32string(U"\t\n\v\f\r \u0085\u00a0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000"))
    CHECK(ptb::is_space(c));
  for (const char32_t c :
       std::u32string(U"\u0008\u000e\u0084\u00a1\u167f\u1fff\u200b\u2027\u202a\u205e\u3001x"))
    CHECK_FALSE(ptb::is_space(c));
}

TEST_CASE("ptb: character entities stay apart from their signs") {
  CHECK(written("&amp; &AMP; &lt; &GT; &nbsp; &mdash;", Written::sign) ==
        "&\u00a0&\u00a0<\u00a0>\u00a0\u00a0--");
  CHECK(written("&amp;&lt;&eacute;&Eacute;", Written::address) == "&amp;&lt;&eacute;&eacute;");
  CHECK(written("&amp;&apos;&eacute;", Written::as_read) == "&&apos;&eacute;");
  CHECK(written("&apos;\u2019\u2018", Written::clitic) == "''`");
  for (const std::string none : {"&", "&;", "&amp", "&copy;", "&eacut;", "&acirc;", "& amp;"})
    CHECK(ptb::read_characters(none).size() == none.size());
  CHECK(ptb::read_characters("x&eacute;y").size() == 3);
}

TEST_CASE("ptb: what signs are written as") {
  CHECK(written("()[]{}", Written::sign) == "-LRB--RRB--LSB--RSB--LCB--RCB-");
  CHECK(written("()[]{}", Written::parentheses) == "-LRB--RRB-[]{}");
  CHECK(written("()[]{}\u20ac", Written::as_read) == "()[]{}\u20ac");
  CHECK(written("\u00a2|\u00a3|\u00a4|\u20a0|\u20ac|\u00bc|\u00bd|\u00be|\u2153|\u2154", Written::sign) ==
        "cents|#|$|$|$|1/4|1/2|3/4|1/3|2/3");
  CHECK(written("\u2018\u2019\u201c\u201d\u00ab\u00bb\u2039\u203a\u2014\u2026\"'", Written::sign) ==
        "`'``''``''`'--...'''");
  CHECK(written("so\u00adft", Written::as_read) == "soft");
  CHECK(written("so\u00adft", Written::address) == "so\u00adft");
  CHECK(written("...", Written::nothing).empty());
}

TEST_CASE("ptb: pycocoevalcap's list of punctuation") {
  for (const char* mark : {"''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"})
    CHECK(ptb::is_removed(mark));
  for (const char* word : {"", "-lrb-", "-rrb-", "!!", "'''", "---", "..", "a", "\"", "&"})
    CHECK_FALSE(ptb::is_removed(word));
}
