// Vocabularies with a section for each language.
#include <doctest/doctest.h>

#include <functional>

#include "imgcap/data/vocabulary.h"
#include "tensor/error.h"
#include "tensor/format.h"
#include "tests/refused.h"

using tests::refused;
using namespace imgcap;
using Ids = std::vector<int32_t>;
using Tokens = std::vector<std::string>;

namespace {

const std::vector<LanguageCaptions> kBoth = {
    {"en", default_rules("en"), {" A dog runs .", "a dog sits ."}},
    {"ar", default_rules("ar"), {"كلب يركض.", "كلبٌ أسود", "dog"}},
};
constexpr VocabularyOptions kWords = {.max_words = 0, .min_frequency = 1, .character_fallback = false};

Tokens with_specials(Tokens tokens) {
  tokens.insert(tokens.begin(), {"<unk>", "<pad>", "<sos>", "<eos>"});
  return tokens;
}

std::string fault_of(const Tokens& tokens, const std::map<std::string, TextRules>& rules = {}) {
  const std::string why = refused([&] { Vocabulary(with_specials(tokens), rules); }, tensor::ErrorKind::data);
  if (!rules.empty()) return why;
  // A file says the same, with the line.
  std::string lines;
  for (const std::string& token : with_specials(tokens)) lines += "\"" + token + "\"\n";
  const std::string of_file =
      refused([&] { Vocabulary::from_jsonl(lines, "v.jsonl"); }, tensor::ErrorKind::data);
  CHECK((of_file == "taken") == (why == "taken"));
  return why;
}

}  // namespace

TEST_CASE("a vocabulary of languages has a section for each, by its own rules") {
  const Vocabulary v = Vocabulary::of_languages(kBoth, kWords);
  CHECK(v.tokens() == with_specials({"<en>", " .", " a", " dog", "  ", " runs", " sits", "<ar>", " كلب",
                                     " dog", " اسود", " يركض"}));
  CHECK(v.has_languages());
  REQUIRE(v.languages().size() == 2);
  CHECK(v.language("en").range == WordRange{4, 5, 11});
  CHECK(v.language("ar").range == WordRange{11, 12, 16});
  CHECK(v.language("ar").rules == default_rules("ar"));
  CHECK(v.words(v.language("ar")) == 4);
  // The same string has a row in each section.
  CHECK(v.id(" dog", "en") == 7);
  CHECK(v.id(" dog", "ar") == 13);
  CHECK(v.id(" a", "ar") == kUnk);
  CHECK(v.contains("<eos>", "ar"));
  CHECK(v.encode(" a dog", "en") == Ids{4, 8, 6, 7, 3});
  CHECK(v.encode("الكلب، كَلْبٌ أَسْوَد!", "ar") == Ids{11, 0, 12, 14, 3});
  CHECK(v.decode(v.encode("كَلْبٌ أَسْوَد!", "ar")) == "كلب اسود");
  CHECK(v.decode(v.encode(" a dog", "en")) == "a dog");
  CHECK(v.decode_tokens(v.encode("dog", "ar")) == "<ar> dog<eos>");
}

TEST_CASE("limits count in each language, and letters to spell with are English's") {
  const Vocabulary v = Vocabulary::of_languages(kBoth, {.max_words = 2, .min_frequency = 1});
  CHECK(v.size() == 4 + (1 + 2 + 27) + (1 + 2));
  CHECK(v.has_character_fallback("en"));
  CHECK_FALSE(v.has_character_fallback("ar"));
  CHECK(v.words(v.language("en")) == 2);
  CHECK(v.encode("cab", "en").size() == 1 + 4 + 1);
  CHECK(v.encode("cab", "ar") == Ids{static_cast<int32_t>(v.language("ar").range.start), kUnk, kEos});
  CHECK(Vocabulary::of_languages(kBoth, {.min_frequency = 2, .character_fallback = false}).tokens() ==
        with_specials({"<en>", " .", " a", " dog", "<ar>", " كلب"}));
}

TEST_CASE("the list of tokens says which languages there are") {
  const Vocabulary v = Vocabulary::of_languages(kBoth, kWords);
  CHECK(Vocabulary::from_jsonl(v.to_jsonl(), "v") == v);
  CHECK(Vocabulary(v.tokens()) == v);
  CHECK(names_languages(v.tokens()));
  // Other rules than a language's default ones are given beside them.
  const Vocabulary other(v.tokens(), {{"ar", TextRules{}}});
  CHECK_FALSE(other == v);
  CHECK(other.rules().at("en") == default_rules("en"));
  CHECK(other.encode("كَلْبٌ", "ar") == Ids{11, 0, 3});
  // One with a name, which may have no words; and without a language at index 4 all is as ever.
  CHECK(Vocabulary(with_specials({"<ar>"})).encode("كلب", "ar") == Ids{4, 0, 3});
  const Vocabulary plain(with_specials({" a", "<en>", "<>"}));
  CHECK_FALSE(plain.has_languages());
  CHECK(plain.languages().front().range == WordRange());
  CHECK(plain.decode(Ids{2, 4, 5, 3}) == "a<en>");
}

TEST_CASE("a list of languages that is none is refused") {
  CHECK(fault_of({"<en>", " a", "<ar>", " a"}) == "taken");
  CHECK(fault_of({"<en>", " a", "<ar>", " b", "<en>"}) == "vocabulary: a second section of the language en");
  CHECK(fault_of({"<en>", " a", "<ar>", " a", " a"}) == "vocabulary: token 8 is the same as token 7: \" a\"");
  for (const char* token : {"<>", "<e>", "<EN>", "<eng>", "<e1>", "<pad>", "<sos>"})
    CHECK(fault_of({"<en>", " a", token}) ==
          tensor::format("vocabulary: \"{}\" is no language; its token is two letters a-z in angle brackets",
                         token));
  CHECK(fault_of({"<en>", ""}) == "vocabulary: an empty token");
  CHECK(fault_of({"<en>", " a"}, {{"ar", {}}}) ==
        "vocabulary: rules of the language \"ar\", which it does not have");
  CHECK(fault_of({" a"}, {{"en", {}}}).ends_with("which it does not have"));
  const auto built = [](const std::vector<LanguageCaptions>& from) {
    return refused([&] { Vocabulary::of_languages(from, kWords); }, tensor::ErrorKind::data);
  };
  CHECK(built({{"en", {}, {"a"}}, {"", {}, {"b"}}}) ==
        "vocabulary: \"\" is no language; it has two letters a-z");
  CHECK(built({{"eng", {}, {"a"}}}) == "vocabulary: \"eng\" is no language; it has two letters a-z");
  CHECK(built({{"en", {}, {"a"}}, {"en", {}, {"b"}}}) == "vocabulary: a second section of the language en");
  CHECK(built({{"en", {}, {"a"}}, {"ar", {}, {}}}) ==
        "vocabulary: there are no captions to build it from in the language ar");
}

TEST_CASE("a language that is not there is refused with those that are") {
  const auto why = [](const Vocabulary& v, const char* code) {
    return refused([&] { v.encode("a", code); }, tensor::ErrorKind::argument);
  };
  const Vocabulary both = Vocabulary::of_languages(kBoth, kWords), plain(with_specials({" a"}));
  CHECK(why(both, "fr") == "the model does not have the language fr; it has en, ar");
  CHECK(why(both, "") == "no language is named; the model has en, ar");
  CHECK(why(plain, "en") == "the language en cannot be asked for: the vocabulary is of one without a name");
  CHECK(why(plain, "") == "taken");
}
