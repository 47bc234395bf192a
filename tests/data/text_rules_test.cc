// Tokens of any language, and what Arabic text is normalised to.
#include "imgcap/data/text_rules.h"

#include <doctest/doctest.h>

#include <fstream>
#include <string>
#include <thread>

#include "imgcap/data/text_direction.h"
#include "imgcap/data/text_settings.h"
#include "imgcap/data/tokenizer.h"
#include "imgcap/data/utf8.h"
#include "imgcap/settings/json.h"
#include "tensor/io/json.h"
#include "tests/data/byte_tensors.h"
#include "tests/data_dir.h"
#include "tests/json.h"

using namespace imgcap;
using tensor::io::Json;
using tests::error_of;
using tests::read_json;

namespace {

using Tokens = std::vector<std::string>;

const TextRules kUnicode = default_rules("fa");

Tokens words_of(std::u32string_view text, const TextRules& rules = kUnicode) {
  return tokenize(encode_utf8(text), rules);
}

std::u32string normal(std::u32string_view text, const Normalisation& what) {
  return decode_utf8(normalised(encode_utf8(text), what));
}

// What becomes of each of `from` (0: nothing), and that others stay; behind a ba, with which no mark is one letter.
void check_letters(const Normalisation& what, std::u32string_view from, char32_t to) {
  for (const char32_t c : from) {
    CAPTURE(static_cast<uint32_t>(c));
    CHECK(normal(std::u32string(U"\u0628") + c, what) ==
          (to == 0 ? std::u32string(U"\u0628") : std::u32string(U"\u0628") + to));
  }
  const std::u32string others =
      U"\u0621\u0622\u0623\u0624\u0625\u0626\u0627\u0629\u0640\u0647\u0648\u0649\u064A\u064B\u0652\u0656\u0670\u0671"
      U"\u06CC\u06D2\u06D5\u06D6\u06E5";
  for (const char32_t c : others) {
    if (from.find(c) != from.npos) continue;
    CAPTURE(static_cast<uint32_t>(c));
    CHECK(normal(std::u32string(U"\u0628") + c, what) == std::u32string(U"\u0628") + c);
  }
}

}  // namespace

TEST_CASE("text: each normalisation changes its code points and no other's") {
  check_letters({.alef = true}, U"\u0622\u0623\u0625\u0671", 0x627);
  check_letters({.ya = true}, U"\u0649\u06CC", 0x64A);
  check_letters({.ta_marbuta = true}, U"\u0629", 0x647);
  check_letters({.tatweel = true}, U"\u0640", 0);
  std::u32string marks =
      U"\u0670\u06D6\u06DC\u06DF\u06E4\u06E5\u06E6\u06E7\u06E8\u06EA\u06ED\u0898\u08D3\u08FF";
  for (char32_t c = 0x610; c <= 0x61A; ++c) marks += c;
  for (char32_t c = 0x64B; c <= 0x65F; ++c) marks += c;
  check_letters({.diacritics = true}, marks, 0);
}

TEST_CASE("text: a letter with its hamza is one letter before marks are removed") {
  // By hand: alef, fatha, hamza above is U+0623 with a fatha, whose hamza is no mark any more.
  CHECK(normal(U"\u0627\u064E\u0654", {.diacritics = true}) == U"\u0623");
  CHECK(normal(U"\u0627\u064E\u0654", {.alef = true}) == U"\u0627\u064E");
  CHECK(normal(U"\u0628\u0654", {.diacritics = true}) == U"\u0628");                         // none with a ba
  CHECK(normal(U"\u0301 e\u0301 \u05B4", {.diacritics = true}) == U"\u0301 \u00E9 \u05B4");  // not Arabic
}

TEST_CASE("text: presentation forms are letters; text of which nothing is wanted stays as it is") {
  CHECK(normal(U"\uFEDB\uFE98\uFE8E\uFE8F \uFEFB \uFDF2", {.tatweel = true}) ==
        U"\u0643\u062A\u0627\u0628 \u0644\u0627 \u0627\u0644\u0644\u0647");
  CHECK(words_of(U"\uFE94 \uFB56", default_rules("ar")) ==
        Tokens{encode_utf8(U"\u0647"), encode_utf8(U"\u067E")});
  CHECK(normalised("\xFF\xEF\xBB\xBB", {}) == "\xFF\xEF\xBB\xBB");
  CHECK(normalised("\xFF", {.alef = true}) == encode_utf8(U"\uFFFD"));
}

TEST_CASE("text: what is a word by Unicode, and what parts words") {
  CHECK(words_of(U"A man, 2 DOGS -- and the caf\u00E9's t-shirt.") ==
        Tokens{"a", "man", "2", "dogs", "and", "the", "caf\xC3\xA9", "s", "t", "shirt"});
  CHECK(words_of(U"") == Tokens{});
  CHECK(words_of(U" .,\u061F \u060C\u061B\u06D4 \u0301 \u064E \U0001F600\uFE0F ") == Tokens{});
  CHECK(words_of(U"\u0391\u03A3") == Tokens{encode_utf8(U"\u03B1\u03C2")});  // the final sigma
  CHECK(tokenize("a\xFF"
                 "b",
                 kUnicode) == Tokens{"a", "b"});
  // Stretched to nothing, or nothing but marks.
  CHECK(words_of(U"\u0640\u0640 \u0628", default_rules("ar")) == Tokens{encode_utf8(U"\u0628")});
}

TEST_CASE("text: joiners stay inside a word, other format characters go, the zero width space parts") {
  const auto one = [](std::u32string_view text) {
    return words_of(text) == Tokens{encode_utf8(U"\u0645\u06CC\u0631")};
  };
  CHECK(one(U"\u0645\u06CC\u200E\u0631"));
  CHECK(one(U"\u202B\u0645\u00AD\u06CC\uFEFF\u0631\u202C"));
  CHECK(one(U"\u200C\u0645\u06CC\u0631\u200D"));
  CHECK(words_of(U"\u0645\u06CC\u200C\u0631") == Tokens{encode_utf8(U"\u0645\u06CC\u200C\u0631")});
  CHECK(words_of(U"\u0645\u06CC\u200C \u200C\u0631") ==
        Tokens{encode_utf8(U"\u0645\u06CC"), encode_utf8(U"\u0631")});
  CHECK(words_of(U"\u0645\u06CC\u200B\u0631") ==
        Tokens{encode_utf8(U"\u0645\u06CC"), encode_utf8(U"\u0631")});
}

TEST_CASE("text: every line of the golden file as Python's unicodedata has it") {
  std::ifstream file(tests::source_dir() / "tests/golden/unicode_words.jsonl");
  REQUIRE(file);
  int lines = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    const Json row = read_json(line);
    const auto text = row.at(0).as_text();
    CAPTURE(text);
    CHECK(Json(tokenize(text, kUnicode)) == row.at(1));
    CHECK(Json(tokenize(text, default_rules("ar"))) == row.at(2));
  }
  CHECK(lines == 17);
}

TEST_CASE("text: the rules of a language and how they are told") {
  CHECK(default_rules("") == TextRules());
  CHECK(default_rules("en") == TextRules());
  CHECK(default_rules("de") == TextRules{{}, Tokenizer::unicode});
  CHECK(default_rules("ar") == TextRules{{true, true, true, true, true}, Tokenizer::unicode});
  CHECK(describe(default_rules("ar")) == "unicode words; alef, ya, ta marbuta, tatweel, diacritics");
  CHECK(describe(kUnicode) == "unicode words");
  CHECK(describe(TextRules()) == "spaCy tokens");
  CHECK(describe(TextRules{{.ya = true, .tatweel = true}}) == "spaCy tokens; ya, tatweel");
}

TEST_CASE("text: spaCy's tokens, of normalised text where something is") {
  const std::string text = encode_utf8(U"A dog. \uFEFB \u0640\u0628");
  CHECK(tokenize(text, TextRules()) == tokenize_spacy(text));
  CHECK(tokenize(text, TextRules{{.tatweel = true}}) ==
        Tokens{"a", "dog", ".", encode_utf8(U"\u0644\u0627"), encode_utf8(U"\u0628")});
}

TEST_CASE("text: rules as JSON and back") {
  const Json json = settings_to_json(default_rules("ar"));
  CHECK(json.dump() ==
        R"({"tokenizer":"unicode","normalise_alef":true,"normalise_ya":true,"normalise_ta_marbuta":true,)"
        R"("remove_tatweel":true,"remove_diacritics":true})");
  CHECK(settings_from_json<TextRules>(json) == default_rules("ar"));
  CHECK(settings_from_json<TextRules>(read_json("{}")) == TextRules());
  CHECK(error_of([] { settings_from_json<TextRules>(read_json(R"({"tokenizer":"ptb"})")); }) ==
        "text: tokenizer 'ptb' is none of spacy, unicode");
}

TEST_CASE("text: a million marks in the wrong order take no time") {
  std::u32string text = U"\u0628", ordered = text;
  for (int i = 0; i < 500'000; ++i) text += U'\u0301';
  for (int i = 0; i < 500'000; ++i) text += U'\u0323';
  ordered.append(500'000, U'\u0323').append(500'000, U'\u0301');
  CHECK(normal(text, {.alef = true}) == ordered);
  CHECK(words_of(text) == Tokens{encode_utf8(ordered)});
}

TEST_CASE("text: several threads at once") {
  const std::string text = encode_utf8(U"\uFEDB\uFE98\uFE8E\uFE8F \u0623\u064E\u062D\u0645\u0631, A dog");
  const Tokens expected = tokenize(text, default_rules("ar"));
  CHECK(expected.size() == 4);
  std::array<Tokens, 4> found;
  std::vector<std::thread> threads;
  for (Tokens& words : found)
    threads.emplace_back([&words, &text] {
      for (int i = 0; i < 200; ++i) words = tokenize(text, default_rules("ar"));
    });
  for (std::thread& thread : threads) thread.join();
  for (const Tokens& words : found) CHECK(words == expected);
}

TEST_CASE("text: the first letter with a direction says how text is written") {
  CHECK(reads_right_to_left({"1 ", "(", "\u0643\u0644\u0628", "dog"}));  // Arabic
  CHECK(reads_right_to_left({"\u05DB"}));                                // Hebrew
  CHECK_FALSE(reads_right_to_left({"12", "dog \u0643"}));
  CHECK_FALSE(reads_right_to_left({"1, 2", "\xFF"}));
  CHECK_FALSE(reads_right_to_left({}));
}
