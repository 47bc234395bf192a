#include "imgcap/models/frozen_decoder.h"

#include <doctest/doctest.h>

#include <functional>
#include <limits>

#include "tensor/allocator.h"
#include "tensor/error.h"
#include "tensor/thread_pool.h"
#include "tests/models/eight_bits.h"

using namespace imgcap;
using tensor::DType;

namespace {

Tensor random(const Shape& shape, uint64_t seed) {
  tensor::Generator generator(seed);
  Tensor t = Tensor::empty(shape);
  tensor::fill_normal(t, 0, 1, generator);
  return t;
}

DecoderConfig small(DecoderKind kind) {
  DecoderConfig config;
  config.kind = kind;
  config.vocabulary = 70;
  config.features = 36;
  config.embedding = config.hidden = 40;
  config.attention = 33;
  return config;
}

std::vector<DecoderConfig> configs() {
  DecoderConfig attention = small(DecoderKind::attention), tied = attention, rich = attention,
                plain = small(DecoderKind::plain), tanh = plain;
  tied.tie_weights = true;
  rich.gate = rich.initial_state = true;
  rich.layers = 1;
  rich.layer_dropout = 0;
  tanh.tanh_image = true;
  return {attention, tied, rich, plain, tanh};
}

// Of each decoder the same ones, as a file has them.
StoredWeights weights_of(const DecoderConfig& config, DType dtype) {
  tensor::Generator generator(3);
  const auto decoder = make_decoder(config, generator);
  return tests::stored_as(*decoder, dtype);
}

std::unique_ptr<Decoder> widened(const DecoderConfig& config, const StoredWeights& stored) {
  auto decoder = make_decoder(config);
  nn::StateDict state;
  for (const auto& [name, weight] : stored)
    state[name] = weight.scales.defined() ? weight.widened() : weight.values.to(DType::f32);
  decoder->load_state_dict(state);
  decoder->eval();
  return decoder;
}

void check_equal(const Tensor& a, const Tensor& b) {
  REQUIRE(a.defined() == b.defined());
  if (a.defined()) CHECK(a.to_vector<float>() == b.to_vector<float>());
}

}  // namespace

TEST_CASE("a frozen decoder gives the bits of the decoder with its weights widened") {
  for (const DecoderConfig& config : configs())
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::u8}) {
      CAPTURE(to_json(config));
      CAPTURE(tensor::name_of(dtype));
      StoredWeights stored = weights_of(config, dtype);
      if (config.tie_weights) stored.erase(Decoder::kOutputWeight);
      const auto wide = widened(config, stored);
      FrozenDecoder frozen(config, stored);
      CHECK_FALSE(frozen.training());
      const Tensor features = random({3, 4, config.features}, 7);
      DecodingState a = wide->start(features), b = frozen.start(features);
      const Tensor rows = Tensor::from<int64_t>({0, 2, 1, 1, 2}, {5});
      for (int64_t step = 0; step < 4; ++step) {
        const int64_t n = a.h[0].size(0);
        std::vector<int64_t> words;
        for (int64_t i = 0; i < n; ++i) words.push_back((2 + 11 * step + 5 * i) % config.vocabulary);
        check_equal(wide->step(a, Tensor::from(words, {n})), frozen.step(b, Tensor::from(words, {n})));
        check_equal(a.alpha, b.alpha);
        for (size_t l = 0; l < a.h.size(); ++l) check_equal(a.h[l], b.h[l]), check_equal(a.c[l], b.c[l]);
        if (step == 0) a = Decoder::select(a, rows), b = Decoder::select(b, rows);
      }
      check_equal(wide->logits(a.h.back()), frozen.logits(b.h.back()));
    }
}

TEST_CASE("a frozen decoder refuses what the decoder would") {
  const DecoderConfig config = small(DecoderKind::attention);
  const StoredWeights good = weights_of(config, DType::u8);
  const auto refused = [&](const std::function<void(StoredWeights&)>& change) {
    StoredWeights bad = good;
    change(bad);
    try {
      FrozenDecoder(config, bad);
    } catch (const tensor::Error& error) {
      CHECK(error.kind() == tensor::ErrorKind::data);
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refused([](StoredWeights& w) { w.erase("fc.bias"); }).find("missing: fc.bias") != std::string::npos);
  CHECK(refused([](StoredWeights& w) { w["more"] = w["fc.bias"]; }).find("unexpected: more") !=
        std::string::npos);
  CHECK(refused([](StoredWeights& w) {
          w["fc.weight"] = w["gate.weight"] = w["embedding.weight"].columns(0, 9);
        }).find("does not fit: fc.weight: (70, 40) f32 in the module") != std::string::npos);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(refused([&](StoredWeights& w) {
          Tensor scales = w["fc.weight"].scales.clone();
          scales.mutable_data<tensor::f16>()[3] = tensor::f16(nan);
          w["fc.weight"].scales = scales;
        }) == "fc.weight: 40 of 2800 values NaN or infinite");
  CHECK(refused([&](StoredWeights& w) { w["fc.bias"] = {Tensor::full({70}, nan, DType::f16)}; }) ==
        "fc.bias: 70 of 70 values NaN or infinite");
  FrozenDecoder frozen(config, good);
  CHECK(frozen.parameter_count() == 0);
  CHECK_THROWS_AS(frozen.loss({}, {}), tensor::Error);
  CHECK_THROWS_WITH_AS(frozen.start(Tensor::zeros({1, 4, 35})),
                       doctest::Contains("decoder: features (1, 4, 35)"), tensor::Error);
  frozen.train();
  CHECK_FALSE(frozen.training());
}

TEST_CASE("a frozen decoder's steps take no new memory from the system") {
  DecoderConfig config = small(DecoderKind::attention);
  config.gate = config.initial_state = true;
  FrozenDecoder frozen(config, weights_of(config, DType::f16));
  DecodingState state = frozen.start(random({5, 4, config.features}, 1));
  const Tensor words = Tensor::full({5}, 9, DType::i64), rows = Tensor::arange(5);
  const auto step = [&] {
    state = Decoder::select(state, rows);
    frozen.step(state, words);
  };
  const auto system_bytes = [] {
    const tensor::AllocatorStatistics s = tensor::allocator_statistics();
    return s.bytes_in_use + s.bytes_cached;
  };
  step(), step();
  const int64_t before = system_bytes();
  for (int i = 0; i < 20; ++i) step();
  CHECK(system_bytes() == before);
}
