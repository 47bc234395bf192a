// Searches that keep rules, against every caption that there is.
#include "imgcap/decoding/caption_rules.h"

#include <doctest/doctest.h>

#include <functional>
#include <map>

#include "imgcap/decoding/beam_search.h"
#include "imgcap/decoding/sampling.h"
#include "rules_reference.h"
#include "tensor/error.h"
#include "tensor/format.h"

using namespace tests;

namespace {

struct Found {
  Tokens words;
  double log_probability, score;
};

int64_t back(const Tokens& tokens, size_t from_end) {
  if (tokens.size() >= from_end) return tokens[tokens.size() - from_end];
  return tokens.size() + 1 == from_end ? kSos : 0;
}

std::vector<double> next_of(const Table& table, int64_t image, const Tokens& tokens) {
  return log_probabilities(table(image, back(tokens, 2), back(tokens, 1)));
}

void best_first(std::vector<Found>& found) {
  std::stable_sort(found.begin(), found.end(),
                   [](const Found& a, const Found& b) { return a.score > b.score; });
}

Found finished(const Tokens& words, double sum, double exponent) {
  return {words, sum, sum / std::pow(static_cast<double>(words.size() + 1), exponent)};
}

// Every caption of at most max_words of the first `words` words.
std::vector<Found> enumerate(const Table& table, int64_t image, int64_t words, const BeamOptions& options) {
  std::vector<Found> all;
  Tokens tokens;
  const std::function<void(double)> visit = [&](double sum) {
    const std::vector<double> p = next_of(table, image, tokens);
    all.push_back(finished(tokens, sum + p[kEos], options.length_exponent));
    if (std::ssize(tokens) == options.max_words) return;
    for (int64_t token = kSpecialTokens; token < kSpecialTokens + words; ++token) {
      tokens.push_back(token);
      visit(sum + p[static_cast<size_t>(token)]);
      tokens.pop_back();
    }
  };
  visit(0);
  best_first(all);
  return all;
}

// The finished captions of a search of a small width.
std::vector<Found> plain_beam_search(const Table& table, int64_t image, const BeamOptions& options,
                                     const Reference& reference) {
  struct Open {
    Tokens tokens;
    double sum = 0;
  };
  std::vector<Open> open{{}};
  std::vector<Found> done;
  const auto width = static_cast<size_t>(options.beam);
  for (int64_t step = 0; step <= options.max_words && done.size() < width; ++step) {
    std::vector<Open> all;
    for (const Open& parent : open) {
      const std::vector<double> p = next_of(table, image, parent.tokens);
      for (size_t token = kEos; token < p.size(); ++token) {
        Open child = parent;
        child.tokens.push_back(static_cast<int64_t>(token));
        child.sum += p[token];
        if (reference.may(child.tokens)) all.push_back(child);
      }
    }
    std::stable_sort(all.begin(), all.end(), [](const Open& a, const Open& b) { return a.sum > b.sum; });
    open.clear();
    for (size_t rank = 0; rank < all.size(); ++rank) {
      Open child = all[rank];
      if (child.tokens.back() != kEos) {
        if (open.size() < width) open.push_back(child);
      } else if (rank < width && done.size() < width) {
        child.tokens.pop_back();
        done.push_back(finished(child.tokens, child.sum, options.length_exponent));
      }
    }
  }
  best_first(done);
  return done;
}

void check_equal(const std::vector<Hypothesis>& got, const std::vector<Found>& expected, size_t wanted) {
  const size_t count = std::min(wanted, expected.size());
  REQUIRE(got.size() >= count);
  for (size_t i = 0; i < count; ++i) {
    CAPTURE(i);
    CHECK(got[i].words == expected[i].words);
    CHECK(got[i].finished);
    CHECK(got[i].log_probability == doctest::Approx(expected[i].log_probability).epsilon(1e-12));
    CHECK(got[i].score == doctest::Approx(expected[i].score).epsilon(1e-12));
  }
  for (size_t i = count; i < got.size(); ++i) CHECK_FALSE(got[i].finished);
}

// Words of every kind: the blank before a caption, the one before a spelled word, letters, words.
const std::vector<std::vector<std::string>> kPieces = {
    {"  ", " ", "a", "b", " a", " ab"}, {" a", " b", " c", " ab"}, {" ", "a", "b", " ab"}};
int64_t longest(const std::vector<std::string>& pieces) { return pieces.size() == 6 ? 3 : 4; }

struct Case {
  std::string what;
  int64_t ngram, least;
  std::vector<std::string> suppressed, prefix;  // the prefix in tokens
};
const std::vector<Case> kCases = {{"1-grams", 1, 0, {}, {}},
                                  {"2-grams", 2, 0, {}, {}},
                                  {"a word", 0, 1, {}, {}},
                                  {"two words", 0, 2, {}, {}},
                                  {"three words", 0, 3, {}, {}},
                                  {"no ab", 0, 0, {"ab"}, {}},
                                  {"no a", 0, 0, {"a"}, {}},
                                  {"no a, b, ab", 0, 0, {"b", "a", "ab"}, {}},
                                  {"a", 0, 0, {}, {" a"}},
                                  {"ab", 0, 0, {}, {" ab"}},
                                  {"a ab", 0, 0, {}, {" a", " ab"}},
                                  {"spelled", 0, 0, {}, {" ", "a"}},
                                  {"spelled and full", 0, 0, {}, {" ", "a", "b"}},
                                  {"1-grams, two words", 1, 2, {}, {}},
                                  {"1-grams, a", 1, 0, {}, {" a"}},
                                  {"2-grams, three words, no b", 2, 3, {"b"}, {}},
                                  {"all", 2, 2, {"b"}, {" ab"}},
                                  {"all, spelled", 1, 2, {"ab", "bb"}, {" ", "a"}},
                                  {"as long as it gets", 0, 4, {}, {}},
                                  {"more than there is", 1, 4, {"b", "c"}, {}}};

// Calls f for each case that a vocabulary can have.
void for_each_case(
    size_t size,
    const std::function<void(const Vocabulary&, const CaptionRules&, const std::vector<std::string>&)>& f) {
  for (const auto& pieces : kPieces)
    for (const Case& c : kCases) {
      const Vocabulary vocabulary = small_vocabulary(pieces, size);
      const bool sayable = std::all_of(c.prefix.begin(), c.prefix.end(),
                                       [&](const std::string& token) { return vocabulary.contains(token); });
      if (!sayable || c.least > longest(pieces)) continue;
      CAPTURE(c.what);
      CAPTURE(pieces.size());
      CAPTURE(pieces.front());
      CaptionRules rules;
      rules.no_repeat_ngram = c.ngram;
      rules.min_words = c.least;
      rules.suppressed = c.suppressed;
      for (const std::string& token : c.prefix) rules.prefix.push_back(vocabulary.id(token));
      rules.tokens = vocabulary.tokens();
      f(vocabulary, rules, pieces);
    }
}

}  // namespace

TEST_CASE("a wide beam finds the best of all captions that keep the rules") {
  int64_t cases = 0, without = 0;
  for_each_case(1600, [&](const Vocabulary& vocabulary, const CaptionRules& rules, const auto& pieces) {
    const uint64_t seed = static_cast<uint64_t>(++cases);
    const Table table = first_words(vocabulary.size(), std::ssize(pieces), seed);
    ToyDecoder decoder(vocabulary.size(), table);
    BeamOptions options;
    options.beam = vocabulary.size();
    options.max_words = longest(pieces);
    options.length_exponent = cases % 2 == 0 ? 1 : 0;
    options.nbest = cases % 3 == 0 ? 1 : 7;
    options.rules = rules;
    const Reference reference(vocabulary, rules, options.max_words);
    const auto found = beam_search(decoder, images({0, 5}), options);
    for (size_t i = 0; i < 2; ++i) {
      const auto all = enumerate(table, i == 0 ? 0 : 5, std::ssize(pieces), options);
      std::vector<Found> fitting;
      for (const Found& each : all)
        if (reference.fits(each.words)) fitting.push_back(each);
      CHECK(fitting.size() < all.size());
      without += fitting.empty();
      check_equal(found[i], fitting, static_cast<size_t>(options.nbest));
      if (fitting.empty()) CHECK_FALSE(found[i].front().finished);
    }
  });
  CHECK(cases > 40);
  CHECK(without > 0);  // or what happens then is not looked at
}

TEST_CASE("beams of every width keep the rules, and one of width 1 is greedy") {
  int64_t ended = 0;
  for_each_case(0, [&](const Vocabulary& vocabulary, const CaptionRules& rules, const auto& pieces) {
    for (uint64_t seed = 0; seed < 4; ++seed)
      for (const int64_t beam : {1, 2, 3, 5}) {
        CAPTURE(seed);
        CAPTURE(beam);
        const Table table = first_words(vocabulary.size(), std::ssize(pieces), seed);
        ToyDecoder decoder(vocabulary.size(), table);
        BeamOptions options;
        options.beam = options.nbest = beam;
        options.max_words = 7;
        options.rules = rules;
        const Reference reference(vocabulary, rules, options.max_words);
        const auto found = beam_search(decoder, images({3, 1, 0}), options);
        for (size_t i = 0; i < 3; ++i) {
          const auto expected = plain_beam_search(table, i == 0 ? 3 : i == 1 ? 1 : 0, options, reference);
          check_equal(found[i], expected, static_cast<size_t>(beam));
          ended += std::ssize(expected);
          for (const Hypothesis& h : found[i])
            if (!h.words.empty()) CHECK((h.finished ? reference.fits(h.words) : reference.may(h.words)));
        }
        if (beam > 1) continue;
        const auto one_by_one = greedy(decoder, images({3, 1, 0}), options);
        for (size_t i = 0; i < 3; ++i) {
          CHECK(one_by_one[i].ids == found[i][0].ids);
          CHECK(one_by_one[i].log_probability == found[i][0].log_probability);
        }
      }
  });
  CHECK(ended > 2000);
}

TEST_CASE("what is drawn has the model's frequencies among what the rules allow") {
  int64_t compared = 0;
  for_each_case(0, [&](const Vocabulary& vocabulary, const CaptionRules& rules, const auto& pieces) {
    const Table table = first_words(vocabulary.size(), std::ssize(pieces), 2);
    ToyDecoder decoder(vocabulary.size(), table);
    SamplingOptions options;
    options.max_words = longest(pieces);
    options.samples = 4000;
    options.rules = rules;
    const Reference reference(vocabulary, rules, options.max_words);
    // The chance of each caption, by the words alone that may come, and the model's own log-probability.
    std::map<Tokens, std::pair<double, double>> expected;
    const std::function<void(const Tokens&, double, double)> visit = [&](const Tokens& tokens, double chance,
                                                                         double sum) {
      const std::vector<double> p = next_of(table, 7, tokens);
      std::vector<std::pair<Tokens, double>> next;
      double total = 0, longer = 0;
      for (size_t token = kEos; token < p.size(); ++token) {
        Tokens child = tokens;
        child.push_back(static_cast<int64_t>(token));
        if (!reference.may(child)) continue;
        total += std::exp(p[token]);
        if (std::ssize(child) > options.max_words && token != kEos)
          longer += std::exp(p[token]);  // drawn, and the caption is over
        else
          next.emplace_back(child, p[token]);
      }
      if (next.empty() && longer == 0) expected[tokens] = {chance, sum};
      if (longer > 0) expected[tokens] = {chance * longer / total, sum};
      for (const auto& [child, value] : next)
        if (child.back() == kEos)
          expected[child] = {chance * std::exp(value) / total, sum + value};
        else
          visit(child, chance * std::exp(value) / total, sum + value);
    };
    visit({}, 1, 0);
    tensor::Generator generator(5);
    std::map<Tokens, double> counts;
    const auto drawn = sample(decoder, images({7}), options, generator)[0];
    REQUIRE(drawn.size() == 4000);
    for (const Hypothesis& h : drawn) {
      Tokens tokens = h.words;
      if (h.finished) tokens.push_back(kEos);
      ++counts[tokens];
      REQUIRE(expected.contains(tokens));
      REQUIRE(h.log_probability == doctest::Approx(expected[tokens].second).epsilon(1e-12));
    }
    double chi_square = 0, degrees = -1, rare = 0, rare_count = 0;
    const auto add = [&](double mean, double count) {
      chi_square += (count - mean) * (count - mean) / mean;
      ++degrees;
    };
    for (const auto& [tokens, chance] : expected) {
      const double mean = 4000 * chance.first, count = counts[tokens];
      if (mean >= 8)
        add(mean, count);
      else
        rare += mean, rare_count += count;
    }
    if (rare > 8) add(rare, rare_count);
    // Mean d, variance 2 d, for d degrees of freedom: 5 deviations, as there are many cases.
    CHECK(chi_square <= degrees + 5 * std::sqrt(2 * std::max(degrees, 0.0)));
    compared += degrees >= 3;
  });
  CHECK(compared > 20);
}

TEST_CASE("with nothing left to say a caption is what the search has, unfinished") {
  const Vocabulary vocabulary = small_vocabulary({"  ", " a", " b"});
  ToyDecoder decoder(vocabulary.size(), first_words(vocabulary.size(), 3, 1));
  BeamOptions beam;
  beam.beam = beam.nbest = 3;
  beam.rules.tokens = vocabulary.tokens();
  beam.rules.suppressed = {"a", "b"};
  // Without words there are blanks and an end.
  const auto blanks = beam_search(decoder, images({0}), beam)[0];
  CHECK(blanks[0].finished);
  for (const Hypothesis& h : blanks)
    CHECK(vocabulary.decode(std::vector<int32_t>(h.words.begin(), h.words.end())) == "");
  // A word is asked for, and blanks are all that can be said: up to the longest caption.
  beam.max_words = 4;
  beam.rules.min_words = 1;
  SamplingOptions sampling;
  static_cast<DecodingOptions&>(sampling) = beam;
  tensor::Generator generator(1);
  for (const Hypothesis& h :
       {beam_search(decoder, images({0}), beam)[0][0], greedy(decoder, images({0}), beam)[0],
        sample(decoder, images({0}), sampling, generator)[0][0]}) {
    CHECK(h.words == Tokens{4, 4, 4, 4});
    CHECK_FALSE(h.finished);
  }
  // Two words that may come once each, and three that are asked for.
  const Vocabulary two = small_vocabulary({" a", " b"});
  ToyDecoder other(two.size(), first_words(two.size(), 2, 1));
  beam.rules = {};
  beam.rules.tokens = two.tokens();
  beam.rules.no_repeat_ngram = 1;
  beam.rules.min_words = 3;
  beam.max_words = 9;
  const auto found = beam_search(other, images({0}), beam)[0];
  REQUIRE(found.size() == 2);
  for (const Hypothesis& h : found) {
    CHECK(h.words.size() == 2);
    CHECK_FALSE(h.finished);
  }
  CHECK(greedy(other, images({0}), beam)[0].words.size() == 2);
}

TEST_CASE("<unk> is in no text, so it is no word and parts none") {
  const Vocabulary vocabulary = small_vocabulary({" ", "a", "b", " c"});
  CaptionRules rules;
  rules.tokens = vocabulary.tokens();
  rules.no_repeat_ngram = 1;
  rules.min_words = 2;
  rules.suppressed = {"ab"};
  internal::RuleChecker checker(rules, 9);
  const auto banned = [&](const Tokens& path) {
    std::vector<bool> flags(8, false);
    checker.ban(path, flags);
    Tokens tokens;
    for (size_t i = 0; i < flags.size(); ++i)
      if (flags[i]) tokens.push_back(static_cast<int64_t>(i));
    return tokens;
  };
  CHECK(banned({}) == Tokens{kEos});
  CHECK(banned({kUnk, kUnk}) == Tokens{kEos});
  CHECK(banned({7}) == Tokens{kEos, 7});
  CHECK(banned({7, kUnk}) == Tokens{kEos, 7});
  CHECK(banned({4, 5, kUnk}) == Tokens{kEos});
  CHECK(banned({4, 5, kUnk, 6}) == Tokens{kEos, 4, 7});  // "ab" has to become another word
  CHECK(banned({4, 5, kUnk, 6, 5}) == Tokens{kEos});
  CHECK(banned({4, 5, 4, 5}) == Tokens{});
}

TEST_CASE("a blank at a token's end parts words, too") {
  const Vocabulary vocabulary = small_vocabulary({"a ", "a", " b"});
  CaptionRules rules;
  rules.tokens = vocabulary.tokens();
  rules.min_words = 2;
  rules.suppressed = {"aa"};
  internal::RuleChecker checker(rules, 9);
  const auto banned = [&](const Tokens& path, size_t token) {
    std::vector<bool> flags(7, false);
    checker.ban(path, flags);
    return static_cast<bool>(flags[token]);
  };
  CHECK(banned({4}, kEos));
  CHECK_FALSE(banned({4}, 4));
  CHECK_FALSE(banned({4, 5}, kEos));  // "a a"
  CHECK(banned({5}, 4));              // "aa "
  CHECK_FALSE(banned({5}, 5));        // "aa" can become "aaa"
  CHECK(banned({5, 5}, 6));
}

TEST_CASE("a damaged decoder is found behind the rules, too") {
  ToyDecoder damaged(8, [](int64_t, int64_t, int64_t) { return std::vector<double>(8, NAN); });
  BeamOptions options;
  const Vocabulary vocabulary = small_vocabulary({" a", " b", " c", " d"});
  options.rules.tokens = vocabulary.tokens();
  options.rules.prefix = {5};
  CHECK_THROWS_WITH_AS(beam_search(damaged, images({0}), options), doctest::Contains("not a number"),
                       tensor::Error);
}

TEST_CASE("rules that make no sense are refused by every search") {
  const Vocabulary vocabulary = small_vocabulary({" a", " b", " ", "a", "b"});
  ToyDecoder decoder(9, first_words(9, 5, 1));
  const auto refused = [&](const std::function<void(CaptionRules&)>& change) {
    BeamOptions options;
    options.beam = 1;
    options.max_words = 4;
    options.rules.tokens = vocabulary.tokens();
    change(options.rules);
    SamplingOptions sampling;
    static_cast<DecodingOptions&>(sampling) = options;
    tensor::Generator generator(1);
    std::string text;
    int count = 0;
    for (const auto& [op, call] : std::vector<std::pair<std::string, std::function<void()>>>{
             {"beam_search: ", [&] { beam_search(decoder, images({0}), options); }},
             {"greedy: ", [&] { greedy(decoder, images({0}), options); }},
             {"sample: ", [&] { sample(decoder, images({0}), sampling, generator); }}}) {
      try {
        call();
      } catch (const tensor::Error& error) {
        CHECK(error.kind() == tensor::ErrorKind::argument);
        CHECK(std::string(error.what()).starts_with(op));
        text = std::string(error.what()).substr(op.size());
        ++count;
      }
    }
    CHECK((count == 0 || count == 3));
    return text;
  };
  using Rules = CaptionRules;
  CHECK(refused([](Rules&) {}) == "");
  CHECK(refused([](Rules& r) { r.no_repeat_ngram = -1; }) ==
        "no_repeat_ngram is -1; it has to be 0 (repeats are allowed) or more");
  CHECK(refused([](Rules& r) { r.no_repeat_ngram = INT64_MAX; }) == "");
  CHECK(refused([](Rules& r) { r.min_words = -1; }) == "at least -1 words are asked for and at most 4");
  CHECK(refused([](Rules& r) { r.min_words = 5; }) == "at least 5 words are asked for and at most 4");
  CHECK(refused([](Rules& r) { r.min_words = 4; }) == "");
  CHECK(refused([](Rules& r) { r.min_words = 1, r.tokens.pop_back(); }) ==
        "the rules have 8 tokens, the decoder's vocabulary 9");
  CHECK(refused([](Rules& r) { r.tokens.clear(); }) == "");
  CHECK(refused([](Rules& r) { r.prefix = {4, 4, 4, 4}; }) == "");
  CHECK(refused([](Rules& r) {
          r.prefix = {4, 4, 4, 4, 4};
        }) == "the prefix has 5 tokens; a caption has at most 4");
  for (const int64_t token : {-1, 0, 1, 2, 3, 9})
    CHECK(refused([&](Rules& r) {
            r.prefix = {4, token};
          }) == tensor::format("the prefix has the token {}", token));
  const std::string twice = "the prefix has an n-gram of 2 twice, which no caption may have",
                    word = "the prefix has a word that no caption may have";
  CHECK(refused([](Rules& r) { r.prefix = {4, 4}, r.no_repeat_ngram = 2; }) == "");
  CHECK(refused([](Rules& r) { r.prefix = {4, 4, 4}, r.no_repeat_ngram = 2; }) == twice);
  CHECK(refused([](Rules& r) { r.prefix = {4}, r.suppressed = {"a"}; }) == word);
  CHECK(refused([](Rules& r) { r.prefix = {4}, r.suppressed = {"b"}; }) == "");
  CHECK(refused([](Rules& r) { r.prefix = {6, 7}, r.suppressed = {"a"}; }) == word);
  CHECK(refused([](Rules& r) { r.prefix = {6, 7, 8}, r.suppressed = {"a"}; }) == "");
  CHECK(refused([](Rules& r) { r.prefix = {6, 7, 5}, r.suppressed = {"a"}; }) == word);
}

TEST_CASE("a prefix from text: the vocabulary's words, or letters where it spells") {
  std::vector<std::string> pieces = {"  ", " a", " red", " do", " n't", " ."};
  const Vocabulary words = small_vocabulary(pieces);
  for (char c = 'a'; c <= 'z'; ++c) pieces.emplace_back(1, c);
  pieces.emplace_back(" ");
  const Vocabulary spells = small_vocabulary(pieces);
  for (const Vocabulary* vocabulary : {&words, &spells}) {
    CHECK(prefix_tokens("a red", *vocabulary) == Tokens{5, 6});
    CHECK(prefix_tokens(" \t a\n\n  Red ", *vocabulary) == Tokens{5, 6});
    CHECK(prefix_tokens("a red.", *vocabulary) == Tokens{5, 6, 9});
    CHECK(prefix_tokens("don't", *vocabulary) == Tokens{7, 8});
    CHECK(prefix_tokens("", *vocabulary).empty());
    CHECK(prefix_tokens("  ", *vocabulary).empty());
  }
  CHECK(prefix_tokens("a bed", spells) == Tokens{5, 36, 11, 14, 13});
  const auto refusal = [](const std::string& text, const Vocabulary& vocabulary) -> std::string {
    try {
      prefix_tokens(text, vocabulary);
    } catch (const tensor::Error& error) {
      CHECK(error.kind() == tensor::ErrorKind::argument);
      return error.what();
    }
    return "";
  };
  const auto sentence = [](const std::string& word) {
    return "the model's vocabulary has no word \"" + word +
           "\" and cannot spell it, so no caption begins with it";
  };
  CHECK(refusal("a Bed", words) == sentence("bed"));
  CHECK(refusal("a red 14", spells) == sentence("14"));
  CHECK(refusal("a caf\xc3\xa9", spells) == sentence("caf\xc3\xa9"));
  CHECK(refusal("a \xff", spells) == sentence("\xef\xbf\xbd"));
}

TEST_CASE("words to suppress from text: as captions have them, one by one") {
  const Vocabulary vocabulary = small_vocabulary({" a", " man", " t-shirt", " <b>"});
  using Words = std::vector<std::string>;
  CHECK(suppressed_words("man", vocabulary) == Words{"man"});
  CHECK(suppressed_words("  Man \n a", vocabulary) == Words{"man", "a"});
  CHECK(suppressed_words("woman", vocabulary) == Words{"woman"});
  CHECK(suppressed_words("t-shirt <b>", vocabulary) == Words{"t-shirt", "<b>"});  // its own tokens
  const auto refused = [&](const std::string& text) -> std::string {
    try {
      suppressed_words(text, vocabulary);
    } catch (const tensor::Error& error) {
      CHECK(error.kind() == tensor::ErrorKind::argument);
      return error.what();
    }
    return "";
  };
  CHECK(refused("") == "there is no word in \"\"");
  CHECK(refused(" ") == "there is no word in \" \"");
  CHECK(refused("man T-Shirt") ==
        "\"T-Shirt\" is 3 words to the model (t, -, shirt); name the one that is to be suppressed");
  CHECK(refused("<eos>").find("3 words") != std::string::npos);
}
