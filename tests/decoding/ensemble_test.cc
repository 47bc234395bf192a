// Several decoders that caption together.
#include "imgcap/models/ensemble.h"

#include <doctest/doctest.h>

#include <cmath>
#include <thread>

#include "imgcap/decoding/caption_search.h"
#include "imgcap/models/frozen_decoder.h"
#include "small_decoder.h"
#include "tensor/error.h"
#include "tests/refused.h"
#include "toy_decoder.h"

using namespace tests;
using tensor::DType;

namespace {

using Members = std::vector<std::unique_ptr<Decoder>>;

template <class... D>
Ensemble together(std::unique_ptr<D>... members) {
  Members all;
  (all.push_back(std::move(members)), ...);
  return Ensemble(std::move(all));
}

std::unique_ptr<Decoder> small(DecoderKind kind, double sharpness = 1) {
  auto decoder = decoder_of(small_config(kind));
  Tensor& last = decoder->parameter(Decoder::kOutputWeight).mutable_data();
  last.copy_(autograd::affine(last, sharpness, 0).data());
  return decoder;
}

std::unique_ptr<Decoder> frozen(DecoderKind kind, DType dtype = DType::f16) {
  const auto decoder = small(kind);
  return std::make_unique<FrozenDecoder>(decoder->config(), stored_weights(*decoder, dtype));
}

// The mean of the tables' probabilities, as one table.
Table mean_table(std::vector<Table> tables) {
  return [tables](int64_t image, int64_t before, int64_t last) {
    std::vector<double> sum;
    for (const Table& table : tables) {
      const std::vector<double> each = log_probabilities(table(image, before, last));
      sum.resize(each.size());
      for (size_t i = 0; i < each.size(); ++i) sum[i] += std::exp(each[i]);
    }
    for (double& x : sum) x = std::log(x / static_cast<double>(tables.size()));
    return sum;
  };
}

std::vector<double> softmax_of(const Tensor& logits, int64_t row) {
  const std::vector<float> all = logits.to(DType::f32).to_vector<float>();
  const auto width = static_cast<size_t>(logits.size(1));
  std::vector<double> x(all.begin() + static_cast<std::ptrdiff_t>(width) * row,
                        all.begin() + static_cast<std::ptrdiff_t>(width) * (row + 1));
  x = log_probabilities(x);
  for (double& each : x) each = std::exp(each);
  return x;
}

void check_equal(const std::vector<Hypothesis>& a, const std::vector<Hypothesis>& b, double tolerance) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].ids == b[i].ids);
    CHECK(a[i].finished == b[i].finished);
    CHECK(std::fabs(a[i].log_probability - b[i].log_probability) < tolerance);
    CHECK(a[i].attention.size() == b[i].attention.size());
  }
}

BeamOptions beam_of(int64_t beam, int64_t nbest) {
  BeamOptions options;
  options.beam = beam;
  options.nbest = nbest;
  options.max_words = 8;
  options.attention = true;
  return options;
}

}  // namespace

TEST_CASE("an ensemble of one is that model, and so is one of the same model twice") {
  const Tensor features = random_features(4);
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    CAPTURE(to_string(kind));
    const auto alone = small(kind);
    Ensemble one = together(small(kind)), twice = together(small(kind), small(kind));
    CHECK(one.config() == alone->config());
    CHECK(twice.parameter_count() == 2 * alone->parameter_count());
    const auto expected = beam_search(*alone, features, beam_of(4, 3));
    for (Ensemble* ensemble : {&one, &twice}) {
      const auto found = beam_search(*ensemble, features, beam_of(4, 3));
      // f32: a softmax of log-probabilities is rounded once more per word
      for (size_t i = 0; i < found.size(); ++i) check_equal(found[i], expected[i], 1e-4);
    }
  }
}

TEST_CASE("each step has the mean of the members' probabilities and of their attention") {
  const Tensor features = random_features(3);
  const auto make = [] {
    Members members;
    members.push_back(small(DecoderKind::plain));
    members.push_back(small(DecoderKind::attention));
    members.push_back(frozen(DecoderKind::attention, DType::bf16));
    return members;
  };
  Ensemble ensemble(make());
  CHECK(ensemble.config().kind == DecoderKind::attention);
  const Members alone = make();
  DecodingState state = ensemble.start(features);
  std::vector<DecodingState> states;
  for (const auto& member : alone) states.push_back(member->start(features));
  Tensor words = Tensor::full({3}, kSos, DType::i64);
  for (int64_t step = 0; step < 4; ++step) {
    CAPTURE(step);
    const Tensor got = ensemble.step(state, words);
    REQUIRE(got.shape() == Shape{words.numel(), 23});
    std::vector<Tensor> logits;
    for (size_t k = 0; k < alone.size(); ++k) logits.push_back(alone[k]->step(states[k], words));
    for (int64_t row = 0; row < words.numel(); ++row) {
      std::vector<double> mean(23, 0.0);
      for (const Tensor& each : logits) {
        const auto p = softmax_of(each, row);
        for (size_t i = 0; i < p.size(); ++i) mean[i] += p[i] / 3;
      }
      const std::vector<float> all = got.to_vector<float>();
      double worst = 0;
      for (size_t i = 0; i < mean.size(); ++i)
        worst = std::max(worst, std::fabs(static_cast<double>(all[static_cast<size_t>(row) * 23 + i]) -
                                          std::log(mean[i])));
      CHECK(worst < 1e-5);
    }
    const auto a = states[1].alpha.to_vector<float>(), b = states[2].alpha.to_vector<float>(),
               both = state.alpha.to_vector<float>();
    REQUIRE(both.size() == a.size());
    CHECK(a != b);
    for (size_t i = 0; i < both.size(); ++i) CHECK(both[i] == doctest::Approx((a[i] + b[i]) / 2));
    // Rows come twice, in another order and not at all.
    const Tensor rows = Tensor::from<int64_t>({2, 0, 2, 1}, {4}).slice(0, 0, step == 2 ? 3 : 4);
    state.select(rows);
    for (DecodingState& each : states) each.select(rows);
    std::vector<int64_t> next;
    for (int64_t i = 0; i < rows.numel(); ++i) next.push_back(4 + (5 * step + 3 * i) % 19);
    words = Tensor::from(next, {rows.numel()});
  }
}

TEST_CASE("every search finds with an ensemble what it finds with the mean of its members' tables") {
  constexpr int64_t kWords = 11;
  const Table a = dense_table(kWords, 1, 6), b = dense_table(kWords, 2, 6), c = sparse_table(kWords, 3, 4);
  Ensemble ensemble =
      together(std::make_unique<ToyDecoder>(kWords, a), std::make_unique<ToyDecoder>(kWords, b),
               std::make_unique<ToyDecoder>(kWords, c));
  ToyDecoder mean(kWords, mean_table({a, b, c}));
  const Tensor features = images({0, 1, 2, 3, 4});
  std::vector<SearchRequest> requests(5);
  std::vector<tensor::Generator> generators;
  for (uint64_t i = 0; i < 10; ++i) generators.emplace_back(i % 5);
  requests[0].search = beam_of(5, 5);
  requests[1].search = beam_of(1, 1);
  BeamOptions ruled = beam_of(4, 2);
  ruled.rules.tokens = {"<unk>", "<pad>", "<sos>", "<eos>", " a", " b", " c", " d", " e", " f", " g"};
  ruled.rules.no_repeat_ngram = 1;
  ruled.rules.min_words = 3;
  requests[2].search = ruled;
  SamplingOptions drawn;
  drawn.samples = 3;
  drawn.max_words = 6;
  drawn.top_p = 0.9;
  requests[3].search = requests[4].search = drawn;
  const auto search = [&](Decoder& decoder, size_t first) {
    requests[3].generator = &generators[first];
    requests[4].generator = &generators[first + 1];
    return find_captions(decoder, features, requests);
  };
  const auto found = search(ensemble, 0), expected = search(mean, 5);
  for (size_t i = 0; i < 5; ++i) {
    CAPTURE(i);
    check_equal(found[i], expected[i], 1e-9);
    for (const Hypothesis& each : found[i]) CHECK(each.score < 0);
  }
  check_equal(greedy(ensemble, features), greedy(mean, features), 1e-9);
  ToyDecoder first(kWords, a);
  CHECK(beam_search(first, features, beam_of(5, 1))[0][0].ids != found[0][0].ids);
}

TEST_CASE("words that are next to impossible keep their probability, and damaged rows stay damaged") {
  const auto table = [](std::vector<double> logits) {
    return [logits](int64_t, int64_t, int64_t) { return logits; };
  };
  // f32's smallest number is e^-103.
  Ensemble ensemble =
      together(std::make_unique<ToyDecoder>(6, table({-200, -INFINITY, -300, 0, -INFINITY, -400})),
               std::make_unique<ToyDecoder>(6, table({-201, -INFINITY, -INFINITY, 0, -350, -400})));
  DecodingState state = ensemble.start(images({0}));
  const auto x = ensemble.step(state, Tensor::full({1}, kSos, DType::i64)).to_vector<double>();
  CHECK(x[0] == doctest::Approx(-200 + std::log((1 + std::exp(-1.0)) / 2)));
  CHECK(x[1] == -INFINITY);
  CHECK(x[2] == doctest::Approx(-300 - std::log(2)));
  CHECK(x[3] == doctest::Approx(0));
  CHECK(x[4] == doctest::Approx(-350 - std::log(2)));
  CHECK(x[5] == doctest::Approx(-400));
  Ensemble damaged = together(std::make_unique<ToyDecoder>(6, table({0, 0, 0, 0, 0, 0})),
                              std::make_unique<ToyDecoder>(6, table({0, NAN, 0, 0, 0, 0})));
  CHECK_THROWS_WITH_AS(greedy(damaged, images({0})), doctest::Contains("not a number"), tensor::Error);
}

TEST_CASE("an ensemble's rows have the same bits alone, among others and from several threads") {
  Ensemble ensemble = together(frozen(DecoderKind::attention), frozen(DecoderKind::plain));
  const Tensor features = random_features(6);
  const auto together_found = beam_search(ensemble, features, beam_of(4, 2));
  std::vector<std::vector<Hypothesis>> alone(6);
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < 6; ++i)
    threads.emplace_back([&, i] {
      alone[static_cast<size_t>(i)] =
          beam_search(ensemble, features.slice(0, i, i + 1), beam_of(4, 2)).front();
    });
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < 6; ++i) {
    REQUIRE(alone[i].size() == together_found[i].size());
    for (size_t k = 0; k < alone[i].size(); ++k) {
      CHECK(alone[i][k].ids == together_found[i][k].ids);
      CHECK(alone[i][k].log_probability == together_found[i][k].log_probability);
      CHECK(alone[i][k].attention == together_found[i][k].attention);
    }
  }
}

TEST_CASE("what an ensemble cannot be made of, and what it has not") {
  CHECK(refused([] { Ensemble none((Members())); }) == "ensemble: it has no member");
  DecoderConfig other = small_config(DecoderKind::plain);
  other.vocabulary = 24;
  CHECK(refused([&] { together(small(DecoderKind::attention), decoder_of(other)); }) ==
        "ensemble: a member of 24 tokens and 6 channels beside one of 23 and 6");
  Ensemble ensemble = together(small(DecoderKind::plain), small(DecoderKind::plain));
  CHECK_FALSE(ensemble.training());
  CHECK(refused([&] { ensemble.loss({}, {}); }).starts_with("Ensemble: it has no loss"));
  BeamOptions original;
  original.kind = SearchKind::hundred_steps;
  CHECK(refused([&] {
          hundred_steps_search(ensemble, random_features(1), original);
        }).starts_with("Ensemble: its members have no layer in common"));
}
