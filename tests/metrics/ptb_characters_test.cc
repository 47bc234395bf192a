// The Treebank tokeniser's classes of characters, and what it writes for some.
#include "imgcap/metrics/ptb_characters.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "imgcap/data/utf8.h"

using namespace imgcap;

namespace {

std::string escaped(const std::string& text) {
  std::u32string out;
  for (const char32_t c : ptb::plain_characters(text)) ptb::append_escaped(out, c);
  return encode_utf8(out);
}

}  // namespace

TEST_CASE("letters of all scripts are letters, signs are not") {
  for (const char32_t c :
       std::u32string(U"azAZ\u00aa\u00b5\u00ba\u00c0\u00d6\u00d8\u00df\u00e9\u00f6\u00f8\u00ff"
                      U"\u0100\u03a9\u0416\u05d0\u0627\u0915\u0301\u1e9e\u1fff\u2c00"
                      U"\u3005\u3007\u3041\u30a2\u4e2d\ud55c\ud7ff\uf900\ufe70\ufefc\uff21\uff3a"
                      U"\uff41\uff5a\uff66\uffdc")) {
    CAPTURE(static_cast<uint32_t>(c));
    CHECK(ptb::is_letter(c));
    CHECK_FALSE(ptb::is_space(c));
    CHECK_FALSE(ptb::is_digit(c));
  }
  for (const char32_t c :
       std::u32string(U"@[`{09 !\u00a9\u00bf\u00d7\u00f7\u037e\u0387\u1680\u2000\u2013\u20ac"
                      U"\u2bff\u3000\u3004\u3008\ue000\ufefd\uff20\uff3b\uff40\uff5b\uffdd")) {
    CAPTURE(static_cast<uint32_t>(c));
    CHECK_FALSE(ptb::is_letter(c));
  }
  for (const char32_t c :
       std::u32string(U"!/:@[`{~\u00a1\u00bf\u00d7\u00f7\u037e\u0387\u2010\u2027\u2030\u205e\u20a0"
                      U"\u20ac\u2192\u2bff\u3001\u3004\u3008\u3020\uff01\uff0f")) {
    CAPTURE(static_cast<uint32_t>(c));
    CHECK(ptb::is_sign(c));
  }
  for (const char32_t c :
       std::u32string(U"\u0001\u007f\u00a0 09az\u200b\u2028\u202e\u2c00\u3000\ue000\uff10\U0001F600"))
    CHECK_FALSE(ptb::is_sign(c));
  for (const char32_t c :
       std::u32string(U"\t\n\v\f\r \u0085\u00a0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000"))
    CHECK(ptb::is_space(c));
  for (const char32_t c :
       std::u32string(U"\u0008\u000e\u0084\u00a1\u167f\u1fff\u200b\u2027\u202a\u205e\u3001x"))
    CHECK_FALSE(ptb::is_space(c));
  for (char32_t c = 0; c < 128; ++c) CHECK(ptb::is_digit(c) == (c >= 48 && c <= 57));
}

TEST_CASE("entities become characters, typographic apostrophes plain ones, soft hyphens nothing") {
  const auto plain = [](const std::string& text) { return encode_utf8(ptb::plain_characters(text)); };
  CHECK(plain("&amp; &quot; &apos; &nbsp;x") == "& \" '  x");
  CHECK(plain("&amp;amp; &Amp; &amp &; & &nbs; &nbspx;") == "&amp; &Amp; &amp &; & &nbs; &nbspx;");
  CHECK(plain("it\u2019s it\u0092s \u2018x") == "it's it's \u2018x");
  CHECK(plain("a\u00adb\tc\nd") == "ab c d");
  // Signs that open no tag.
  CHECK(ptb::plain_characters("&lt;") != ptb::plain_characters("<"));
  CHECK(ptb::plain_characters("&gt;") != ptb::plain_characters(">"));
  CHECK(escaped("&lt;b&gt;") == "<b>");
}

TEST_CASE("what the Treebank writes for brackets, slashes, currencies and fractions") {
  CHECK(escaped("()[]{}") == "-LRB--RRB--LSB--RSB--LCB--RCB-");
  CHECK(escaped("a/b*c") == "a\\/b\\*c");
  CHECK(escaped("\u00a2 \u00a3 \u20ac $") == "cents # $ $");
  CHECK(escaped("\u00bc \u00bd \u00be \u2153 \u2154") == "1\\/4 1\\/2 3\\/4 1\\/3 2\\/3");
  CHECK(escaped("\u2026") == "...");
  CHECK(escaped("ab \u00e9") == "ab \u00e9");
}

TEST_CASE("pycocoevalcap's punctuation is removed, and nothing else") {
  for (const char* mark : {"'", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";", "\""}) {
    CAPTURE(mark);
    CHECK(ptb::is_removed_punctuation(mark));
  }
  for (const char* quote : {"\u00ab", "\u00bb", "\u2018", "\u2019", "\u201c", "\u201d", "\u201f", "\u2039",
                            "\u203a", "\u2010", "\u2013", "\u2014", "\u2015"}) {
    CAPTURE(quote);
    CHECK(ptb::is_removed_punctuation(quote));
  }
  for (const char* word : {"!!", "?!", "-lrb-", "'s", "a", "$", "%", "&", "#", "----", "....", "''s", "..",
                           "\u2016", "\u200f", "\u2020", "\u2017", "\u203b"}) {
    CAPTURE(word);
    CHECK_FALSE(ptb::is_removed_punctuation(word));
  }
}
