// The searches on the real decoders, with random weights.
#include <doctest/doctest.h>

#include <cmath>

#include "imgcap/decoding/beam_search.h"
#include "imgcap/decoding/sampling.h"
#include "small_decoder.h"
#include "toy_decoder.h"

using namespace tests;

namespace {

std::unique_ptr<Decoder> small_decoder(DecoderKind kind) { return decoder_of(small_config(kind)); }

// The probability of a caption when its words are fed one by one.
double rescore(Decoder& decoder, const Tensor& features, const Hypothesis& h,
               std::vector<std::vector<float>>& attention) {
  DecodingState state = decoder.start(features);
  double sum = 0;
  for (size_t i = 0; i + 1 < h.ids.size(); ++i) {
    const Tensor logits = decoder.step(state, Tensor::from(std::vector<int64_t>{h.ids[i]}, {1}));
    const std::vector<float> row = logits.to_vector<float>();
    sum += log_probabilities({row.begin(), row.end()})[static_cast<size_t>(h.ids[i + 1])];
    if (state.alpha.defined() && h.ids[i + 1] != kEos) attention.push_back(state.alpha.to_vector<float>());
  }
  return sum;
}

}  // namespace

TEST_CASE("beams carry their states: captions have the probabilities of feeding them word by word") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    CAPTURE(to_string(kind));
    const auto decoder = small_decoder(kind);
    const Tensor features = random_features(6);
    BeamOptions options;
    options.beam = options.nbest = 5;
    options.max_words = 8;
    options.attention = true;
    const auto found = beam_search(*decoder, features, options);
    REQUIRE(found.size() == 6);
    bool differ = false;
    for (int64_t i = 0; i < 6; ++i) {
      const Tensor one = features.slice(0, i, i + 1).contiguous();
      const auto alone = beam_search(*decoder, one, options)[0];
      const auto& list = found[static_cast<size_t>(i)];
      REQUIRE(list.size() == 5);
      for (size_t j = 0; j < list.size(); ++j) {
        const Hypothesis& h = list[j];
        CHECK(h.ids == alone[j].ids);
        std::vector<std::vector<float>> attention;
        // f32 logits of up to about 10: their rounding, over up to 9 words
        CHECK(h.log_probability == doctest::Approx(rescore(*decoder, one, h, attention)).epsilon(1e-5));
        REQUIRE(h.attention.size() == (kind == DecoderKind::attention ? h.words.size() : 0));
        for (size_t w = 0; w < h.attention.size(); ++w) {
          REQUIRE(h.attention[w].size() == 4);
          for (size_t p = 0; p < 4; ++p)
            CHECK(h.attention[w][p] == doctest::Approx(attention[w][p]).epsilon(1e-4));
        }
      }
      differ = differ || list[0].ids != found[0][0].ids;
    }
    CHECK(differ);  // the images matter
  }
}

TEST_CASE("greedy, a beam of one and sampling of one word agree on the real decoders") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    CAPTURE(to_string(kind));
    const auto decoder = small_decoder(kind);
    const Tensor features = random_features(6);
    BeamOptions beam;
    beam.beam = 1;
    SamplingOptions sampling;
    sampling.top_k = 1;
    tensor::Generator generator(1);
    const auto a = beam_search(*decoder, features, beam);
    const auto b = greedy(*decoder, features, beam);
    const auto c = sample(*decoder, features, sampling, generator);
    for (size_t i = 0; i < 6; ++i) {
      CHECK(a[i][0].ids == b[i].ids);
      CHECK(c[i][0].ids == b[i].ids);
    }
  }
}

TEST_CASE("a wide beam never finds a worse caption than greedy on the real decoder") {
  const auto decoder = small_decoder(DecoderKind::attention);
  const Tensor features = random_features(20);
  BeamOptions options;
  options.beam = 10;
  options.max_words = 10;
  options.length_exponent = 0;
  const auto wide = beam_search(*decoder, features, options);
  const auto narrow = greedy(*decoder, features, options);
  int better = 0;
  for (size_t i = 0; i < 20; ++i) {
    if (narrow[i].finished != wide[i][0].finished) continue;
    CHECK(wide[i][0].score >= narrow[i].score - 1e-5);
    better += wide[i][0].score > narrow[i].score + 1e-5;
  }
  CHECK(better > 0);
}
