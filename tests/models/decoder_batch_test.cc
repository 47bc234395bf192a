// What the decoders make of a batch: rows and targets of each step, coins, and the loss over the vocabulary.
#include "imgcap/models/decoder_batch.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "imgcap/data/vocabulary.h"
#include "tensor/error.h"
#include "tests/made.h"

using namespace imgcap;
using tensor::DType;
using tensor::ErrorKind;
using tests::made;
using Ints = std::vector<int64_t>;

namespace {

std::string error_of(const std::function<void()>& call, ErrorKind kind) {
  try {
    call();
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  return "";
}

DecoderConfig config_of(int64_t vocabulary, int64_t features) {
  DecoderConfig config;
  config.vocabulary = vocabulary;
  config.features = features;
  return config;
}

}  // namespace

TEST_CASE("a step runs the captions that are long enough for it") {
  CHECK(internal::rows_at_steps({5, 4, 4, 2}, 0) == Ints{4, 4, 3, 3, 1});
  CHECK(internal::rows_at_steps({5, 4, 4, 2}, 1) == Ints{4, 3, 3, 1});
  CHECK(internal::rows_at_steps({2, 2, 2}, 1) == Ints{3});
  CHECK(internal::rows_at_steps({3}, 0) == Ints{1, 1, 1});
}

TEST_CASE("targets are the words of each step's captions, packed step after step") {
  CaptionBatch batch;
  batch.lengths = {5, 4, 3};
  batch.words = Tensor::from(Ints{2, 11, 12, 13, 3,  //
                                  2, 21, 22, 3, 1,   //
                                  2, 31, 3, 1, 1},
                             {3, 5});
  const auto targets = [&](const Ints& rows, int64_t shift) {
    return internal::packed_targets(batch, rows, shift).words.to_vector<int64_t>();
  };
  CHECK(targets({3, 3, 2, 1}, 1) == Ints{11, 21, 31, 12, 22, 3, 13, 3, 3});
  CHECK(targets({3, 3, 3, 2, 1}, 0) == Ints{2, 2, 2, 11, 21, 31, 12, 22, 3, 13, 3, 3});
  // pack() has them ready.
  std::vector<CaptionRow> rows = {{0, {2, 11, 12, 13, 3}}, {0, {2, 21, 22, 3}}, {0, {2, 31, 3}}};
  const Tensor by_hand = batch.words;
  batch = pack(Variable(Tensor::zeros({1, 3, 4})), rows);
  CHECK(batch.words.to_vector<int64_t>() == by_hand.to_vector<int64_t>());
  CHECK(targets({3, 3, 2, 1}, 1) == Ints{11, 21, 31, 12, 22, 3, 13, 3, 3});
  CHECK(targets({3, 3, 3, 2, 1}, 0) == Ints{2, 2, 2, 11, 21, 31, 12, 22, 3, 13, 3, 3});
  CHECK(batch.fed.to_vector<int64_t>() == Ints{0, 0, 0, 2, 2, 2, 11, 21, 31, 12, 22, 13});
  CHECK(batch.weights.empty());
  CHECK_FALSE(batch.factors.defined());
  // The weights go along, to the bit.
  rows[1].weight = 0.1, rows[2].weight = -1e300;
  batch = pack(Variable(Tensor::zeros({1, 3, 4})), rows);
  CHECK(batch.weights == std::vector<double>{1, 0.1, -1e300});
  CHECK(batch.targets.to_vector<int64_t>() == Ints{2, 2, 2, 11, 21, 31, 12, 22, 3, 13, 3, 3});
  CHECK(internal::packed_targets(batch, {3, 3, 2, 1}, 1).factors.to_vector<double>() ==
        std::vector<double>{1, 0.1, -1e300, 1, 0.1, -1e300, 1, 0.1, 1});
  batch.factors = Tensor();
  CHECK(internal::packed_targets(batch, {3, 3, 3, 2, 1}, 0).factors.to_vector<double>() ==
        std::vector<double>{1, 0.1, -1e300, 1, 0.1, -1e300, 1, 0.1, -1e300, 1, 0.1, 1});
}

TEST_CASE("a batch that was packed has the loss of one that was made by hand") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain})
    for (const double forcing : {1.0, 0.5}) {
      DecoderConfig config = config_of(17, 4);
      config.kind = kind;
      config.embedding = config.hidden = config.attention = 5;
      config.embedding_dropout = 0.2;
      tensor::Generator generator(3);
      const auto decoder = make_decoder(config, generator);
      std::vector<CaptionRow> rows = {{0, {2, 5, 3}}, {1, {2, 6, 7, 8, 3}}, {1, {2, 9, 10, 3}}, {0, {2, 3}}};
      CaptionBatch batch = pack(Variable(made(5, {2, 3, 4}).to(DType::f32)), rows);
      const auto loss = [&] {
        tensor::Generator draws(4);
        LossOptions options;
        options.teacher_forcing = forcing;
        options.generator = &draws;
        return decoder->loss(batch, options).loss.item();
      };
      const double packed = loss();
      batch.targets = batch.fed = Tensor();
      CHECK(packed == loss());

      rows[0].weight = 0.5, rows[2].weight = -2;
      batch = pack(batch.features, rows);
      CHECK(batch.factors.defined());
      const double weighted = loss();
      CHECK(weighted != packed);
      batch.targets = batch.fed = batch.factors = Tensor();
      CHECK(weighted == loss());
    }
}

TEST_CASE("coins: given ones first, then drawn ones, and the first steps always have a teacher") {
  using Coins = std::vector<bool>;
  LossOptions options;
  tensor::Generator generator(3);
  const auto draw = [&](size_t steps, size_t always) {
    return internal::draw_coins(options, steps, always, generator);
  };
  options.teacher_forcing = 1;
  CHECK(draw(5, 1) == Coins(5, true));
  options.teacher_forcing = 0;
  CHECK(draw(5, 1) == Coins{true, false, false, false, false});
  CHECK(draw(5, 2) == Coins{true, true, false, false, false});
  CHECK(draw(1, 2) == Coins{true});
  // coins[k] is for the word after step k, which step k + 1 is fed.
  options.teacher_forcing = 1;
  options.coins = {false, true, false};
  CHECK(draw(5, 1) == Coins{true, false, true, false, true});
  CHECK(draw(5, 2) == Coins{true, true, true, false, true});
  options.teacher_forcing = 0;
  CHECK(draw(5, 1) == Coins{true, false, true, false, false});
  // One number of the generator for each coin that is thrown, and none for those that are not.
  options.teacher_forcing = 0.5;
  uint64_t before = generator.offset();
  draw(7, 1);
  CHECK(generator.offset() - before == 3);
  options.coins.clear();
  options.teacher_forcing = 1;
  before = generator.offset();
  draw(7, 1);
  CHECK(generator.offset() == before);

  options.teacher_forcing = 0.3;
  double heads = 0;
  const int n = 20000;
  const Coins coins = draw(n + 1, 1);
  for (size_t i = 1; i <= n; ++i) heads += coins[i];
  CHECK(std::abs(heads / n - 0.3) < 4 * std::sqrt(0.3 * 0.7 / n));  // four standard deviations

  for (const double bad : {-0.001, 1.001, static_cast<double>(NAN)}) {
    options.teacher_forcing = bad;
    CHECK(error_of([&] { draw(2, 1); }, ErrorKind::argument).starts_with("teacher forcing: "));
  }
}

TEST_CASE(
    "captions are packed by falling length, equal ones in their order, short ones with <pad> after them") {
  const Variable features = Tensor::zeros({2, 3, 4});
  std::vector<CaptionRow> rows = {
      {0, {2, 5, 3}, 0.5}, {1, {2, 6, 7, 3}, 1}, {1, {2, 8, 3}, 2}, {0, {2, 9, 10, 11, 3}, 3}, {0, {2, 3}}};
  const CaptionBatch batch = pack(features, rows);
  CHECK(batch.features.is(features));
  CHECK(batch.image.to_vector<int64_t>() == Ints{0, 1, 0, 1, 0});
  CHECK(batch.lengths == Ints{5, 4, 3, 3, 2});
  CHECK(batch.words.shape() == Shape{5, 5});
  CHECK(batch.words.to_vector<int64_t>() ==
        Ints{2, 9, 10, 11, 3, 2, 6, 7, 3, 1, 2, 5, 3, 1, 1, 2, 8, 3, 1, 1, 2, 3, 1, 1, 1});
  std::vector<double> weights;
  for (const CaptionRow& row : rows) weights.push_back(row.weight);
  CHECK(weights == std::vector<double>{3, 1, 0.5, 2, 1});
  rows.clear();
  CHECK(pack(features, rows).words.shape() == Shape{0, 0});
}

TEST_CASE("batches that do not fit the decoder are refused, one by one") {
  const DecoderConfig config = config_of(9, 4);
  const auto refusal = [&](const std::function<void(CaptionBatch&)>& change, ErrorKind kind) {
    CaptionBatch batch{Tensor::zeros({2, 3, 4}),
                       Tensor::from(Ints{0, 1, 0}, {3}),
                       Tensor::zeros({3, 5}, DType::i64),
                       {5, 4, 2}};
    change(batch);
    return error_of([&] { internal::expect_batch(batch, config); }, kind);
  };
  const auto shape = [&](const std::function<void(CaptionBatch&)>& change) {
    return refusal(change, ErrorKind::shape);
  };
  const auto lengths = [&](const Ints& values) {
    return refusal([&](CaptionBatch& b) { b.lengths = values; }, ErrorKind::argument);
  };
  CHECK(shape([](auto&) {}) == "");
  CHECK(shape([](auto& b) { b.features = Variable(); }) ==
        "decoder: features undefined where (images, places, 4) is needed");
  CHECK(shape([](auto& b) { b.features = Tensor::zeros({2, 3, 5}); }) != "");
  CHECK(shape([](auto& b) { b.features = Tensor::zeros({2, 12}); }) != "");
  CHECK(shape([](auto& b) { b.features = Tensor::zeros({2, 7, 4}); }) == "");  // any number of places
  CHECK(shape([](auto& b) { b.words = Tensor(); }) != "");
  CHECK(shape([](auto& b) { b.words = Tensor::zeros({4, 5}, DType::i64); }) != "");
  CHECK(shape([](auto& b) { b.words = Tensor::zeros({2, 5}, DType::i64); }) != "");
  CHECK(shape([](auto& b) { b.words = Tensor::zeros({3}, DType::i64); }) != "");
  CHECK(shape([](auto& b) { b.image = Tensor(); }) != "");
  CHECK(shape([](auto& b) { b.image = Tensor::zeros({2}, DType::i64); }) != "");
  CHECK(shape([](auto& b) { b.image = Tensor::zeros({3, 1}, DType::i64); }) != "");
  CHECK(shape([](auto& b) {
          b.lengths.clear();
          b.words = Tensor::zeros({0, 5}, DType::i64);
          b.image = Tensor::zeros({0}, DType::i64);
        }) != "");
  CHECK(shape([](auto& b) { b.targets = Tensor::zeros({11}, DType::i64); }) == "");
  CHECK(shape([](auto& b) { b.targets = Tensor::zeros({10}, DType::i64); }) ==
        "decoder: packed words (10) i64 for 11 tokens");
  CHECK(shape([](auto& b) { b.fed = Tensor::zeros({12}, DType::i64); }) != "");
  const auto factors = [&](const Tensor& packed, const std::vector<double>& weights) {
    return shape([&](CaptionBatch& b) { b.factors = packed, b.weights = weights; });
  };
  CHECK(factors(Tensor::zeros({11}, DType::f64), {1, 2, 3}) == "");
  CHECK(factors(Tensor::zeros({3}, DType::f64), {1, 2, 3}) ==
        "decoder: packed weights (3) f64 of 3 captions' for 11 tokens");
  CHECK(factors(Tensor::zeros({11}, DType::i64), {1, 2, 3}) != "");
  CHECK(factors(Tensor::zeros({11}, DType::f64), {}) != "");
  CHECK(refusal(
            [](CaptionBatch& b) {
              b.weights = {1, 1};
            },
            ErrorKind::argument) == "decoder: 2 weights for 3 captions");
  CHECK(lengths({5, 5, 5}) == "");
  CHECK(lengths({2, 2, 2}) == "");
  CHECK(lengths({5, 4, 1}) ==
        "decoder: caption 2 of the batch has 1 tokens; lengths have to fall and to be 2 to 5");
  CHECK(lengths({6, 4, 2}).starts_with("decoder: caption 0 of the batch has 6 tokens"));
  CHECK(lengths({4, 5, 2}).starts_with("decoder: caption 1 of the batch has 5 tokens"));
  CHECK(lengths({5, 2, 3}).starts_with("decoder: caption 2 of the batch has 3 tokens"));
}

namespace {

constexpr size_t kWords = 6, kWidth = 3;

// Cross-entropies of rows of hidden states, in plain loops.
std::vector<double> cross_entropies(const std::vector<double>& hidden, const std::vector<double>& weight,
                                    const std::vector<double>& bias, const Ints& targets, double smoothing,
                                    size_t first_word) {
  std::vector<double> losses;
  for (size_t r = 0; r < targets.size(); ++r) {
    std::vector<double> logits;
    for (size_t v = 0; v < kWords; ++v) {
      double x = bias[v];
      for (size_t k = 0; k < kWidth; ++k) x += hidden[r * kWidth + k] * weight[v * kWidth + k];
      logits.push_back(x);
    }
    double sum = 0;
    for (size_t v = first_word; v < kWords; ++v) sum += std::exp(logits[v]);
    double mean = 0;
    for (size_t v = first_word; v < kWords; ++v) mean -= (logits[v] - std::log(sum)) / kWords;
    const double own = std::log(sum) - logits[static_cast<size_t>(targets[r])];
    losses.push_back((1 - smoothing) * own + smoothing * mean);
  }
  return losses;
}

}  // namespace

TEST_CASE("the loss is the mean cross-entropy of the packed words, weighed by caption where asked") {
  tensor::Generator generator(1);
  nn::Linear fc(kWidth, kWords, true, generator);
  fc.to(DType::f64);
  fc.parameter("weight").mutable_data().copy_(made(2, {kWords, kWidth}, -2, 2));
  fc.parameter("bias").mutable_data().copy_(made(3, {kWords}, -1, 1));
  const std::vector<double> weight = fc.weight().data().to_vector<double>(),
                            bias = fc.bias().data().to_vector<double>();
  // Two steps: three captions, then two.
  const Tensor hidden = made(4, {5, kWidth}, -1, 1);
  const Ints targets = {4, 5, 3, 3, 4}, rows = {3, 2};
  const std::vector<size_t> caption = {0, 1, 2, 0, 1};
  const DecoderConfig config = config_of(kWords, 4);
  internal::PackedTargets packed{Tensor::from(targets, {5}), {}};
  const auto loss = [&](const LossOptions& options, bool train = false) {
    return internal::vocabulary_loss(hidden, fc, packed, rows, config, train, options).item();
  };
  for (const double smoothing : {0.0, 0.1})
    for (const std::vector<double>& factors : std::vector<std::vector<double>>{{}, {0.5, -2, 3}, {1, 1, 1}}) {
      CAPTURE(smoothing);
      LossOptions options;
      options.label_smoothing = smoothing;
      CaptionBatch batch;
      batch.words = Tensor::from(Ints{2, 4, 3, 2, 5, 4, 2, 3, 1}, {3, 3});
      batch.weights = factors;
      packed.factors = internal::packed_targets(batch, rows, 1).factors;
      const auto each = cross_entropies(hidden.to_vector<double>(), weight, bias, targets, smoothing, 0);
      double expected = 0;
      for (size_t i = 0; i < 5; ++i) expected += each[i] * (factors.empty() ? 1 : factors[caption[i]]) / 5;
      CHECK(loss(options) == doctest::Approx(expected).epsilon(1e-12));
      CHECK(loss(options, true) == doctest::Approx(expected).epsilon(1e-12));  // no dropout is configured
    }
  packed.factors = {};
  // What a search may not produce has no share of the probability.
  LossOptions options;
  options.decodable = {WordRange()};
  double expected = 0;
  for (const double l : cross_entropies(hidden.to_vector<double>(), weight, bias, targets, 0, kEos))
    expected += l / 5;
  CHECK(loss(options) == doctest::Approx(expected).epsilon(1e-12));
  options.decodable.clear();
  CHECK(loss(options) > expected + 0.1);
  // One caption's words are 4, another one's 5: what is left beside <eos> says the probabilities.
  options.decodable = {{4, 4, 5}, {5, 5, 6}, {4, 4, 5}};
  const std::vector<double> h = hidden.to_vector<double>();
  const auto logit = [&](size_t row, size_t token) {
    double x = bias[token];
    for (size_t k = 0; k < kWidth; ++k) x += h[row * kWidth + k] * weight[token * kWidth + k];
    return x;
  };
  expected = 0;
  for (size_t r = 0; r < 5; ++r) {
    const double word = std::exp(logit(r, caption[r] == 1 ? 5 : 4)), end = std::exp(logit(r, kEos));
    expected += (std::log(word + end) - logit(r, r == 4 ? 5 : static_cast<size_t>(targets[r]))) / 5;
  }
  const Ints own = {4, 5, 3, 3, 5};
  CHECK(internal::vocabulary_loss(hidden, fc, {Tensor::from(own, {5}), {}}, rows, config, false, options)
            .item() == doctest::Approx(expected).epsilon(1e-12));
  options.decodable.pop_back();
  CHECK(error_of([&] { loss(options); }, ErrorKind::argument) == "decoder: 2 ranges for 3 captions");
}
