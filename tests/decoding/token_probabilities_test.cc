// What a hypothesis says of its tokens one by one.
#include <doctest/doctest.h>

#include <cmath>

#include "imgcap/decoding/caption_search.h"
#include "small_decoder.h"
#include "toy_decoder.h"

using namespace tests;
using tensor::DType;

namespace {

// The logarithms of softmax(logits) of the caption's own tokens, each fed after the one before it.
std::vector<double> fed(Decoder& decoder, const Tensor& features, const Hypothesis& caption) {
  DecodingState state = decoder.start(features);
  std::vector<double> all;
  int64_t last = kSos;
  std::vector<int64_t> tokens = caption.words;
  if (caption.finished) tokens.push_back(kEos);
  for (const int64_t token : tokens) {
    const Tensor logits = decoder.step(state, Tensor::full({1}, static_cast<double>(last), DType::i64));
    all.push_back(
        log_probabilities(logits.to(DType::f64).to_vector<double>()).at(static_cast<size_t>(token)));
    last = token;
  }
  return all;
}

}  // namespace

TEST_CASE("each token has the model's own log-probability, whatever search found it") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    CAPTURE(to_string(kind));
    const auto decoder = decoder_of(small_config(kind));
    const Tensor features = random_features(4);
    BeamOptions beam;
    beam.beam = beam.nbest = 4;
    beam.max_words = 7;
    BeamOptions ruled = beam;  // some tokens forbidden; and none of <unk>, <pad> and <sos> in any
    for (int64_t i = 0; i < 23; ++i) ruled.rules.tokens.push_back(" w" + std::to_string(i));
    ruled.rules.no_repeat_ngram = 1;
    ruled.rules.min_words = 4;
    ruled.length_exponent = 0;
    SamplingOptions drawn;
    drawn.samples = 4;
    drawn.max_words = 5;
    drawn.temperature = 2;
    drawn.top_k = 6;
    std::vector<tensor::Generator> generators = {tensor::Generator(1)};
    std::vector<SearchRequest> requests(4);
    requests[0].search = beam;
    requests[1].search = ruled;
    requests[2].search = drawn;
    requests[2].generator = &generators[0];
    BeamOptions one = beam;
    one.beam = one.nbest = 1;
    requests[3].search = one;
    const auto found = find_captions(*decoder, features, requests);
    for (size_t i = 0; i < found.size(); ++i)
      for (const Hypothesis& caption : found[i]) {
        CAPTURE(i);
        const auto image = static_cast<int64_t>(i);
        const std::vector<double> expected = fed(*decoder, features.slice(0, image, image + 1), caption);
        REQUIRE(caption.token_log_probabilities.size() == expected.size());
        double sum = 0;
        for (size_t t = 0; t < expected.size(); ++t) {
          CHECK(std::fabs(caption.token_log_probabilities[t] - expected[t]) < 1e-4);
          sum += caption.token_log_probabilities[t];
        }
        CHECK(sum == doctest::Approx(caption.log_probability).epsilon(1e-12));
      }
  }
}

TEST_CASE("the original's search has one for each word and <eos>, and none for <sos>") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    ToyDecoder decoder(9, dense_table(9, 4, 6), kind);
    const auto found = hundred_steps_search(decoder, images({0, 1, 2}));
    for (const auto& list : found)
      CHECK(list.front().token_log_probabilities.size() ==
            list.front().words.size() + (list.front().finished ? 1 : 0));
  }
}

TEST_CASE("words have their probabilities: blanks none, spelled ones their letters' product") {
  const Vocabulary vocabulary({"<unk>", "<pad>", "<sos>", "<eos>", "  ", " a", " cat", " .", " ", "o", "x"});
  Hypothesis caption;
  // "a", "ox" in letters, "cat", "." after the blank that begins captions, an unknown and a bare letter
  caption.words = {4, 5, 8, 9, 10, 6, 0, 7, 8};
  const std::vector<double> p = {0.9, 0.5, 0.5, 0.25, 0.5, 0.125, 0.3, 1, 0.7};
  for (const double each : p) caption.token_log_probabilities.push_back(std::log(each));
  caption.token_log_probabilities.push_back(-1);  // <eos>
  caption.finished = true;
  const auto words = word_probabilities(caption, vocabulary);
  const std::vector<std::pair<std::string, double>> expected = {
      {"a", 0.5}, {"ox", 0.5 * 0.25 * 0.5}, {"cat", 0.125}, {".", 1}};
  REQUIRE(words.size() == expected.size());
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    CHECK(words[i].word == expected[i].first);
    CHECK(words[i].probability == doctest::Approx(expected[i].second));
    text += (i == 0 ? "" : " ") + words[i].word;
  }
  CHECK(text == text_of(caption, vocabulary));
  CHECK(word_probabilities({}, vocabulary).empty());
}
