// Captions found on the emulated device by its own kernels: the CPU's, but for rounding.
#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <thread>
#include <vector>

#include "imgcap/decoding/caption_search.h"
#include "imgcap/decoding/follow.h"
#include "imgcap/explain.h"
#include "imgcap/models/ensemble.h"
#include "imgcap/models/frozen_decoder.h"
#include "imgcap/training/confidence.h"
#include "imgcap/training/evaluate.h"
#include "tests/decoding/small_decoder.h"
#include "tests/emulation/seeds.h"
#include "tests/models/eight_bits.h"
#include "tests/refused.h"
#include "tests/training/toy.h"

using namespace tests;
using tensor::DType;

namespace {

const Device kThere = Device::cuda();
constexpr int64_t kSteps = 5;

// Sharp, so that no two scores of a search are as near one another as this.
constexpr double kBand = 2e-5;

std::vector<DecoderConfig> configs() {
  DecoderConfig bare = small_config(DecoderKind::attention), tanh = small_config(DecoderKind::plain);
  bare.gate = bare.initial_state = false;
  bare.tie_weights = true;
  bare.hidden = bare.embedding;
  tanh.tanh_image = true;
  tanh.layers = 1;
  tanh.layer_dropout = 0;
  return {small_config(DecoderKind::attention), bare, small_config(DecoderKind::plain), tanh};
}

std::unique_ptr<FrozenDecoder> frozen(const DecoderConfig& config, DType type, const Device& device) {
  return std::make_unique<FrozenDecoder>(config, stored_as(*decoder_of(config), type), device);
}

// Captions of it never end by themselves.
std::unique_ptr<FrozenDecoder> endless(DecoderKind kind) {
  const auto decoder = decoder_of(small_config(kind));
  decoder->parameter(Decoder::kOutputBias).mutable_data().slice(0, kEos, kEos + 1).fill_(-1000);
  return std::make_unique<FrozenDecoder>(decoder->config(), stored_weights(*decoder, DType::f16), kThere);
}

std::unique_ptr<Ensemble> together(const Device& device) {
  std::vector<std::unique_ptr<Decoder>> members;
  for (const DecoderConfig& config : configs()) members.push_back(frozen(config, DType::f16, device));
  return std::make_unique<Ensemble>(std::move(members));
}

BeamOptions beam_of(int64_t beam, int64_t nbest) {
  BeamOptions options;
  options.beam = beam;
  options.nbest = nbest;
  options.max_words = kSteps;
  options.attention = true;
  return options;
}

// Searches of each kind, one an image; words that are drawn are drawn from `generator`.
std::vector<SearchRequest> requests(tensor::Generator& generator, const std::vector<std::string>& tokens) {
  BeamOptions ruled = beam_of(3, 2), ranged = beam_of(2, 1);
  ruled.rules.tokens = tokens;
  ruled.rules.no_repeat_ngram = 1;
  ruled.rules.min_words = 3;
  ruled.rules.suppressed = {tokens[9]};
  ruled.rules.prefix = {7};
  ranged.range = {.first = 8, .end = 20};
  SamplingOptions drawn;
  drawn.samples = 2;
  drawn.max_words = kSteps;
  drawn.top_p = 0.9;
  drawn.temperature = 2;
  return {{.search = beam_of(1, 1)},
          {.search = beam_of(5, 3)},
          {.search = ruled},
          {.search = ranged},
          {.search = drawn, .generator = &generator}};
}

std::vector<std::string> words(int64_t count) {
  std::vector<std::string> tokens = {"<unk>", "<pad>", "<sos>", "<eos>"};
  while (std::ssize(tokens) < count) tokens.push_back("w" + std::to_string(tokens.size()));
  return tokens;
}

using Found = std::vector<std::vector<Hypothesis>>;

Found captions(Decoder& decoder) {
  tensor::Generator generator(3);
  const auto asked = requests(generator, words(decoder.config().vocabulary));
  return find_captions(decoder, random_features(std::ssize(asked)), asked);
}

void check_near(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a[i] - b[i]) <= kBand * std::max(1.0, std::abs(b[i])));
}

void check_near(const Tensor& a, const Tensor& b) {
  check_near(a.to(DType::f64).to_vector<double>(), b.to(DType::f64).to_vector<double>());
}

// The same captions; their numbers within `band`.
void check_same(const Found& a, const Found& b, bool to_the_bit = false) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    REQUIRE(a[i].size() == b[i].size());
    for (size_t k = 0; k < a[i].size(); ++k) {
      CAPTURE(i);
      CAPTURE(k);
      CHECK(a[i][k].ids == b[i][k].ids);
      CHECK(a[i][k].finished == b[i][k].finished);
      if (to_the_bit) {
        CHECK(a[i][k].token_log_probabilities == b[i][k].token_log_probabilities);
        CHECK(a[i][k].attention == b[i][k].attention);
        continue;
      }
      check_near(a[i][k].token_log_probabilities, b[i][k].token_log_probabilities);
      REQUIRE(a[i][k].attention.size() == b[i][k].attention.size());
      for (size_t t = 0; t < a[i][k].attention.size(); ++t)
        check_near({a[i][k].attention[t].begin(), a[i][k].attention[t].end()},
                   {b[i][k].attention[t].begin(), b[i][k].attention[t].end()});
    }
  }
}

}  // namespace

TEST_CASE("frozen decoders on the emulated device: the CPU's steps and captions, from weights of any type") {
  for (const DecoderConfig& config : configs())
    for (const DType type : {DType::f32, DType::f16, DType::bf16, DType::u8}) {
      CAPTURE(to_json(config));
      CAPTURE(tensor::name_of(type));
      const auto here = frozen(config, type, Device::cpu()), there = frozen(config, type, kThere);
      CHECK(here->device().is_cpu());
      CHECK(there->device() == kThere);
      const Tensor features = random_features(3);
      DecodingState a = here->start(features), b = there->start(features.to(kThere));
      for (const std::vector<int64_t>& fed : {std::vector<int64_t>{2, 2, 2}, {9, 22, 4, 9}}) {
        const auto n = std::ssize(fed);
        if (n == 4) {
          const Tensor rows = Tensor::from<int64_t>({0, 2, 1, 1}, {4});
          a.select(rows), b.select(rows.to(kThere));
        }
        const Tensor tokens = Tensor::from(fed, {n});
        check_near(there->step(b, tokens.to(kThere)), here->step(a, tokens));
        if (a.alpha.defined()) check_near(b.alpha, a.alpha);
      }
      if (type == DType::u8 || (type == DType::f16 && config.gate))
        check_same(captions(*there), captions(*here));
    }
}

TEST_CASE("the original's search on the emulated device finds the CPU's captions") {
  BeamOptions original;
  original.kind = SearchKind::hundred_steps;
  original.beam = 2;
  const DecoderConfig config =
      small_config(DecoderKind::plain);  // whose first step is another one than elsewhere
  const auto here = frozen(config, DType::f16, Device::cpu()), there = frozen(config, DType::f16, kThere);
  check_same(find_captions(*there, random_features(1), {{.search = original}}),
             find_captions(*here, random_features(1), {{.search = original}}));
}

TEST_CASE("captions on the emulated device: the same bits alone and in company, in any order, from threads") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    const auto decoder = frozen(small_config(kind), DType::f16, kThere);
    const Found all = captions(*decoder);
    tests::set_order(9);
    const Tensor features = random_features(std::ssize(all));
    const auto alone = [&](size_t i) {
      tensor::Generator generator(3);
      const auto asked = requests(generator, words(decoder->config().vocabulary));
      const auto at = static_cast<int64_t>(i);
      return find_captions(*decoder, features.slice(0, at, at + 1), {asked[i]})[0];
    };
    Found one_by_one(all.size());
    for (size_t i = 0; i < all.size(); ++i) one_by_one[i] = alone(i);
    check_same(one_by_one, all, true);
    Found from_threads(all.size());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < all.size(); ++i) threads.emplace_back([&, i] { from_threads[i] = alone(i); });
    for (std::thread& thread : threads) thread.join();
    check_same(from_threads, all, true);
  }
}

TEST_CASE(
    "a search on the emulated device waits once a step, for what is done or with rules for the likeliest words, "
    "and once for the attention") {
  if (!tests::waits()) return;
  const Tensor features = random_features(2).to(kThere);
  const auto waits_of = [&](Decoder& decoder, const CaptionSearch& search) {
    tensor::Generator one(1), other(2);
    const int64_t before = tests::waits().value_or(0);
    const auto found = find_captions(
        decoder, features, {{.search = search, .generator = &one}, {.search = search, .generator = &other}});
    CHECK(found[0][0].words.size() == kSteps);
    return tests::waits().value_or(0) - before;
  };
  BeamOptions blind = beam_of(5, 2), ruled = blind;
  blind.attention = ruled.attention = false;
  ruled.rules.tokens = words(23);
  ruled.rules.no_repeat_ngram = 2;
  SamplingOptions drawn;
  static_cast<DecodingOptions&>(drawn) = blind;
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    const auto decoder = endless(kind);
    const int64_t steps = kSteps + 1;  // the last one is for captions that end there
    CHECK(waits_of(*decoder, blind) == steps);
    CHECK(waits_of(*decoder, ruled) == steps);
    CHECK(waits_of(*decoder, drawn) == steps);
    CHECK(waits_of(*decoder, beam_of(5, 2)) == steps + (kind == DecoderKind::attention ? 1 : 0));
  }
  std::vector<std::unique_ptr<Decoder>> members;
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain})
    members.push_back(endless(kind));
  Ensemble ensemble(std::move(members));
  CHECK(waits_of(ensemble, blind) == kSteps + 1);
}

TEST_CASE("an ensemble on the emulated device captions as on the CPU") {
  const auto here = together(Device::cpu()), there = together(kThere);
  CHECK(there->device() == kThere);
  tensor::Generator generator(3);
  const std::vector<SearchRequest> asked = requests(generator, words(23));
  Found found[2];
  for (Ensemble* ensemble : {here.get(), there.get()}) {
    generator = tensor::Generator(3);
    found[ensemble == there.get()] = find_captions(*ensemble, random_features(std::ssize(asked)), asked);
  }
  check_same(found[1], found[0]);
  std::vector<std::unique_ptr<Decoder>> apart;
  apart.push_back(frozen(configs()[0], DType::f16, kThere));
  apart.push_back(frozen(configs()[0], DType::f16, Device::cpu()));
  CHECK(refused([&] { Ensemble(std::move(apart)); }) == "ensemble: a member on cpu beside one on cuda:0");
}

TEST_CASE(
    "what is impossible to all members of an ensemble stays so on the emulated device, and nothing else") {
  Tensor logits[2];
  for (const Device& device : {Device::cpu(), kThere}) {
    std::vector<std::unique_ptr<Decoder>> members;
    for (const int64_t first : {4, 5}) {
      members.push_back(decoder_of(small_config(DecoderKind::plain)));
      members.back()->parameter(Decoder::kOutputBias).mutable_data().slice(0, first, 7).fill_(-INFINITY);
      members.back()->to(device);
    }
    Ensemble ensemble(std::move(members));
    DecodingState state = ensemble.start(random_features(2).to(device));
    logits[device.is_cpu() ? 0 : 1] =
        ensemble.step(state, Tensor::from<int64_t>({kSos, 9}, {2}).to(device)).to(Device::cpu());
  }
  for (int64_t row = 0; row < 2; ++row)
    for (int64_t token = 0; token < 23; ++token) {
      const double here = logits[0].select(0, row).select(0, token).item(),
                   there = logits[1].select(0, row).select(0, token).item();
      CHECK(std::isinf(here) == (token == 5 || token == 6));
      CHECK((here == there || std::abs(here - there) <= kBand));
    }
}

TEST_CASE(
    "what a sentence is to a model on the emulated device: probabilities, chances, attention, gradients") {
  const std::vector<int64_t> said = {9, 5, 22, 5};
  const Tensor features = random_features(1);
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    FollowedCaption followed[2];
    std::vector<std::vector<float>> maps[2];
    for (const Device& device : {Device::cpu(), kThere}) {
      const auto decoder = frozen(small_config(kind), DType::u8, device);
      followed[device.is_cpu() ? 0 : 1] = follow(*decoder, features, said, {}, 4);
      const auto parameters = decoder_of(small_config(kind));
      parameters->to(device);
      maps[device.is_cpu() ? 0 : 1] = gradient_maps(*parameters, features, said, kSos);
    }
    check_same({{followed[1].caption}}, {{followed[0].caption}});
    for (size_t i = 0; i < followed[0].chances.size(); ++i)
      for (size_t k = 0; k < 4; ++k) {
        const TokenChance &there = followed[1].chances[i][k], &here = followed[0].chances[i][k];
        CHECK(there.token == here.token);
        check_near({there.log_probability}, {here.log_probability});
      }
    REQUIRE(maps[1].size() == said.size());
    for (size_t i = 0; i < said.size(); ++i)
      check_near({maps[1][i].begin(), maps[1][i].end()}, {maps[0][i].begin(), maps[0][i].end()});
  }
}

TEST_CASE("evaluation on the emulated device: captions, loss, and words that the model foretells") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    const Toy toy(kind);
    std::map<std::string, std::string> captions[2];
    double losses[2];
    std::vector<Prediction> predictions[2];
    for (const Device& device : {Device::cpu(), kThere}) {
      const int at = device.is_cpu() ? 0 : 1;
      tensor::Generator generator(5);
      const auto decoder = make_decoder(toy.info.decoder, generator);
      decoder->to(device);
      decoder->eval();
      captions[at] = caption_photos(*decoder, toy.data, toy.features, toy.vocabulary, {.max_words = 6});
      losses[at] = mean_loss(*decoder, toy.data, toy.features);
      predictions[at] = word_predictions(*decoder, toy.data, toy.features, {0, 3, 5});
    }
    CHECK(captions[1] == captions[0]);
    check_near({losses[1]}, {losses[0]});
    REQUIRE(predictions[1].size() == predictions[0].size());
    for (size_t i = 0; i < predictions[0].size(); ++i) {
      CHECK(predictions[1][i].happened == predictions[0][i].happened);
      check_near({predictions[1][i].probability}, {predictions[0][i].probability});
    }
  }
}

TEST_CASE("a decoder is not put on a device that is not there") {
  CHECK(refused([] { frozen(small_config(DecoderKind::plain), DType::f16, Device::cuda(9)); },
                tensor::ErrorKind::device)
            .find("cuda:9") != std::string::npos);
}
