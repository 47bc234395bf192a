// The options of /api/caption, from queries and from JSON.
#include "imgcap/serve/caption_wish.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "imgcap/serve/form.h"
#include "imgcap/settings/json.h"
#include "tests/json.h"
#include "tests/refused.h"
#include "tests/serve/small_captioner.h"
#include "tests/text.h"

using namespace imgcap;
using namespace imgcap::serve;
using tensor::ErrorKind;
using tensor::io::Json;
using tests::has;
using tests::read_json;
using tests::refused;

namespace {

CaptionWish of_query(const std::string& query) { return wish_of(parse_query(query)); }
CaptionWish of_json(const std::string& json) { return wish_of(read_json(json)); }

std::string refused_query(const std::string& query, ErrorKind kind) {
  return refused([&] { of_query(query); }, kind);
}
std::string refused_json(const std::string& json, ErrorKind kind) {
  return refused([&] { of_json(json); }, kind);
}

Json numbers_of(const CaptionWish& wish) { return settings_to_json<WishNumbers>(wish); }

const std::string kAll =
    R"({"beam":7,"nbest":3,"max_words":11,"length_exponent":0.75,"no_repeat_ngram":2,"min_words":4,"sample":true,)"
    R"("temperature":1.5,"top_k":40,"top_p":0.9,"seed":18446744073709551615,"attention":true,"preview":true})";

}  // namespace

TEST_CASE("caption wish: nothing is asked for") {
  const CaptionWish wish = of_query("");
  CHECK(numbers_of(wish) == numbers_of({}));
  CHECK(wish.beam == 5);
  CHECK(wish.nbest == 1);
  CHECK_FALSE(wish.sample);
  CHECK((wish.model + wish.language + wish.prefix).empty());
  CHECK(wish.suppress.empty());
  CHECK(numbers_of(of_json("{}")) == numbers_of({}));
}

TEST_CASE("caption wish: every option, from JSON and from a query") {
  const Json all = read_json(kAll), defaults = numbers_of({});
  REQUIRE(all.keys() == defaults.keys());  // a new option wants a value above
  std::string query;
  for (const std::string& name : all.keys()) {
    CHECK_MESSAGE(all.at(name) != defaults.at(name), name);
    query += name + "=" + all.at(name).dump() + "&";
  }
  CHECK(numbers_of(wish_of(all)) == all);
  CHECK(numbers_of(of_query(query)) == all);
}

TEST_CASE("caption wish: texts, from JSON and from a query") {
  for (const CaptionWish& wish :
       {of_json(R"({"model":"plain","language":"ar","prefix":"a é","suppress":["a","b c"]})"),
        of_query("model=plain&language=ar&prefix=a+%C3%A9&suppress=a&suppress=b+c")}) {
    CHECK(wish.model == "plain");
    CHECK(wish.language == "ar");
    CHECK(wish.prefix == "a é");
    CHECK(wish.suppress == std::vector<std::string>{"a", "b c"});
  }
  CHECK(of_json(R"({"suppress":"a"})").suppress == std::vector<std::string>{"a"});
  CHECK(of_json(R"({"suppress":[]})").suppress.empty());
  CHECK(of_query("suppress=a").suppress == std::vector<std::string>{"a"});
  std::vector<std::string> names;
  for (const auto& [name, help] : text_options()) {
    names.push_back(name);
    CHECK_FALSE(help.empty());
  }
  CHECK(names == std::vector<std::string>{"model", "language", "prefix", "suppress"});
}

TEST_CASE("caption wish: truth in a query") {
  for (const char* text : {"sample", "sample=", "sample=1", "sample=true"}) CHECK(of_query(text).sample);
  for (const char* text : {"sample=0", "sample=false"}) CHECK_FALSE(of_query(text).sample);
  for (const char* text : {"yes", "True", "2", "+"})
    CHECK(has(refused_query(std::string("sample=") + text, ErrorKind::data), "true or false is needed"));
}

TEST_CASE("caption wish: numbers in a query are numbers, and nothing else") {
  for (const char* text :
       {"", "x", "3.5", "3x", "%203", "3%20", "0x3", "%2B3", "1e1", "99999999999999999999", "nan"})
    CHECK_MESSAGE(has(refused_query(std::string("beam=") + text, ErrorKind::data), "a number is needed"),
                  text);
  for (const char* text : {"-1", "18446744073709551616", "1.0"})
    CHECK_MESSAGE(has(refused_query(std::string("seed=") + text, ErrorKind::data), "a number is needed"),
                  text);
  CHECK(of_query("temperature=2").temperature == 2);
  CHECK(of_query("temperature=2e-1").temperature == 0.2);
  for (const char* text : {"nan", "inf", "-inf", "-nan"})
    for (const char* name : {"temperature", "length_exponent", "top_p"})
      CHECK_MESSAGE(has(refused_query(std::string(name) + "=" + text, ErrorKind::argument), name), text);
  CHECK(has(refused_query("temperature=1e999", ErrorKind::data), "a number is needed"));
  CHECK(refused_query("beam=%1B[31m", ErrorKind::data) ==
        "options: 'beam' is '\\x1b[31m'; a number is needed");
}

TEST_CASE("caption wish: bounds") {
  const WishNumbers defaults;
  for_each_setting(defaults, [&]<class T>(const Row& row, const T&) {
    if (!row.bounds.limited) return;
    CAPTURE(row.name);
    const auto wish = [&](double value) {
      Json json = Json::object({{"sample", true}});  // without it nbest is bound by beam
      json[row.name] = std::integral<T> ? Json(static_cast<int64_t>(value)) : Json(value);
      return json;
    };
    const auto out = [&](double value) {
      CAPTURE(value);
      CHECK(has(refused([&] { wish_of(wish(value)); }), row.name));
    };
    const auto in = [&](double value) {
      CHECK(numbers_of(wish_of(wish(value))).at(row.name).as_double() == value);
    };
    const Bounds& bounds = row.bounds;
    const double step = std::integral<T> ? 1 : 1e-9;
    if (bounds.above_low)
      out(bounds.low), in(bounds.low + step);
    else
      in(bounds.low);
    out(bounds.low - step);
    CHECK_FALSE(bounds.below_high);
    in(bounds.high);
    out(bounds.high + step);
  });
}

TEST_CASE("caption wish: types in JSON") {
  const Json defaults = numbers_of({});
  for (const std::string& name : defaults.keys())
    for (const char* value : {"\"3\"", "null", "[3]", "{}"})
      CHECK(refused_json("{\"" + name + "\":" + value + "}", ErrorKind::data) ==
            "options: '" + name + "' has the wrong type");
  CHECK(has(refused_json(R"({"beam":3.5})", ErrorKind::data), "'beam' has the wrong type"));
  CHECK(has(refused_json(R"({"beam":true})", ErrorKind::data), "'beam' has the wrong type"));
  CHECK(has(refused_json(R"({"sample":1})", ErrorKind::data), "'sample' has the wrong type"));
  CHECK(of_json(R"({"temperature":2})").temperature == 2);
  for (const char* name : {"model", "language", "prefix", "suppress"})
    for (const char* value : {"3", "null", "{}", "[1]", "[[\"a\"]]"})
      CHECK(has(refused_json(std::string("{\"") + name + "\":" + value + "}", ErrorKind::data),
                "has the wrong type"));
  CHECK(has(refused_json(R"({"seed":-1})", ErrorKind::data), "-1"));
  for (const char* json : {"[]", "3", "null", "\"beam\""})
    CHECK(refused_json(json, ErrorKind::data) == "options: they are not a JSON object");
}

TEST_CASE("caption wish: names that are not known, and twice the same") {
  CHECK(refused_json(R"({"beams":3})", ErrorKind::data) == "options: 'beams' is no option");
  CHECK(has(refused_query("beams=3", ErrorKind::data), "beams"));
  CHECK(has(refused_query("Beam=3", ErrorKind::data), "Beam"));
  CHECK(has(refused_query("=3", ErrorKind::data), "options: "));
  CHECK(refused_query("beam=3&beam=3", ErrorKind::data) == "options: 'beam' is there twice");
  CHECK(refused_query("model=a&model=b", ErrorKind::data) == "options: 'model' is there twice");
  CHECK(has(refused_json(R"({"beam":3,"beam":3})", ErrorKind::data), "options: "));
}

TEST_CASE("caption wish: what does not go together, and what is too long") {
  CHECK(refused_query("nbest=6", ErrorKind::argument) == "options: nbest 6 is over beam 5");
  CHECK(of_query("nbest=6&beam=6").nbest == 6);
  CHECK(of_query("nbest=6&sample=1").nbest == 6);
  const std::string longest(1000, 'x');
  CHECK(of_query("prefix=" + longest).prefix == longest);
  for (const char* name : {"model", "language", "prefix", "suppress"})
    CHECK(has(refused_query(name + ("=x" + longest), ErrorKind::argument), "has over 1,000 bytes"));
  std::string query;
  for (int i = 0; i < 100; ++i) query += "suppress=a&";
  CHECK(of_query(query).suppress.size() == 100);
  CHECK(refused_query(query + "suppress=a", ErrorKind::argument) == "options: 'suppress' has over 100 texts");
}

TEST_CASE("caption wish: languages") {
  using Codes = std::vector<std::string>;
  const Captioner &two = *tests::two_languages(), &none = *tests::small_captioner();
  CHECK(languages_of({}, two) == Codes{"en"});
  CHECK(languages_of(of_query("language=ar"), two) == Codes{"ar"});
  CHECK(languages_of(of_query("language=all"), two) == Codes{"en", "ar"});
  CHECK(has(refused([&] { languages_of(of_query("language=de"), two); }), "de"));
  CHECK(languages_of({}, none) == Codes{""});
  CHECK(has(refused([&] { languages_of(of_query("language=en"), none); }), "en"));
}

TEST_CASE("caption wish: what is asked of a model") {
  std::vector<std::string> notes;
  CaptionWish wish = of_json(kAll);
  wish.sample = false;
  wish.prefix = "w1 w2";
  wish.suppress = {"w3", "unheard"};
  const CaptionRequest beam = request_of(wish, *tests::two_languages(), "en", notes);
  CHECK(beam.language == "en");
  CHECK(beam.seed == UINT64_MAX);
  REQUIRE(std::holds_alternative<BeamOptions>(beam.search));
  const auto& search = std::get<BeamOptions>(beam.search);
  CHECK(search.beam == 7);
  CHECK(search.nbest == 3);
  CHECK(search.max_words == 11);
  CHECK(search.length_exponent == 0.75);
  CHECK(search.attention);
  CHECK(search.rules.no_repeat_ngram == 2);
  CHECK(search.rules.min_words == 4);
  CHECK(search.rules.prefix.size() == 2);
  CHECK(search.rules.suppressed == std::vector<std::string>{"w3", "unheard"});
  REQUIRE(notes.size() == 1);
  CHECK(has(notes[0], "unheard"));

  wish.sample = true;
  notes.clear();
  const CaptionRequest drawn = request_of(wish, *tests::two_languages(), "en", notes);
  REQUIRE(std::holds_alternative<SamplingOptions>(drawn.search));
  const auto& sampling = std::get<SamplingOptions>(drawn.search);
  CHECK(sampling.temperature == 1.5);
  CHECK(sampling.top_k == 40);
  CHECK(sampling.top_p == 0.9);
  CHECK(sampling.samples == 3);
  CHECK(sampling.max_words == 11);
  CHECK(sampling.attention);
  CHECK(sampling.rules == search.rules);

  wish = of_query("attention");
  CHECK(std::get<BeamOptions>(request_of(wish, *tests::small_captioner(), "", notes).search).attention);
  CHECK_FALSE(std::get<BeamOptions>(request_of(wish, *tests::plain_captioner(), "", notes).search).attention);
  wish.prefix = "unheard";
  CHECK(has(refused([&] { request_of(wish, *tests::small_captioner(), "", notes); }), "unheard"));
}

TEST_CASE("options: one that is not known is named, not shown with all the others") {
  const std::string refusal = tests::refused(
      [&] {
        wish_of(Json::object({{"beam", 3}, {"colour", std::string(10'000, 'x')}}));
      },
      tensor::ErrorKind::data);
  CHECK(refusal == "options: 'colour' is no option");
}
