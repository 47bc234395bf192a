#include "imgcap/decoding/sampling.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "tensor/error.h"
#include "toy_decoder.h"

using namespace tests;

namespace {

// The probabilities of the first token under the options.
std::map<int64_t, double> expected_first(const std::vector<double>& logits, const SamplingOptions& options) {
  const std::vector<double> p = log_probabilities(logits);
  std::vector<std::pair<double, int64_t>> tokens;
  for (size_t i = kEos; i < p.size(); ++i)
    tokens.emplace_back(-std::exp(p[i] / options.temperature), static_cast<int64_t>(i));
  std::sort(tokens.begin(), tokens.end());
  if (options.top_k > 0) tokens.resize(static_cast<size_t>(options.top_k));
  double total = 0, kept = 0;
  for (const auto& [weight, token] : tokens) total -= weight;
  std::map<int64_t, double> result;
  for (const auto& [weight, token] : tokens) {
    if (kept >= options.top_p * total) break;
    result[token] = -weight;
    kept -= weight;
  }
  for (auto& [token, share] : result) share /= kept;
  return result;
}

}  // namespace

TEST_CASE("samples have the model's frequencies") {
  struct Case {
    double temperature;
    int64_t top_k;
    double top_p;
  };
  const Table table = dense_table(13, 21, 3);
  ToyDecoder decoder(13, table);
  for (const Case c :
       {Case{1, 0, 1}, Case{0.5, 0, 1}, Case{2, 6, 1}, Case{1, 0, 0.8}, Case{1.5, 7, 0.6}, Case{1, 2, 1}}) {
    CAPTURE(c.temperature);
    CAPTURE(c.top_k);
    CAPTURE(c.top_p);
    SamplingOptions options;
    options.temperature = c.temperature;
    options.top_k = c.top_k;
    options.top_p = c.top_p;
    options.max_words = 2;
    options.samples = 20000;
    tensor::Generator generator(5);
    const auto captions = sample(decoder, images({7}), options, generator)[0];
    REQUIRE(captions.size() == 20000);
    std::map<int64_t, int64_t> counts;
    for (const Hypothesis& h : captions) {
      ++counts[h.words.empty() ? int64_t{kEos} : h.words[0]];
      // The model's own probability, whatever was drawn from.
      double sum = 0;
      int64_t before = 0, last = kSos;
      for (size_t i = 1; i < h.ids.size(); ++i) {
        sum += log_probabilities(table(7, before, last))[static_cast<size_t>(h.ids[i])];
        before = last;
        last = h.ids[i];
      }
      REQUIRE(h.log_probability == doctest::Approx(sum).epsilon(1e-12));
    }
    const auto expected = expected_first(table(7, 0, kSos), options);
    for (const auto& [token, count] : counts) CHECK(expected.contains(token));
    double chi_square = 0;
    for (const auto& [token, share] : expected) {
      const double mean = share * 20000, off = static_cast<double>(counts[token]) - mean;
      chi_square += off * off / mean;
    }
    // Mean d, variance 2 d, for d degrees of freedom: 4 deviations.
    const double degrees = static_cast<double>(expected.size()) - 1;
    CHECK(chi_square < degrees + 4 * std::sqrt(2 * degrees));
  }
}

TEST_CASE("the nucleus is the fewest words that have top_p together, of the top_k, at the temperature") {
  // 5: 0.4, 4: 0.3, 7: 0.2, 6: 0.1. Squared and normed, at half the temperature: 16, 9, 4, 1 of 30.
  const Table table = [](int64_t, int64_t, int64_t last) {
    std::vector<double> logits(9, -INFINITY);
    if (last == kSos)
      logits[5] = std::log(0.4), logits[4] = std::log(0.3), logits[7] = std::log(0.2),
      logits[6] = std::log(0.1);
    else
      logits[kEos] = 0;
    return logits;
  };
  ToyDecoder decoder(9, table);
  const auto drawn = [&](double temperature, int64_t top_k, double top_p) {
    SamplingOptions options;
    options.temperature = temperature, options.top_k = top_k, options.top_p = top_p;
    options.samples = 600;
    tensor::Generator generator(5);
    std::map<int64_t, int64_t> counts;
    const auto captions = sample(decoder, images({0}), options, generator)[0];
    for (const Hypothesis& h : captions) {
      REQUIRE(h.words.size() == 1);
      REQUIRE(h.finished);
      ++counts[h.words[0]];
    }
    std::vector<int64_t> tokens;
    for (const auto& [token, count] : counts) tokens.push_back(token);
    return tokens;
  };
  using Tokens = std::vector<int64_t>;
  // That a word with a tenth of the probability is not among 600 draws has the odds 1e-27.
  CHECK(drawn(1, 0, 1) == Tokens{4, 5, 6, 7});
  CHECK(drawn(1, 4, 1) == Tokens{4, 5, 6, 7});
  CHECK(drawn(1, 3, 1) == Tokens{4, 5, 7});
  CHECK(drawn(1, 2, 1) == Tokens{4, 5});
  CHECK(drawn(1, 1, 1) == Tokens{5});
  CHECK(drawn(1, 0, 0.39) == Tokens{5});
  CHECK(drawn(1, 0, 0.41) == Tokens{4, 5});
  CHECK(drawn(1, 0, 0.69) == Tokens{4, 5});
  CHECK(drawn(1, 0, 0.71) == Tokens{4, 5, 7});
  CHECK(drawn(1, 0, 0.89) == Tokens{4, 5, 7});
  CHECK(drawn(1, 0, 0.91) == Tokens{4, 5, 6, 7});
  // Of the first two, 0.4 and 0.3 are 57 % and 43 %.
  CHECK(drawn(1, 2, 0.56) == Tokens{5});
  CHECK(drawn(1, 2, 0.58) == Tokens{4, 5});
  CHECK(drawn(0.5, 0, 0.53) == Tokens{5});
  CHECK(drawn(0.5, 0, 0.54) == Tokens{4, 5});
  CHECK(drawn(0.5, 0, 0.83) == Tokens{4, 5});
  CHECK(drawn(0.5, 0, 0.84) == Tokens{4, 5, 7});
}

TEST_CASE("among equals the nucleus takes the lower tokens, and no more than have top_p together") {
  // <eos>, 4, 5 and 6 with a quarter each: weights of exactly 1.
  ToyDecoder decoder(7, [](int64_t, int64_t, int64_t) { return std::vector<double>(7, 0); });
  const auto drawn = [&](double top_p) {
    SamplingOptions options;
    options.top_p = top_p;
    options.max_words = 1;
    options.samples = 300;
    tensor::Generator generator(5);
    std::map<int64_t, int64_t> counts;
    const auto captions = sample(decoder, images({0}), options, generator)[0];
    for (const Hypothesis& h : captions) ++counts[h.words.empty() ? int64_t{kEos} : h.words[0]];
    std::vector<int64_t> tokens;
    for (const auto& [token, count] : counts) tokens.push_back(token);
    return tokens;
  };
  using Tokens = std::vector<int64_t>;
  CHECK(drawn(1e-9) == Tokens{kEos});
  CHECK(drawn(0.25) == Tokens{kEos});
  CHECK(drawn(0.26) == Tokens{kEos, 4});
  CHECK(drawn(0.5) == Tokens{kEos, 4});
  CHECK(drawn(0.75) == Tokens{kEos, 4, 5});
  CHECK(drawn(0.76) == Tokens{kEos, 4, 5, 6});
}

TEST_CASE("a row takes one number of the generator a step, for as long as it is open") {
  // Image 0 ends after two words, image 1 after one.
  const Table table = [](int64_t image, int64_t, int64_t last) {
    std::vector<double> logits(8, -INFINITY);
    if (last == kSos) logits[4] = 0;
    if (last == 4) logits[image == 0 ? 5 : kEos] = 0;
    if (last == 5) logits[kEos] = 0;
    return logits;
  };
  ToyDecoder decoder(8, table);
  SamplingOptions options;
  options.samples = 3;
  tensor::Generator generator(1);
  const auto lists = sample(decoder, images({0, 1}), options, generator);
  CHECK(generator.offset() == 3 * 3 + 3 * 2);
  CHECK(decoder.steps == 3);
  CHECK(decoder.rows == 6 + 6 + 3);
  REQUIRE(lists.size() == 2);
  for (size_t i = 0; i < 2; ++i) {
    REQUIRE(lists[i].size() == 3);
    for (const Hypothesis& h : lists[i])
      CHECK(h.words == (i == 0 ? std::vector<int64_t>{4, 5} : std::vector<int64_t>{4}));
  }
}

TEST_CASE("a row with nothing to draw is a caption that is not finished") {
  ToyDecoder stuck(6, [](int64_t, int64_t, int64_t last) {
    std::vector<double> logits(6, -INFINITY);
    logits[last == kSos ? 4 : kPad] = 0;
    return logits;
  });
  SamplingOptions options;
  tensor::Generator generator(1);
  for (const Hypothesis& h :
       {sample(stuck, images({0}), options, generator)[0][0], greedy(stuck, images({0}))[0]}) {
    CHECK(h.words == std::vector<int64_t>{4});
    CHECK_FALSE(h.finished);
    CHECK(h.score == 0);
  }
}

TEST_CASE("sampling from one word is greedy") {
  ToyDecoder decoder(14, dense_table(14, 2, 5, 1));
  const Tensor features = images({0, 1, 2, 3, 4});
  SamplingOptions options;
  options.max_words = 7;
  options.attention = true;
  const auto expected = greedy(decoder, features, options);
  for (int way = 0; way < 3; ++way) {
    SamplingOptions narrow = options;
    if (way == 0) narrow.top_k = 1;
    if (way == 1) narrow.top_p = 1e-9;
    if (way == 2) narrow.temperature = 1e-4;
    tensor::Generator generator(9);
    const auto found = sample(decoder, features, narrow, generator);
    for (size_t i = 0; i < expected.size(); ++i) {
      REQUIRE(found[i].size() == 1);
      CHECK(found[i][0].ids == expected[i].ids);
      CHECK(found[i][0].log_probability == expected[i].log_probability);
      CHECK(found[i][0].attention == expected[i].attention);
    }
  }
}

TEST_CASE("greedy takes the likeliest word until <eos> or the limit") {
  const Table table = dense_table(10, 33, 4, 0.5);
  ToyDecoder decoder(10, table);
  DecodingOptions options;
  options.max_words = 5;
  const auto found = greedy(decoder, images({0, 1, 2, 3, 4, 5}), options);
  for (int64_t image = 0; image < 6; ++image) {
    std::vector<int64_t> words;
    int64_t before = 0, last = kSos;
    double sum = 0;
    bool finished = false;
    while (true) {
      const auto p = log_probabilities(table(image, before, last));
      const int64_t best = std::max_element(p.begin() + kEos, p.end()) - p.begin();
      finished = best == kEos;
      if (finished || words.size() < 5) sum += p[static_cast<size_t>(best)];
      if (finished || words.size() == 5) break;
      words.push_back(best);
      before = last;
      last = best;
    }
    const Hypothesis& h = found[static_cast<size_t>(image)];
    CHECK(h.words == words);
    CHECK(h.finished == finished);
    CHECK(h.log_probability == doctest::Approx(sum).epsilon(1e-12));
  }
}

TEST_CASE("a generator's state decides all draws") {
  ToyDecoder decoder(14, dense_table(14, 2, 2));
  SamplingOptions options;
  options.samples = 5;
  tensor::Generator a(1), b(1), c(2);
  const auto ids = [&](tensor::Generator& generator) {
    std::vector<std::vector<int64_t>> all;
    for (const auto& list : sample(decoder, images({0, 3}), options, generator)) {
      REQUIRE(list.size() == 5);
      for (const Hypothesis& h : list) {
        for (const int64_t word : h.words) CHECK(word >= kSpecialTokens);
        all.push_back(h.ids);
      }
    }
    return all;
  };
  const auto first = ids(a);
  CHECK(first == ids(b));
  CHECK(first != ids(c));
  CHECK(first != ids(a));
}

TEST_CASE("sampling refuses options that make no sense") {
  ToyDecoder decoder(8, dense_table(8, 1));
  tensor::Generator generator(0);
  const auto refused = [&](const std::function<void(SamplingOptions&)>& change) {
    SamplingOptions options;
    change(options);
    try {
      sample(decoder, images({0}), options, generator);
    } catch (const tensor::Error& e) {
      return e.kind() == tensor::ErrorKind::argument && std::string(e.what()).starts_with("sample: ");
    }
    return false;
  };
  CHECK(refused([](auto& o) { o.temperature = 0; }));
  CHECK(refused([](auto& o) { o.temperature = NAN; }));
  CHECK(refused([](auto& o) { o.top_k = -1; }));
  CHECK(refused([](auto& o) { o.top_p = 0; }));
  CHECK(refused([](auto& o) { o.top_p = 1.5; }));
  CHECK(refused([](auto& o) { o.samples = 0; }));
  CHECK(refused([](auto& o) { o.max_words = 0; }));
  CHECK(refused([](auto& o) { o.temperature = -1; }));
  CHECK(refused([](auto& o) { o.temperature = INFINITY; }));
  CHECK(refused([](auto& o) { o.top_p = -0.1; }));
  CHECK(refused([](auto& o) { o.top_p = NAN; }));
  CHECK(refused([](auto& o) { o.samples = -1; }));
  CHECK_FALSE(refused([](auto& o) { o.temperature = 1e-300; }));
  CHECK_FALSE(refused([](auto& o) { o.top_p = 1e-300; }));
  CHECK_FALSE(refused([](auto& o) { o.top_p = 1; }));
  CHECK_FALSE(refused([](auto& o) { o.top_k = 100; }));
  CHECK(sample(decoder, Tensor::zeros({0, 1, 1}), {}, generator).empty());
}
