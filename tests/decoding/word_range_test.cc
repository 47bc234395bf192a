// Searches that begin with a language's token and keep to its words.
#include <doctest/doctest.h>

#include "imgcap/decoding/caption_search.h"
#include "tensor/error.h"
#include "toy_decoder.h"

using namespace tests;

namespace {

// <en> is 4 with the words 5..8, <ar> is 9 with 10..14.
constexpr int64_t kVocabulary = 15;
constexpr WordRange kFirst{4, 5, 9}, kSecond{9, 10, 15};

// The best finished caption of words of a range, by enumeration; its log-probability is over all tokens.
Hypothesis best_of(const Table& table, int64_t image, const WordRange& range, int64_t max_words) {
  Hypothesis best;
  best.score = -INFINITY;
  std::vector<int64_t> words;
  const std::function<void(int64_t, int64_t, double)> visit = [&](int64_t before, int64_t last, double sum) {
    const std::vector<double> p = log_probabilities(table(image, before, last));
    const double score = (sum + p[kEos]) / static_cast<double>(words.size() + 1);
    if (score > best.score) best.words = words, best.score = score;
    if (std::ssize(words) == max_words) return;
    for (int64_t word = range.first; word < range.end; ++word) {
      words.push_back(word);
      visit(last, word, sum + p[static_cast<size_t>(word)]);
      words.pop_back();
    }
  };
  visit(0, range.start, 0);
  return best;
}

}  // namespace

TEST_CASE("a wide beam finds the best caption of one language's words") {
  for (uint64_t seed = 0; seed < 8; ++seed)
    for (const WordRange& range : {kFirst, kSecond}) {
      CAPTURE(seed);
      CAPTURE(range.start);
      const Table table = dense_table(kVocabulary, seed);
      ToyDecoder decoder(kVocabulary, table);
      BeamOptions options;
      options.beam = kVocabulary;
      options.max_words = 2;
      options.range = range;
      const auto found = beam_search(decoder, images({0, 3}), options);
      for (size_t i = 0; i < 2; ++i) {
        const Hypothesis expected = best_of(table, i == 0 ? 0 : 3, range, 2);
        CHECK(found[i][0].words == expected.words);
        CHECK(found[i][0].score == doctest::Approx(expected.score).epsilon(1e-12));
        CHECK(found[i][0].ids.front() == range.start);
      }
    }
}

TEST_CASE("no way of decoding leaves the range, however likely what is outside is") {
  // Everything but the first language's words is likelier.
  const Table table = [](int64_t image, int64_t before, int64_t last) {
    std::vector<double> logits = dense_table(kVocabulary, 5)(image, before, last);
    for (size_t token = 0; token < logits.size(); ++token)
      if (token != kEos && !kFirst.has(static_cast<int64_t>(token))) logits[token] += 30;
    return logits;
  };
  ToyDecoder decoder(kVocabulary, table);
  tensor::Generator generator(1);
  BeamOptions beam;
  beam.beam = beam.nbest = 5;
  SamplingOptions drawn;
  drawn.samples = 20;
  SamplingOptions few = drawn;
  few.top_k = 3;
  for (DecodingOptions* options :
       {static_cast<DecodingOptions*>(&beam), static_cast<DecodingOptions*>(&drawn),
        static_cast<DecodingOptions*>(&few)})
    options->range = kFirst, options->max_words = 6;
  std::vector<Hypothesis> all = greedy(decoder, images({0, 1}), beam);
  const std::vector<SearchRequest> requests = {
      {.search = beam}, {.search = drawn, .generator = &generator}, {.search = few, .generator = &generator}};
  for (const std::vector<Hypothesis>& list : find_captions(decoder, images({0, 1, 2}), requests))
    all.insert(all.end(), list.begin(), list.end());
  REQUIRE(all.size() == 2 + 5 + 20 + 20);
  size_t words = 0;
  for (const Hypothesis& caption : all)
    for (const int64_t word : caption.words) {
      CHECK(kFirst.has(word));
      ++words;
    }
  CHECK(words > 40);
}

TEST_CASE("requests of two languages are searched apart") {
  const Table table = dense_table(kVocabulary, 2);
  ToyDecoder decoder(kVocabulary, table);
  std::vector<SearchRequest> requests;
  for (const WordRange& range : {kFirst, kSecond}) {
    BeamOptions options;
    options.max_words = 3;
    options.range = range;
    requests.push_back({.search = options});
  }
  const auto found = find_captions(decoder, images({1, 1}), requests);
  for (size_t i = 0; i < 2; ++i)
    CHECK(found[i][0].words ==
          beam_search(decoder, images({1}), std::get<BeamOptions>(requests[i].search))[0][0].words);
  CHECK(found[0][0].words != found[1][0].words);
}

TEST_CASE("the blank before a prefix is the language's own") {
  CaptionRules rules;
  rules.tokens = {"<unk>", "<pad>", "<sos>", "<eos>", "<en>", "  ", " a", "<ar>", "  ", " b"};
  rules.prefix = {6};
  const auto allowed = [&](const WordRange& range) {
    std::vector<bool> banned(rules.tokens.size(), false);
    internal::RuleChecker(rules, 9, range).ban({}, banned);
    std::vector<size_t> open;
    for (size_t i = 0; i < banned.size(); ++i)
      if (!banned[i]) open.push_back(i);
    return open;
  };
  CHECK(allowed({4, 5, 7}) == std::vector<size_t>{5, 6});
  rules.prefix = {9};
  CHECK(allowed({7, 8, 10}) == std::vector<size_t>{8, 9});
}

TEST_CASE("a range that the vocabulary does not have is refused") {
  ToyDecoder decoder(kVocabulary, dense_table(kVocabulary, 2));
  const auto why = [&](const WordRange& range, bool original = false) -> std::string {
    BeamOptions options;
    options.range = range;
    try {
      original ? hundred_steps_search(decoder, images({0}), options)
               : beam_search(decoder, images({0}), options);
    } catch (const tensor::Error& error) {
      CHECK(error.kind() == tensor::ErrorKind::argument);
      return error.what();
    }
    return "nothing";
  };
  CHECK(why(kFirst) == "nothing");
  CHECK(why({4, 5, 5}) == "nothing");  // a language without words: the caption is empty
  CHECK(why({4, 5, 16}) == "beam_search: words from 5 to 16 that begin with 4, of a vocabulary of 15");
  for (const WordRange& range :
       {WordRange{15, 5, 9}, WordRange{-1, 5, 9}, WordRange{4, 3, 9}, WordRange{4, 9, 5}, WordRange{6, 5, 9},
        WordRange{4, 5, WordRange::kAllTokens}})
    CHECK(why(range).starts_with("beam_search: words from "));
  CHECK(why(kFirst, true) == "hundred_steps_search: the original's search knows no languages");
}
