// What a model makes of a given sentence.
#include "imgcap/explain.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/ops.h"
#include "imgcap/decoding/follow.h"
#include "tests/refused.h"

using namespace imgcap;
using tensor::DType;
using tensor::ErrorKind;

namespace {

constexpr int64_t kWords = 40, kPlaces = 12, kChannels = 20;

std::unique_ptr<Decoder> small_decoder(DecoderKind kind, uint64_t seed = 3) {
  DecoderConfig config;
  config.kind = kind;
  config.vocabulary = kSpecialTokens + kWords;
  config.features = kChannels;
  config.embedding = config.hidden = config.attention = 24;
  config.layers = 1;
  config.layer_dropout = 0;
  tensor::Generator generator(seed);
  std::unique_ptr<Decoder> decoder = make_decoder(config, generator);
  // Fresh weights say little about the photo.
  for (auto& [name, parameter] : decoder->named_parameters()) {
    Tensor& data = decoder->parameter(name).mutable_data();
    if (data.rank() == 2) data.copy_(autograd::affine(data, name == "fc.weight" ? 8 : 3, 0).data());
  }
  decoder->parameter("fc.bias").mutable_data().mutable_data<float>()[kEos] = -9;  // and end at once
  decoder->eval();
  return decoder;
}

Tensor made_features(uint64_t seed = 7) {
  tensor::Generator generator(seed);
  Tensor features = Tensor::empty({1, kPlaces, kChannels});
  tensor::fill_normal(features, 0, 2, generator);
  return features;
}

const std::vector<int64_t> kSentence = {5, 17, 9, 30, 17, 22};

std::vector<double> log_probabilities(Decoder& decoder, const Tensor& features) {
  return follow(decoder, features, kSentence).caption.token_log_probabilities;
}

// The features with a place's scaled.
Tensor scaled(const Tensor& features, int64_t place, float by) {
  Tensor copy = features.clone();
  float* f = copy.mutable_data<float>() + place * kChannels;
  for (int64_t d = 0; d < kChannels; ++d) f[d] *= by;
  return copy;
}

}  // namespace

TEST_CASE("follow gives a caption that was found the probabilities and the attention of its search") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    const auto decoder = small_decoder(kind);
    const Tensor features = made_features();
    BeamOptions options;
    options.max_words = 9;
    options.attention = true;
    const Hypothesis found = beam_search(*decoder, features, options).front().front();
    REQUIRE(found.words.size() > 1);
    const FollowedCaption followed = follow(*decoder, features, found.words);
    CHECK(followed.caption.words == found.words);
    REQUIRE(followed.chances.size() == found.words.size() + 1);
    for (size_t i = 0; i < found.words.size(); ++i) {
      CHECK(followed.caption.token_log_probabilities[i] == found.token_log_probabilities[i]);
      if (kind == DecoderKind::attention) CHECK(followed.caption.attention[i] == found.attention[i]);
    }
    for (const auto& chances : followed.chances) {
      CHECK(chances.size() == 10);
      CHECK(std::is_sorted(chances.begin(), chances.end(), [](const TokenChance& a, const TokenChance& b) {
        return a.log_probability > b.log_probability;
      }));
    }
    // Where the search took the likeliest, it stands first.
    const FollowedCaption greedy_words =
        follow(*decoder, features, greedy(*decoder, features, options).front().words);
    for (size_t i = 0; i < greedy_words.caption.words.size(); ++i)
      CHECK(greedy_words.chances[i].front().token == greedy_words.caption.words[i]);
  }
}

TEST_CASE("follow keeps to a language's words, knows the empty caption, and refuses what is no word") {
  const auto decoder = small_decoder(DecoderKind::plain);
  const Tensor features = made_features();
  const WordRange range{10, 11, 20};
  const FollowedCaption followed = follow(*decoder, features, {12, 19}, range, 100);
  for (const auto& chances : followed.chances) {
    CHECK(chances.size() == 10);  // nine words and <eos>
    for (const TokenChance& chance : chances) CHECK((range.has(chance.token) || chance.token == kEos));
  }
  const FollowedCaption nothing = follow(*decoder, features, {});
  CHECK(nothing.caption.words.empty());
  CHECK(nothing.caption.log_probability == 0);
  CHECK(nothing.chances.size() == 1);
  CHECK(tests::refused([&] { follow(*decoder, features, {5}, range); }, ErrorKind::argument)
            .find("follow: token 5 is no word that a caption may have here") != std::string::npos);
  CHECK(tests::refused([&] { follow(*decoder, features, {kEos}); }, ErrorKind::argument)
            .find("token 3 is no word") != std::string::npos);
  CHECK(tests::refused([&] { follow(*decoder, features.select(0, 0), {5}); }, ErrorKind::shape)
            .find("follow") != std::string::npos);
}

TEST_CASE("a gradient's map is by how much a word's log-probability changes with a place's features") {
  for (const DecoderKind kind : {DecoderKind::plain, DecoderKind::attention}) {
    const auto decoder = small_decoder(kind);
    decoder->freeze();
    const Tensor features = made_features();
    const auto maps = gradient_maps(*decoder, features, kSentence, kSos);
    REQUIRE(maps.size() == kSentence.size());
    constexpr float kStep = 0.01f;
    double largest = 0;
    for (int64_t place = 0; place < kPlaces; ++place) {
      const auto more = log_probabilities(*decoder, scaled(features, place, 1 + kStep)),
                 less = log_probabilities(*decoder, scaled(features, place, 1 - kStep));
      for (size_t i = 0; i < kSentence.size(); ++i) {
        const double slope = (more[i] - less[i]) / (2 * static_cast<double>(kStep));
        const double given = static_cast<double>(maps[i][static_cast<size_t>(place)]);
        CHECK(given == doctest::Approx(slope).epsilon(0.01).scale(0.1));
        largest = std::max(largest, std::abs(given));
      }
    }
    CHECK(largest > 0.05);  // there is something to see
  }
}

TEST_CASE(
    "without its strongest places a word is less likely than without others; other weights look elsewhere") {
  const auto decoder = small_decoder(DecoderKind::plain), other = small_decoder(DecoderKind::plain, 11);
  decoder->freeze();
  other->freeze();
  constexpr size_t kTaken = 3;
  double strongest = 0, any = 0, alike = 0;
  int maps_seen = 0;
  for (uint64_t seed = 20; seed < 28; ++seed) {
    const Tensor features = made_features(seed);
    const auto maps = gradient_maps(*decoder, features, kSentence, kSos),
               others = gradient_maps(*other, features, kSentence, kSos);
    const auto before = log_probabilities(*decoder, features);
    // The places' mean in place of some of them.
    const auto without = [&](const std::vector<size_t>& places) {
      Tensor copy = features.clone();
      float* f = copy.mutable_data<float>();
      for (int64_t d = 0; d < kChannels; ++d) {
        float mean = 0;
        for (int64_t p = 0; p < kPlaces; ++p) mean += features.data<float>()[p * kChannels + d] / kPlaces;
        for (const size_t p : places) f[static_cast<int64_t>(p) * kChannels + d] = mean;
      }
      return log_probabilities(*decoder, copy);
    };
    tensor::Generator dice(seed);
    for (size_t i = 0; i < kSentence.size(); ++i) {
      std::vector<size_t> order(kPlaces);
      std::iota(order.begin(), order.end(), size_t{0});
      std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return maps[i][a] > maps[i][b]; });
      strongest += before[i] - without({order.begin(), order.begin() + kTaken})[i];
      std::vector<size_t> drawn = order;
      for (size_t k = 0; k < kTaken; ++k)
        std::swap(drawn[k],
                  drawn[k + static_cast<size_t>(dice.uniform() * static_cast<double>(kPlaces - k))]);
      any += before[i] - without({drawn.begin(), drawn.begin() + kTaken})[i];
      double ab = 0, aa = 0, bb = 0;
      for (size_t p = 0; p < kPlaces; ++p) {
        ab += static_cast<double>(maps[i][p]) * static_cast<double>(others[i][p]);
        aa += static_cast<double>(maps[i][p]) * static_cast<double>(maps[i][p]);
        bb += static_cast<double>(others[i][p]) * static_cast<double>(others[i][p]);
      }
      alike += ab / std::sqrt(aa * bb);
      ++maps_seen;
    }
  }
  CHECK(strongest > 0);
  CHECK(strongest > 2 * std::abs(any));
  CHECK(std::abs(alike / maps_seen) < 0.5);
}

TEST_CASE("gradient maps: one word, and what is refused") {
  const auto decoder = small_decoder(DecoderKind::plain);
  decoder->freeze();
  CHECK(gradient_maps(*decoder, made_features(), {}, kSos).empty());
  CHECK(gradient_maps(*decoder, made_features(), {7}, kSos).size() == 1);
  CHECK(tests::refused([&] { gradient_maps(*decoder, made_features().select(0, 0), {7}, kSos); },
                       ErrorKind::shape)
            .find("gradient_maps") != std::string::npos);
  const auto learning = small_decoder(DecoderKind::plain);
  learning->train();
  CHECK(tests::refused([&] { gradient_maps(*learning, made_features(), {7}, kSos); }, ErrorKind::argument)
            .find("gradient_maps: the decoder is in training mode") != std::string::npos);
}
