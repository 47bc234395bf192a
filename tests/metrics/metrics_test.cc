// The vectors are pycocoevalcap's and torcheval's own, or were computed with them.
#include <doctest/doctest.h>

#include <cmath>

#include "imgcap/metrics/bleu.h"
#include "imgcap/metrics/cider.h"
#include "imgcap/metrics/rouge.h"
#include "tensor/error.h"

using namespace imgcap;
using Texts = std::vector<std::string>;
using References2 = std::vector<std::vector<std::string>>;

namespace {

const Texts kCandidates{"a man in a blue shirt", "a dog runs on the grass", "two kids play soccer"};
const References2 kReferences{{"a man in a blue shirt stands", "a man wearing blue"},
                              {"a brown dog runs on green grass", "the dog is running"},
                              {"two boys play soccer on the field", "kids playing soccer"}};

void check_near(double value, double expected, double tolerance) {
  CAPTURE(value);
  CAPTURE(expected);
  CHECK(std::abs(value - expected) <= tolerance);
}

}  // namespace

TEST_CASE("bleu: published counts give the published scores") {
  // arctic-captions issue 5, all digits
  const Bleu4 scores =
      bleu_of_counts({46456, 46642, {46456, 41456, 36456, 31456}, {29418, 13584, 5770, 2454}});
  const Bleu4 expected{0.630714052536524, 0.4536981210368327, 0.31895835186019617, 0.22408281090267523};
  for (size_t n = 0; n < 4; ++n) check_near(scores[n], expected[n], 1e-14);
  // pycocoevalcap issue 25: longer than the references, so no penalty
  const Bleu4 longer = bleu_of_counts({9893, 9855, {9893, 8893, 7893, 6893}, {5732, 2510, 1043, 423}});
  const Bleu4 printed{.579, .404, .279, .191};
  for (size_t n = 0; n < 4; ++n) check_near(longer[n], printed[n], 5e-4);
}

TEST_CASE("bleu, rouge_l, cider: the small vector") {
  const BleuResult result = bleu(kCandidates, kReferences);
  const Bleu4 expected{.939413063, .736936237, .634203753, .566097919};
  for (size_t n = 0; n < 4; ++n) check_near(result.corpus[n], expected[n], 5e-10);
  CHECK(result.images.size() == 3);
  CHECK(result.counts.candidate_length == 16);
  CHECK(result.counts.reference_length == 17);  // 7 (not 4), 7 (not 4), 3 (not 7)

  const ImageScores rouge = rouge_l(kCandidates, kReferences);
  const double rouge_images[]{.910447761, .758706468, .698473282};
  for (size_t i = 0; i < 3; ++i) check_near(rouge.images[i], rouge_images[i], 5e-10);
  check_near(rouge.mean, .78920917, 5e-9);

  const ImageScores scores = cider(kCandidates, kReferences);
  const double cider_images[]{5.38600363, 2.088300509, 1.692366663};
  for (size_t i = 0; i < 3; ++i) check_near(scores.images[i], cider_images[i], 5e-9);
  check_near(scores.mean, 3.055556934, 5e-10);

  References2 first;
  for (const auto& references : kReferences) first.push_back({references[0]});
  check_near(cider(kCandidates, first).mean, 4.610262414, 5e-10);
  check_near(cider_swapped(kCandidates, first).mean, 4.620738559, 5e-10);
}

TEST_CASE("cider_swapped: each pair is an image") {
  CHECK(cider_swapped(kCandidates, kReferences).images.size() == 6);
}

TEST_CASE("bleu: a sentence's own score follows the same formula") {
  // 6 words, closest reference 7: unigrams 6/6, penalty exp(1 - 7/6)
  const BleuResult result = bleu(kCandidates, kReferences);
  check_near(result.images[0][0], std::exp(1 - 7.0 / 6.0), 1e-8);
  // one word: no bigram to guess, so a tiny number over a tiny number
  const BleuResult word = bleu(Texts{"dog"}, References2{{"dog"}});
  check_near(word.corpus[0], 1, 1e-8);
  check_near(word.corpus[1], std::sqrt(1e-6), 1e-8);
}

TEST_CASE("bleu: the closest reference, the shorter of two as close") {
  CHECK(bleu(Texts{"a b c"}, References2{{"a b c d", "a b"}}).counts.reference_length == 2);
  CHECK(bleu(Texts{"a b c"}, References2{{"a", "a b c d", "a b c d e f"}}).counts.reference_length == 4);
  // matches are cut to the one reference that has most: "a" twice in the second
  CHECK(bleu(Texts{"a a a"}, References2{{"a b", "a a"}}).counts.correct[0] == 2);
}

TEST_CASE("bleu_torcheval: the documentation's examples") {
  const Texts one{"the squirrel is eating the nut"};
  const References2 one_references{{"a squirrel is eating a nut", "the squirrel is eating a tasty nut"}};
  check_near(bleu_torcheval(one, one_references)[3], 0.53728497, 1e-7);
  const Texts two{one[0], "the cat is on the mat"};
  const References2 two_references{one_references[0], {"there is a cat on the mat", "a cat is on the mat"}};
  check_near(bleu_torcheval(two, two_references)[3], 0.65341892, 1e-7);
}

TEST_CASE("bleu_torcheval: shortest reference, no smoothing, too short is an error") {
  // closest would be 6 words with a penalty; the shortest has 4, so there is none
  check_near(bleu_torcheval(Texts{"a b c d e"}, References2{{"a b c d e f", "a b c d"}})[0], 1.0, 1e-7);
  CHECK(bleu_torcheval(Texts{"a b c d"}, References2{{"d c b a"}})[1] == 0);
  const auto zero = bleu_torcheval(Texts{"a b c"}, References2{{"a b c"}}, true);
  CHECK(zero[2] == 1);
  CHECK(zero[3] == 0);
  CHECK_THROWS_WITH_AS(bleu_torcheval(Texts{"a b c"}, References2{{"a b c"}}),
                       doctest::Contains("has 4 words"), tensor::Error);
}

TEST_CASE("metrics: empty texts score 0, never NaN") {
  const Texts empty{"", "a b"};
  const References2 references{{"a dog"}, {""}};
  for (const Bleu4& scores : bleu(empty, references).images)
    for (const double score : scores) CHECK(std::isfinite(score));
  CHECK(rouge_l(empty, references).mean == 0);
  CHECK(cider(empty, references).mean == 0);
  CHECK(cider(Texts{"a dog"}, References2{{"a dog"}}).mean == 0);  // one image: every weight is ln 1
}

TEST_CASE("rouge_l: words are what lies between single blanks") {
  // "a  b" has an empty word: L = 2, P = 2/3, R = 1
  const double p = 2.0 / 3.0, b2 = 1.44;
  check_near(rouge_l(Texts{"a  b"}, References2{{"a b"}}).mean, (1 + b2) * p / (1 + b2 * p), 1e-15);
}

TEST_CASE("split_words: Python's white space") {
  const auto words = split_words(
      "\x1c a\xC2\xA0"
      "b\xE3\x80\x80\tc\n");
  CHECK(words == std::vector<std::string_view>{"a", "b", "c"});
  CHECK(split_words("").empty());
}

TEST_CASE("metrics: bad arguments") {
  CHECK_THROWS_WITH_AS(bleu(Texts{}, References2{}), doctest::Contains("bleu: no candidates"), tensor::Error);
  CHECK_THROWS_WITH_AS(cider(Texts{"a"}, References2{}), doctest::Contains("cider: 1 candidates"),
                       tensor::Error);
  CHECK_THROWS_WITH_AS(rouge_l(Texts{"a"}, References2{{}}),
                       doctest::Contains("candidate 0 has no references"), tensor::Error);
}

TEST_CASE("CiderScorer is cider() of one caption at a time, in any order") {
  const std::vector<std::string> candidates = {"a dog runs", "two men on a bench", "a red bus in the street"};
  const std::vector<std::vector<std::string>> references = {{"a dog runs fast", "the dog is running"},
                                                            {"two men sit on a bench"},
                                                            {"a bus in a street", "a red bus"}};
  const ImageScores all = cider(candidates, references);
  CiderScorer scorer(references);
  for (const size_t image : {2, 0, 1, 0}) CHECK(scorer.score(image, candidates[image]) == all.images[image]);
  CHECK(scorer.score(0, "") == 0);
  CHECK_THROWS_AS(scorer.score(3, "a dog"), tensor::Error);
  const std::vector<std::vector<std::string>> none, lacking = {{"a dog"}, {}};
  CHECK_THROWS_AS(CiderScorer{none}, tensor::Error);
  CHECK_THROWS_AS(CiderScorer{lacking}, tensor::Error);
}
