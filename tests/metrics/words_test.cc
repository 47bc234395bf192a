#include "imgcap/metrics/words.h"

#include <doctest/doctest.h>

#include <map>

#include "imgcap/metrics/cider.h"

using namespace imgcap;

TEST_CASE("KeyNumbers: numbers in the order of first sight, however many and whatever keys") {
  // Neighbours, multiples of powers of two, and keys that differ in high bits alone.
  for (const uint64_t step :
       {uint64_t{1}, uint64_t{1} << 16, uint64_t{1} << 32, uint64_t{1} << 50, uint64_t{0x9E3779B97F4A7C15}}) {
    CAPTURE(step);
    KeyNumbers numbers;
    std::map<uint64_t, uint32_t> expected;
    CHECK(numbers.find(0) == 0);
    bool right = true;
    for (uint64_t i = 0; i < 20'000; ++i) {
      const uint64_t key = (i * 7 % 10'007) * step;
      const auto [place, fresh] = expected.emplace(key, static_cast<uint32_t>(expected.size() + 1));
      if (fresh) right = right && numbers.find(key) == 0;
      numbers.prefetch(key);
      right = right && numbers[key] == place->second && numbers.find(key) == place->second;
    }
    CHECK(right);
    CHECK(numbers.size() == expected.size());
  }
}

TEST_CASE("NgramTable: what is known has its number, what is new one of its own") {
  NgramTable table;
  const SentenceNgrams seen = table.count("a b a");
  CHECK(seen.words == 3);
  REQUIRE(seen.order(0).size() == 2);  // a, twice, and b
  CHECK(seen.order(0)[0].count == 2);
  CHECK(seen.order(0)[1].count == 1);
  CHECK(seen.order(1).size() == 2);
  CHECK(seen.order(2).size() == 1);
  CHECK(seen.order(3).empty());
  const uint32_t size = table.size();
  CHECK(size == 5);

  const SentenceNgrams other = table.count_known("a b c c c b");
  CHECK(table.size() == size);
  CHECK(other.words == 6);
  REQUIRE(other.order(0).size() == 3);
  CHECK(other.order(0)[0].id == seen.order(0)[0].id);
  CHECK(other.order(0)[1].id == seen.order(0)[1].id);
  CHECK(other.order(0)[1].count == 2);
  CHECK(other.order(0)[2].id > size);  // c
  CHECK(other.order(0)[2].count == 3);
  REQUIRE(other.order(1).size() == 4);  // a b, b c, c c, c b
  CHECK(other.order(1)[0].id == seen.order(1)[0].id);
  uint32_t twice = 0;
  for (const NgramCount& gram : other.order(1)) twice += gram.count == 2 && gram.id > size;
  CHECK(twice == 1);  // c c
  // The same numbers as by learning it.
  const SentenceNgrams learnt = table.count("a b c c c b");
  REQUIRE(learnt.grams.size() == other.grams.size());
  for (size_t i = 0; i < learnt.grams.size(); ++i) {
    CHECK(learnt.grams[i].id == other.grams[i].id);
    CHECK(learnt.grams[i].count == other.grams[i].count);
  }
  CHECK(table.count_known("").grams.empty());
}

TEST_CASE("cider: a caption's score does not depend on those that were scored before") {
  const std::vector<std::vector<std::string>> references = {
      {"a dog runs", "the dog"}, {"two cats"}, {"a bus"}};
  const CiderScorer scorer(references);
  const double alone = scorer.score(0, "x x y a dog z z z");
  for (const char* other : {"y x", "z z", "dog z z", "x y a"}) scorer.score(1, other);
  CHECK(scorer.score(0, "x x y a dog z z z") == alone);
  CHECK(alone > 0);
}
