// A search allocates nothing once it runs: what a step needs lies in memory of the steps before it.
#include <doctest/doctest.h>

#include "allocations.h"
#include "imgcap/data/vocabulary.h"
#include "imgcap/decoding/beam_search.h"
#include "imgcap/models/ensemble.h"
#include "imgcap/models/frozen_decoder.h"
#include "small_decoder.h"

using namespace tests;
using tensor::DType;

namespace {

constexpr int64_t kVocabulary = 23;
constexpr int64_t kWarm = 6, kSteps = 30;

// Captions never end by themselves.
StoredWeights endless_weights(const DecoderConfig& config, DType dtype) {
  const auto decoder = decoder_of(config);
  decoder->parameter(Decoder::kOutputBias).mutable_data().slice(0, kEos, kEos + 1).fill_(-1000);
  return stored_weights(*decoder, dtype);
}
FrozenDecoder endless(const DecoderConfig& config, DType dtype) {
  return FrozenDecoder(config, endless_weights(config, dtype));
}

std::vector<DecoderConfig> configs() {
  DecoderConfig tanh = small_config(DecoderKind::plain), bare = small_config(DecoderKind::attention);
  tanh.tanh_image = true;
  bare.gate = bare.initial_state = false;
  return {small_config(DecoderKind::attention), bare, small_config(DecoderKind::plain), tanh};
}

// What was allocated in each step but the last. The images but the first leave the batch, two of them while it
// gets warm: a room's two memories are made when they are first wanted.
std::vector<Allocations> steps_of(Decoder& decoder, int64_t images, const BeamOptions& options,
                                  const std::function<void()>& in_each_step = {}) {
  std::vector<Allocations> seen;
  seen.reserve(kSteps + 1);
  SearchWatch watch;
  watch.stop = [&](int64_t image) {
    if (image == 0) seen.push_back(allocations());
    if (image == 0 && in_each_step) in_each_step();
    constexpr int64_t kLeaves[] = {kSteps + 2, 3, 5, 15};
    return std::ssize(seen) == kLeaves[image];
  };
  beam_search(decoder, random_features(images), options, watch);
  std::vector<Allocations> steps;
  for (size_t i = 1; i < seen.size(); ++i)
    steps.push_back({seen[i].news - seen[i - 1].news, seen[i].blocks - seen[i - 1].blocks});
  return steps;
}

void check_steady(const std::vector<Allocations>& steps) {
  REQUIRE(std::ssize(steps) == kSteps);
  for (size_t step = kWarm; step < steps.size(); ++step) {
    CAPTURE(step);
    CHECK(steps[step].news == 0);
    CHECK(steps[step].blocks == 0);
  }
}

BeamOptions long_captions(int64_t beam) {
  BeamOptions options;
  options.beam = beam;
  options.max_words = kSteps;
  return options;
}

// All rules at once; the words are " aaaaaaaaaaaaaaaaaaaa" and so on, or letters, and the blank that parts them.
CaptionRules all_rules() {
  CaptionRules rules;
  rules.tokens = {"<unk>", "<pad>", "<sos>", "<eos>", "  ", " "};
  while (std::ssize(rules.tokens) < kVocabulary) {
    const auto letter = static_cast<char>('a' + std::ssize(rules.tokens));
    const bool spelled = std::ssize(rules.tokens) % 4 == 0;
    rules.tokens.push_back(spelled ? std::string(1, letter) : " " + std::string(20, letter));
  }
  rules.no_repeat_ngram = 3;
  rules.min_words = 2;
  rules.suppressed = {rules.tokens[9].substr(1), "iiiiiiiiiiiiiiiiiiiiiiiimmmmm"};
  rules.prefix = {7, 10};
  return rules;
}

}  // namespace

TEST_CASE("a beam search's steps allocate nothing: both models, stored in any type, a photo or several") {
  for (const DecoderConfig& config : configs())
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
      FrozenDecoder decoder = endless(config, dtype);
      for (const int64_t beam : {1, 2, 3, 4, 5})
        for (const int64_t images : {1, 4}) {
          CAPTURE(to_json(config));
          CAPTURE(tensor::name_of(dtype));
          CAPTURE(beam);
          CAPTURE(images);
          check_steady(steps_of(decoder, images, long_captions(beam)));
        }
    }
}

TEST_CASE("nor with rules of what captions say, or with the attention kept") {
  for (const DecoderConfig& config : configs()) {
    FrozenDecoder decoder = endless(config, DType::f16);
    for (const int64_t beam : {1, 5}) {
      CAPTURE(to_json(config));
      CAPTURE(beam);
      BeamOptions options = long_captions(beam);
      options.attention = true;
      check_steady(steps_of(decoder, 4, options));
      options.rules = all_rules();
      check_steady(steps_of(decoder, 4, options));
    }
  }
}

TEST_CASE("nor do those of an ensemble") {
  std::vector<std::unique_ptr<Decoder>> members;
  for (const DecoderConfig& config : configs())
    members.push_back(std::make_unique<FrozenDecoder>(config, endless_weights(config, DType::f16)));
  Ensemble ensemble(std::move(members));
  for (const int64_t images : {1, 4}) {
    CAPTURE(images);
    BeamOptions options = long_captions(5);
    options.attention = true;
    check_steady(steps_of(ensemble, images, options));
  }
}

TEST_CASE("what is allocated in a step is seen: by new, in a container, and for a tensor") {
  FrozenDecoder decoder = endless(small_config(DecoderKind::attention), DType::f32);
  const auto seen = [&](const std::function<void()>& planted) {
    return steps_of(decoder, 2, long_captions(3), planted).back();
  };
  CHECK(seen({}) == Allocations{0, 0});
  CHECK(seen([] { std::vector<int>(3).swap(*std::make_unique<std::vector<int>>()); }) == Allocations{2, 0});
  CHECK(seen([] { Tensor::empty({3}); }) == Allocations{1, 1});
}
