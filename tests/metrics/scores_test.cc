#include "imgcap/metrics/scores.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>
#include <optional>

#include "imgcap/metrics/cider.h"
#include "imgcap/metrics/rouge.h"
#include "imgcap/settings/names.h"
#include "tensor/error.h"
#include "tests/data_dir.h"
#include "tests/json.h"

using namespace imgcap;
using tensor::io::Json;
using tests::read_json;

namespace {

// The captions with the given numbers, of the images of a list.
References captions_numbered(const std::vector<Caption>& captions, const std::vector<std::string>& images,
                             const std::vector<int>& numbers) {
  std::vector<Caption> chosen;
  for (const Caption& caption : captions)
    if (std::find(numbers.begin(), numbers.end(), caption.number) != numbers.end()) chosen.push_back(caption);
  return references_of(chosen, &images);
}

Candidates first_of(const References& references) {
  Candidates result;
  for (const auto& [image, texts] : references) result[image] = texts.front();
  return result;
}

void check_scores(const Scores& scores, const Json& expected) {
  INFO(expected.at("case").as_text());
  CHECK(scores.images == expected.at("images").as_int64());
  for (size_t n = 0; n < 4; ++n) {
    const double value = expected.at("BLEU-" + std::to_string(n + 1)).as_double();
    CAPTURE(n);
    CAPTURE(scores.bleu[n]);
    CHECK(std::abs(scores.bleu[n] - value) < 1e-6);
  }
  if (expected.find("CIDEr") == nullptr) return;
  CAPTURE(scores.rouge_l);
  CAPTURE(scores.cider);
  CHECK(std::abs(scores.rouge_l - expected.at("ROUGE-L").as_double()) < 1e-6);
  CHECK(std::abs(scores.cider - expected.at("CIDEr").as_double()) < 1e-6);
}

Scores small_scores(ScoreOptions options = {}) {
  return score_captions({{"a.jpg", "A man's dog runs fast."}, {"b.jpg", "Two cats sleep on a mat."}},
                        {{"a.jpg", {"A man's dog is running fast.", "A dog runs."}},
                         {"b.jpg", {"Two cats are asleep on a mat."}}},
                        options);
}

}  // namespace

TEST_CASE("scores: the reference tools' five cases") {
  const auto dir = tests::data_dir();
  if (dir.empty()) SKIP(tests::kNoData);
  std::ifstream file(dir / "expected" / "scores.json");
  REQUIRE(file);
  const Json cases = read_json(std::string(std::istreambuf_iterator<char>(file), {}));
  REQUIRE(cases.size() == 5);

  const auto f8k = read_captions(dir / "flickr8k" / "captions.csv").captions;
  const auto f8k_test = read_image_list(dir / "flickr8k" / "test.txt").names;
  const References others = captions_numbered(f8k, f8k_test, {1, 2, 3, 4});
  const Candidates zeroth = first_of(captions_numbered(f8k, f8k_test, {0}));

  check_scores(score_captions(zeroth, others), cases.at(0));

  ScoreOptions none;
  none.tokenizer = ScoreTokenizer::none;
  check_scores(score_captions(zeroth, others, none), cases.at(1));

  const auto f30k = read_captions(dir / "flickr30k" / "results.csv").captions;
  const auto f30k_test = read_image_list(dir / "flickr30k" / "test.txt").names;
  check_scores(score_captions(first_of(captions_numbered(f30k, f30k_test, {4})),
                              captions_numbered(f30k, f30k_test, {0, 1, 2, 3})),
               cases.at(2));

  Candidates next;
  for (size_t i = 0; i < f8k_test.size(); ++i)
    next[f8k_test[i]] = zeroth.at(f8k_test[(i + 1) % f8k_test.size()]);
  check_scores(score_captions(next, references_of(f8k, &f8k_test)), cases.at(3));

  ScoreOptions original;
  original.protocol = Protocol::torcheval;
  check_scores(score_captions(zeroth, captions_numbered(f8k, f8k_test, {1}), original), cases.at(4));
}

TEST_CASE("scores: several data sets have means in which each counts alike") {
  ScoreOptions options;
  options.split = "val.txt";
  const Scores scores = small_scores(options);
  Scores other = scores;
  other.images = 1000;
  other.bleu = {0.5, 0.25, 0.125, 0.0625};
  other.rouge_l = 0.75;
  other.cider = 1.5;
  other.references_min = 3;
  other.references_max = 7;
  const Scores mean = mean_of(std::vector{scores, other});
  CHECK(mean.images == 1002);
  for (size_t n = 0; n < 4; ++n) CHECK(mean.bleu[n] == doctest::Approx((scores.bleu[n] + other.bleu[n]) / 2));
  CHECK(mean.rouge_l == doctest::Approx((scores.rouge_l + 0.75) / 2));
  CHECK(mean.cider == doctest::Approx((scores.cider + 1.5) / 2));
  CHECK(mean.references_min == 1);
  CHECK(mean.references_max == 7);
  CHECK(mean.split == "val.txt");
  other.split = "others.txt";
  CHECK(mean_of(std::vector{scores, other, scores}).split == "val.txt, others.txt");
  CHECK(to_json(mean_of(std::vector{scores})) == to_json(scores));
  // Of other words the mean is that of the numbers, and says so.
  for (const char* tokenizer : {"none", "unicode"}) {
    other.tokenizer = tokenizer;
    other.normalisation.ya = true;
    const Scores mixed = mean_of(std::vector{other, scores, other});
    CHECK(mixed.cider == doctest::Approx((2 * other.cider + scores.cider) / 3));
    CHECK(mixed.tokenizer == "each set's own");
    CHECK_FALSE(mixed.normalisation.any());
    CHECK(to_json(mixed).at("normalisation") == "each set's own");
    CHECK(describe(mixed).find(", each set's own words, standard protocol") != std::string::npos);
  }
  other.tokenizer = scores.tokenizer;
  for (const auto& sets :
       {std::vector{scores, other}, {other, scores}, {mean_of(std::vector{scores, other}), scores}}) {
    const Scores mixed = mean_of(sets);
    CHECK(mixed.tokenizer == "ptb");
    CHECK(to_json(mixed).at("normalisation") == "each set's own");
    CHECK(describe(mixed).find(", Treebank words (PTBTokenizer) (normalised: each set's own), ") !=
          std::string::npos);
  }
  Scores third = other;
  third.tokenizer = "unicode";
  CHECK(to_json(mean_of(std::vector{other, third})).at("normalisation") == "ya");
  other.protocol = "original";
  CHECK_THROWS_WITH_AS(mean_of(std::vector{scores, other}),
                       "scores: those of the standard protocol and of the original protocol have no mean",
                       tensor::Error);
  CHECK_THROWS_AS(mean_of({}), tensor::Error);
}

TEST_CASE("scores: every number says what it means") {
  ScoreOptions options;
  options.split = "test.txt";
  const Scores scores = small_scores(options);
  CHECK(describe(scores) ==
        "2 images of test.txt, 1 to 2 references each, Treebank words (PTBTokenizer), standard protocol "
        "(pycocoevalcap)");

  const Json parsed = read_json(to_json(scores).dump());
  CHECK(parsed.at("images") == 2);
  CHECK(parsed.at("BLEU-4").as_double() == scores.bleu[3]);
  CHECK(parsed.at("ROUGE-L").as_double() == scores.rouge_l);
  CHECK(parsed.at("CIDEr").as_double() == scores.cider);
  CHECK(parsed.at("protocol") == "standard");
  CHECK(parsed.at("tokenizer") == "ptb");
  CHECK(parsed.at("normalisation") == "none");
  CHECK(parsed.at("references") == Json::array({1, 2}));
  CHECK(parsed.at("split") == "test.txt");

  options.protocol = Protocol::torcheval;
  const Scores original = small_scores(options);
  CHECK(original.tokenizer == "as-is");
  CHECK(describe(original).find("torcheval") != std::string::npos);
  CHECK(original.bleu[0] != scores.bleu[0]);

  const std::vector<ScoreRow> rows{
      {"attention", 30, 5, scores}, {"plain", {}, {}, scores}, {"x", 1, 3, original}};
  const std::string table = score_table(rows);
  CHECK(
      table.starts_with("Model      Epoch  Beam Width  BLEU-1  BLEU-2  BLEU-3  BLEU-4   CIDEr  ROUGE-L\n"
                        "attention     30           5  "));
  CHECK(table.find("plain          -           -  ") != std::string::npos);
  CHECK(std::count(table.begin(), table.end(), '\n') == 6);  // head, three rows, two kinds of score
}

TEST_CASE("scores: the description has the right number, words and references") {
  Scores scores = small_scores();
  CHECK(scores.images == 2);
  CHECK(scores.references_min == 1);
  CHECK(scores.references_max == 2);
  CHECK(scores.split == "");
  CHECK(describe(scores) ==
        "2 images, 1 to 2 references each, Treebank words (PTBTokenizer), standard protocol (pycocoevalcap)");
  scores.images = 1, scores.references_max = 1, scores.tokenizer = "none";
  CHECK(
      describe(scores) ==
      "1 image, 1 reference each, lower-cased words split at white space, standard protocol (pycocoevalcap)");
  scores.references_min = scores.references_max = 5, scores.tokenizer = "as-is", scores.protocol = "original";
  CHECK(describe(scores) ==
        "1 image, 5 references each, words as they are, split at white space, original protocol (torcheval's "
        "BLEU, CIDEr with candidate and reference exchanged)");
  CHECK(read_json(to_json(scores).dump()).at("references") == 5);
}

TEST_CASE("scores: the table and the JSON, to the character") {
  Scores scores;
  scores.images = 3, scores.protocol = "standard", scores.tokenizer = "ptb", scores.split = "val \"x\"";
  scores.references_min = 2, scores.references_max = 3;
  scores.bleu = {0.5, 0.25, 0.125, 0.0625};
  scores.rouge_l = 0.75, scores.cider = 1.5;
  CHECK(
      to_json(scores).dump() ==
      R"({"images":3,"BLEU-1":0.5,"BLEU-2":0.25,"BLEU-3":0.125,"BLEU-4":0.0625,"ROUGE-L":0.75,"CIDEr":1.5,)"
      R"("protocol":"standard","tokenizer":"ptb","normalisation":"none","references":[2,3],"split":"val \"x\""})");
  scores.split.clear();
  Scores others = scores;
  others.references_min = 3;
  const std::vector<ScoreRow> rows = {
      {"one", 7, 5, scores}, {"longer name", {}, 12, others}, {"two", 100, {}, scores}};
  CHECK(score_table(rows) ==
        "Model        Epoch  Beam Width  BLEU-1  BLEU-2  BLEU-3  BLEU-4   CIDEr  ROUGE-L\n"
        "one              7           5  0.5000  0.2500  0.1250  0.0625  1.5000   0.7500\n"
        "longer name      -          12  0.5000  0.2500  0.1250  0.0625  1.5000   0.7500\n"
        "two            100           -  0.5000  0.2500  0.1250  0.0625  1.5000   0.7500\n"
        "3 images, 2 to 3 references each, Treebank words (PTBTokenizer), standard protocol (pycocoevalcap)\n"
        "3 images, 3 references each, Treebank words (PTBTokenizer), standard protocol (pycocoevalcap)\n");
  CHECK(score_table({}) == "Model  Epoch  Beam Width  BLEU-1  BLEU-2  BLEU-3  BLEU-4   CIDEr  ROUGE-L\n");
}

TEST_CASE("scores: which words each protocol counts") {
  const References references{{"a", {"A Dog , runs !", "The dog"}}, {"b", {"Two cats"}}};
  const Candidates candidates{{"a", "a dog runs fast ."}, {"b", "two CATS"}};
  const auto scored = [&](Protocol protocol, std::optional<ScoreTokenizer> tokenizer) {
    ScoreOptions options;
    options.protocol = protocol, options.tokenizer = tokenizer, options.undefined_is_zero = true;
    return score_captions(candidates, references, options);
  };
  using Texts = std::vector<std::string>;
  // Treebank words without punctuation, in lower case.
  const Texts ptb{"a dog runs fast", "two cats"};
  const std::vector<Texts> ptb_references{{"a dog runs", "the dog"}, {"two cats"}};
  for (const Scores& s : {scored(Protocol::standard, {}), scored(Protocol::standard, ScoreTokenizer::ptb)}) {
    CHECK(s.bleu == bleu(ptb, ptb_references).corpus);
    CHECK(s.rouge_l == rouge_l(ptb, ptb_references).mean);
    CHECK(s.cider == cider(ptb, ptb_references).mean);
  }
  // In lower case at white space, punctuation and all.
  const Texts none{"a dog runs fast .", "two cats"};
  const std::vector<Texts> none_references{{"a dog , runs !", "the dog"}, {"two cats"}};
  const Scores lower = scored(Protocol::standard, ScoreTokenizer::none);
  CHECK(lower.bleu == bleu(none, none_references).corpus);
  CHECK(lower.rouge_l == rouge_l(none, none_references).mean);
  CHECK(lower.cider == cider(none, none_references).mean);
  // As it is.
  const Texts as_is{"a dog runs fast .", "two CATS"};
  const std::vector<Texts> as_is_references{{"A Dog , runs !", "The dog"}, {"Two cats"}};
  for (const Scores& s :
       {scored(Protocol::torcheval, {}), scored(Protocol::torcheval, ScoreTokenizer::none)}) {
    CHECK(s.bleu == bleu_torcheval(as_is, as_is_references, true));
    CHECK(s.rouge_l == rouge_l(as_is, as_is_references).mean);
    CHECK(s.cider == cider_swapped(as_is, as_is_references).mean);
  }
  ScoreOptions strict;
  strict.protocol = Protocol::torcheval;
  CHECK_THROWS_WITH_AS(score_captions({{"b", "two CATS"}}, {{"b", {"Two cats"}}}, strict),
                       doctest::Contains("has 4 words"), tensor::Error);
}

TEST_CASE("scores: the words of a caption do not depend on the captions beside it") {
  // pycocoevalcap reads all captions as one text: "letter P." loses its period before "A man" and keeps it
  // before "Men".
  const auto bleu_of = [](const std::string& first, const std::string& second) {
    const Candidates candidates = {{first, "the letter P."}, {second, "A man runs"}, {"c", "Men run"}};
    return score_captions(candidates,
                          {{first, {"letter p. the"}}, {second, {"A man runs"}}, {"c", {"Men run"}}}, {})
        .bleu;
  };
  CHECK(bleu_of("a", "b") == bleu_of("b", "d"));
  CHECK(bleu_of("a", "b") == bleu_of("b", "a"));
  CHECK(bleu_of("a", "b")[0] > 0.99);  // all of its words are in the reference, "p." among them
}

TEST_CASE("scores: references of some images, in the file's order") {
  const std::vector<Caption> captions = {{"a", 1, "x"}, {"b", 0, "y"}, {"a", 0, "z"}, {"c", 0, "w"}};
  CHECK(references_of(captions) == References{{"a", {"x", "z"}}, {"b", {"y"}}, {"c", {"w"}}});
  const std::vector<std::string> some{"a", "c", "nowhere"};
  CHECK(references_of(captions, &some) == References{{"a", {"x", "z"}}, {"c", {"w"}}});
  const std::vector<std::string> none;
  CHECK(references_of(captions, &none).empty());
  CHECK(candidates_of({{"b", 0, "y"}, {"c", 0, "w"}}) == Candidates{{"b", "y"}, {"c", "w"}});
}

TEST_CASE("scores: tokenisers and protocols") {
  ScoreOptions options;
  options.tokenizer = ScoreTokenizer::none;
  CHECK(small_scores(options).tokenizer == "none");
  options.protocol = Protocol::torcheval;
  CHECK(small_scores(options).tokenizer == "as-is");
  options.tokenizer = ScoreTokenizer::ptb;
  CHECK_THROWS_WITH_AS(small_scores(options), doctest::Contains("original protocol"), tensor::Error);
  options.tokenizer = ScoreTokenizer::unicode;
  CHECK_THROWS_WITH_AS(small_scores(options), doctest::Contains("original protocol"), tensor::Error);
  options.tokenizer = ScoreTokenizer::none;
  options.normalisation.tatweel = true;
  CHECK_THROWS_WITH_AS(small_scores(options), doctest::Contains("original protocol"), tensor::Error);
  // What users call them.
  CHECK(all_names<Protocol>() == std::vector<std::string>{"standard", "original"});
  CHECK(all_names<ScoreTokenizer>() == std::vector<std::string>{"ptb", "none", "unicode"});
}

TEST_CASE("scores: Arabic on whole words, as written and normalised") {
  // One differs by alef's hamza and the full stop, one by ta marbuta, which makes the words others.
  const Candidates candidates = {{"a", "ولد أحمر."}, {"b", "بنت صغيرة"}};
  const References references = {{"a", {"ولد احمر"}}, {"b", {"بنت صغيره"}}};
  ScoreOptions options;
  options.tokenizer = ScoreTokenizer::unicode;
  const auto bleu_1 = [&] { return score_captions(candidates, references, options).bleu[0]; };
  CHECK(bleu_1() == doctest::Approx(0.5));
  options.normalisation.alef = true;
  CHECK(bleu_1() == doctest::Approx(0.75));
  options.normalisation.ta_marbuta = true;
  CHECK(bleu_1() == doctest::Approx(1));
  const Scores scores = score_captions(candidates, references, options);
  CHECK(
      describe(scores) ==
      "2 images, 1 reference each, unicode words (normalised: alef, ta marbuta), standard protocol (pycocoevalcap)");
  CHECK(to_json(scores).at("tokenizer") == "unicode");
  CHECK(to_json(scores).at("normalisation") == "alef, ta marbuta");
  // The other tokenisers split normalised text, too; here the full stop stays with its word.
  options.tokenizer = ScoreTokenizer::none;
  CHECK(bleu_1() == doctest::Approx(0.75));
  options.tokenizer = ScoreTokenizer::ptb;
  CHECK(bleu_1() == doctest::Approx(1));
}

TEST_CASE("scores: images without a partner are named and counted") {
  const References references{{"a", {"a dog"}}, {"b", {"a cat"}}, {"c", {"a cow"}}, {"d", {}}};
  CHECK_THROWS_WITH_AS(score_captions({{"a", "x"}, {"y", "x"}, {"z", "x"}}, references),
                       "score: 2 of 3 images with a candidate have no references, first y", tensor::Error);
  CHECK_THROWS_WITH_AS(score_captions({{"d", "x"}}, references),
                       "score: 1 of 1 images with a candidate have no references, first d", tensor::Error);
  CHECK_THROWS_WITH_AS(score_captions({{"b", "x"}}, references),
                       "score: 3 of 4 images with references have no candidate, first a", tensor::Error);
  CHECK_THROWS_WITH_AS(score_captions({}, {}), doctest::Contains("no images"), tensor::Error);
  ScoreOptions some;
  some.every_image = false;
  CHECK(score_captions({{"b", "a cat"}}, references, some).images == 1);

  CHECK_THROWS_WITH_AS(
      candidates_of({{"a", 0, "x"}, {"b", 0, "y"}, {"a", 1, "z"}}),
      doctest::Contains("1 captions belong to images that already have a candidate, first a"), tensor::Error);
  const std::vector<std::string> only_b{"b"};
  CHECK(candidates_of({{"a", 0, "x"}, {"b", 0, "y"}, {"a", 1, "z"}}, &only_b) == Candidates{{"b", "y"}});
}

TEST_CASE("scores: a thousand images with five references in well under a second") {
  Candidates candidates;
  References references;
  uint32_t state = 1;  // a small generator of sentences
  const auto sentence = [&] {
    std::string text;
    for (int i = 0; i < 12; ++i) {
      state = state * 1664525u + 1013904223u;
      text += " w" + std::to_string((state >> 16) % 2000 * ((state >> 8) % 7) / 6);
    }
    return text + ".";
  };
  for (int i = 0; i < 1000; ++i) {
    const std::string image = std::to_string(i) + ".jpg";
    candidates[image] = sentence();
    for (int r = 0; r < 5; ++r) references[image].push_back(sentence());
  }
  const std::clock_t start = std::clock();  // processor time: a busy machine is no fault of this code
  const Scores scores = score_captions(candidates, references);
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  MESSAGE("1,000 images against 5 references: " << seconds << " s of processor time");
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__)
  CHECK(seconds < 0.8);
#endif
  CHECK(to_json(score_captions(candidates, references)).dump() == to_json(scores).dump());
}
