#include "imgcap/metrics/diversity.h"

#include <doctest/doctest.h>

#include <set>
#include <sstream>

#include "tests/json.h"

using namespace imgcap;

TEST_CASE("diversity: counted by hand") {
  const Candidates candidates = {{"1", "A dog runs ."}, {"2", "a dog runs"}, {"3", "A cat"}, {"4", ""}};
  const std::vector<std::string> training = {"A dog runs!", "the cat", "a dog"};
  // Treebank words: "a dog runs" twice, "a cat" and nothing.
  const Diversity ptb = diversity(candidates, "ptb", &training);
  CHECK(ptb.distinct_1 == 4.0 / 8);  // a dog runs cat
  CHECK(ptb.distinct_2 == 3.0 / 5);  // a-dog dog-runs a-cat
  CHECK(ptb.captions == 4);
  CHECK(ptb.distinct_captions == 3);
  CHECK(ptb.in_training == 2.0 / 4);
  CHECK(ptb.training == 3);
  CHECK(
      describe(ptb) ==
      "distinct-1 0.5000, distinct-2 0.6000; 3 distinct captions of 4; 0.5000 of all stand in the 3 training "
      "captions");
  // Lower case and blanks alone: the full stop is a word, and "runs!" is another one than "runs".
  const Diversity none = diversity(candidates, "none", &training);
  CHECK(none.distinct_1 == 5.0 / 9);
  CHECK(none.distinct_2 == 4.0 / 6);
  CHECK(none.distinct_captions == 4);
  CHECK(none.in_training == 0.0);
  const Diversity as_is = diversity(candidates, "as-is");
  CHECK(as_is.distinct_1 == 6.0 / 9);  // A and a
  CHECK(as_is.distinct_2 == 5.0 / 6);
  CHECK_FALSE(as_is.in_training);
  CHECK(describe(as_is) == "distinct-1 0.6667, distinct-2 0.8333; 4 distinct captions of 4");
  // One beside nothing, and nothing at all.
  CHECK(diversity({{"1", "على"}, {"2", "علي."}}, "unicode").distinct_captions == 2);
  const std::vector<std::string> seen = {"علی"};  // as in Persian
  const Diversity arabic = diversity({{"1", "على"}, {"2", "علي."}}, "unicode", &seen, {.ya = true});
  CHECK(arabic.distinct_captions == 1);
  CHECK(arabic.in_training == 1);
  const Diversity one = diversity({{"1", "dog"}}, "ptb");
  CHECK(one.distinct_1 == 1);
  CHECK(one.distinct_2 == 0);
  CHECK(diversity({{"1", ""}}, "ptb").distinct_1 == 0);
}

TEST_CASE("diversity: the object of the scores") {
  const std::vector<std::string> training = {"dog"};
  const Candidates candidates = {{"1", "dog"}, {"2", "cat sat"}};
  tensor::io::Json json = tensor::io::Json::object({{"images", 2}});
  add_diversity(json, diversity(candidates, "ptb"));
  CHECK(json.dump() == R"({"images":2,"distinct-1":1.0,"distinct-2":1.0,"distinct_captions":2})");
  add_diversity(json, diversity(candidates, "ptb", &training));
  CHECK(json.at("in_training") == 0.5);
  CHECK(json.at("training_captions") == 1);
}

TEST_CASE("diversity: as plain sets of words count it") {
  uint32_t state = 7;
  const auto draw = [&](uint32_t below) {
    state = state * 1664525 + 1013904223;
    return (state >> 16) % below;
  };
  Candidates candidates;
  std::vector<std::string> training;
  const auto sentence = [&] {
    std::string text;
    const uint32_t length = 1 + draw(5);
    for (uint32_t w = 0; w < length; ++w)
      text += (w > 0 ? " " : "") + std::string("w") + std::to_string(draw(12));
    return text;
  };
  for (int i = 0; i < 400; ++i) candidates[std::to_string(i)] = sentence();
  for (int i = 0; i < 200; ++i) training.push_back(sentence());

  std::set<std::string> words, captions;
  std::set<std::pair<std::string, std::string>> bigrams;
  const std::set<std::string> seen(training.begin(), training.end());
  int all_words = 0, all_bigrams = 0, copies = 0;
  for (const auto& [image, text] : candidates) {
    captions.insert(text);
    copies += seen.contains(text) ? 1 : 0;
    std::istringstream in(text);
    std::string last, word;
    for (; in >> word; last = word) {
      words.insert(word), ++all_words;
      if (!last.empty()) bigrams.insert({last, word}), ++all_bigrams;
    }
  }
  REQUIRE(captions.size() < candidates.size());
  REQUIRE(copies > 0);
  const Diversity found = diversity(candidates, "ptb", &training);
  CHECK(found.distinct_1 == static_cast<double>(words.size()) / all_words);
  CHECK(found.distinct_2 == static_cast<double>(bigrams.size()) / all_bigrams);
  CHECK(found.distinct_captions == static_cast<int64_t>(captions.size()));
  CHECK(found.in_training == copies / 400.0);
}
