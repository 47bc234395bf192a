// Which words are scored, and what is normalised before: --tokenizer, --normalise and its parts.
#include <doctest/doctest.h>

#include "tests/cli/given.h"
#include "tests/cli/refused.h"
#include "tests/cli/search_scene.h"

using namespace tests;
using tensor::io::Json;

namespace {

// A word for each normalisation, as it is written and as that one makes it.
struct Changed {
  std::string flag, written, normal;
};
const std::vector<Changed> kChanged = {{"--normalise-alef", "أحمر", "احمر"},
                                       {"--normalise-ya", "على", "علي"},
                                       {"--normalise-ta-marbuta", "طفلة", "طفله"},
                                       {"--remove-tatweel", "كـــلب", "كلب"},
                                       {"--remove-diacritics", "ثوبًا", "ثوبا"}};

std::string line(std::string Changed::*form) {
  std::string text;
  for (const Changed& word : kChanged) text += (text.empty() ? "" : " ") + word.*form;
  return text;
}

}  // namespace

TEST_CASE("tokenize: each normalisation by its flag, all together, and all but one") {
  const std::string written = line(&Changed::written) + "؟\n";
  const auto words = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"tokenize", "--rules", "unicode"});
    const Result result = run(options, written);
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return read_json(result.out);
  };
  const auto expected = [](const std::function<bool(const Changed&)>& is_normal) {
    Json list = Json::array();
    for (const Changed& word : kChanged) list.push_back(is_normal(word) ? word.normal : word.written);
    return list;
  };
  CHECK(words({}) == expected([](const Changed&) { return false; }));
  CHECK(words({"--normalise", "arabic"}) == expected([](const Changed&) { return true; }));
  CHECK(words({"--normalise", "none"}) == expected([](const Changed&) { return false; }));
  for (const Changed& changed : kChanged) {
    const auto is_it = [&](const Changed& word) { return word.flag == changed.flag; };
    CAPTURE(changed.flag);
    CHECK(words({changed.flag}) == expected(is_it));
    // The single flag counts, whatever stands first.
    CHECK(words({"--normalise", "arabic", changed.flag + "=false"}) == expected(std::not_fn(is_it)));
    CHECK(words({changed.flag + "=false", "--normalise", "arabic"}) == expected(std::not_fn(is_it)));
  }
  const std::vector<std::string> kept = {"a", "dog", "على", "."};
  CHECK(read_json(run({"tokenize"}, "A dog على.\n").out) == Json(kept));
  CHECK(read_json(run({"tokenize", "--normalise-ya"}, "على\n").out) == Json(std::vector<std::string>{"علي"}));
  CHECK(read_json(run({"tokenize", "--rules", "ptb", "--normalise-ya"}, "على\n").out) ==
        Json(std::vector<std::string>{"علي"}));
  // A line of what is removed is empty: the one behind it decides about the P.
  CHECK(run({"tokenize", "--rules", "ptb", "--remove-tatweel"}, "the letter P.\nـــ\nA man\n").out ==
        run({"tokenize", "--rules", "ptb"}, "the letter P.\n\nA man\n").out);
  CHECK(run({"tokenize", "--rules", "unicode"}, "A man, 2 DOGS.\n\n").out ==
        "[\"a\",\"man\",\"2\",\"dogs\"]\n[]\n");
  check_refused(run({"tokenize", "--normalise", "latin"}), "latin not in {none,arabic}");
}

TEST_CASE("score: words by Unicode and what is normalised, in the table and in JSON") {
  const Folder folder;
  tests::write_text(folder / "truths", "image,caption\na.jpg," + line(&Changed::normal) + "\n");
  tests::write_text(folder / "mine", "image,caption\na.jpg," + line(&Changed::written) + ".\n");
  const auto score = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"score", "--references", folder / "truths", "--candidates", folder / "mine"});
    const Result result = run(more);
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return result.out;
  };
  const Json plain = read_json(score({"--tokenizer", "unicode", "--json"}));
  CHECK(plain.at("BLEU-1").as_double() < 0.01);
  CHECK(plain.at("tokenizer") == "unicode");
  CHECK(plain.at("normalisation") == "none");
  const Json all = read_json(score({"--tokenizer", "unicode", "--normalise", "arabic", "--json"}));
  CHECK(all.at("BLEU-1").as_double() == doctest::Approx(1));
  CHECK(all.at("normalisation") == "alef, ya, ta marbuta, tatweel, diacritics");
  for (const Changed& changed : kChanged) {
    CAPTURE(changed.flag);
    CHECK(read_json(score({"--tokenizer", "unicode", changed.flag, "--json"})).at("BLEU-1").as_double() ==
          doctest::Approx(0.2));
  }
  CHECK(has(score({"--tokenizer", "unicode", "--normalise-ya"}),
            "1 image of truths, 1 reference each, unicode words (normalised: ya), standard protocol"));
  // What stands in the training captions is compared in the same words.
  CHECK(read_json(score({"--tokenizer", "unicode", "--normalise", "arabic", "--json", "--training",
                         folder / "truths"}))
            .at("in_training") == 1);
  check_refused(run({"score", "--references", folder / "truths", "--candidates", folder / "mine",
                     "--protocol", "original", "--tokenizer", "unicode"}),
                "the original protocol splits the text as it is at white space");
}

TEST_CASE("eval: words by Unicode and what is normalised, in its scores and counts") {
  const Scene scene;
  const std::vector<std::string> own = {"eval",         "--checkpoint", scene.plain,   "--weights",
                                        scene.weights,  "--images",     scene.photos,  "--captions",
                                        scene.captions, scene.more,     "--list",      scene.list,
                                        "--features",   scene.features, "--max-words", "5"};
  const auto eval = [&](std::vector<std::string> more) {
    more.insert(more.begin(), own.begin(), own.end());
    const Result result = run(more);
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return result.out;
  };
  const Json ptb = read_json(eval({"--json"}));
  const Json unicode = read_json(eval({"--json", "--tokenizer", "unicode", "--normalise-ya"}));
  CHECK(ptb.at("normalisation") == "none");
  CHECK(unicode.at("tokenizer") == "unicode");
  CHECK(unicode.at("normalisation") == "ya");
  const Model model(scene.plain);
  const FeatureCache features = FeatureCache::open(scene.features);
  ScoreOptions options;
  options.tokenizer = ScoreTokenizer::unicode;
  options.normalisation.ya = true;
  const Evaluation expected =
      evaluate(*model.decoder, make_dataset({scene.references}, scene.names, features, model.vocabulary),
               features, model.vocabulary, search_options(5, 5, 1), options);
  CHECK(unicode.at("BLEU-1") == expected.scores.bleu[0]);
  CHECK(unicode.at("CIDEr") == expected.scores.cider);
  CHECK(has(eval({"--tokenizer", "unicode"}), "unicode words, standard protocol"));
  // Before any photo is looked at.
  check_refused(run({"eval", "--checkpoint", "none", "--images", "none", "--captions", "none", "--protocol",
                     "original", "--normalise", "arabic"}),
                "the original protocol splits the text as it is at white space");
}
