// What all ways of decoding share: what may be produced, how captions are scored, how long they get.
#include "imgcap/decoding/search_steps.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "imgcap/decoding/beam_search.h"
#include "imgcap/decoding/sampling.h"
#include "tensor/error.h"
#include "toy_decoder.h"

using namespace tests;
using internal::Likely;
using tensor::ErrorKind;

namespace {

using Ints = std::vector<int64_t>;

// Decodes one caption in each way; what the error says, empty where there is none.
std::vector<std::string> refusals(Decoder& decoder, const Tensor& features, const DecodingOptions& options,
                                  ErrorKind kind = ErrorKind::argument) {
  BeamOptions beam;
  static_cast<DecodingOptions&>(beam) = options;
  beam.beam = 1;
  SamplingOptions sampling;
  static_cast<DecodingOptions&>(sampling) = options;
  tensor::Generator generator(1);
  std::vector<std::string> texts;
  for (const std::function<void()>& call : std::vector<std::function<void()>>{
           [&] { beam_search(decoder, features, beam); }, [&] { greedy(decoder, features, options); },
           [&] { sample(decoder, features, sampling, generator); }}) {
    texts.emplace_back();
    try {
      call();
    } catch (const tensor::Error& error) {
      CHECK(error.kind() == kind);
      texts.back() = error.what();
    }
  }
  return texts;
}

std::vector<std::string> by_all(const std::string& text) {
  return {"beam_search: " + text, "greedy: " + text, "sample: " + text};
}

const std::vector<std::string> kNone(3);

// Logits of the given probabilities; the rest have none.
Table fixed(int64_t vocabulary, const std::vector<std::pair<int64_t, double>>& probabilities) {
  return [=](int64_t, int64_t, int64_t) {
    std::vector<double> logits(static_cast<size_t>(vocabulary), -INFINITY);
    for (const auto& [token, p] : probabilities) logits[static_cast<size_t>(token)] = std::log(p);
    return logits;
  };
}

}  // namespace

TEST_CASE("the defaults: 30 words, the mean of a word, a beam of 5, drawing from everything") {
  const DecodingOptions all;
  CHECK(all.max_words == 30);
  CHECK(all.length_exponent == 1);
  CHECK_FALSE(all.attention);
  CHECK_FALSE(all.allow_unknown);
  CHECK(all.kind == SearchKind::standard);
  CHECK(BeamOptions{}.beam == 5);
  CHECK(BeamOptions{}.nbest == 1);
  const SamplingOptions sampling;
  CHECK(sampling.temperature == 1);
  CHECK(sampling.top_k == 0);
  CHECK(sampling.top_p == 1);
  CHECK(sampling.samples == 1);
}

TEST_CASE("a score is the log-probability over the length to the power of the exponent") {
  DecodingOptions options;
  CHECK(internal::score_of(-6, 4, options) == -1.5);
  CHECK(internal::score_of(-6, 1, options) == -6);
  CHECK(internal::score_of(-6, 0, options) == -6);  // nothing counts as one
  options.length_exponent = 0;
  CHECK(internal::score_of(-6, 4, options) == -6);
  options.length_exponent = 2;
  CHECK(internal::score_of(-6, 4, options) == -0.375);
  options.length_exponent = 0.5;
  CHECK(internal::score_of(-6, 4, options) == -3);
}

TEST_CASE("what may be produced: no <pad> and no <sos>, <unk> only where it is allowed") {
  DecodingOptions options;
  CHECK(internal::forbidden(options) == Ints{kPad, kSos, kUnk});
  options.allow_unknown = true;
  CHECK(internal::forbidden(options) == Ints{kPad, kSos});
  CHECK(internal::step_limit(options) == 31);
}

TEST_CASE("a row's likeliest tokens: by probability, equals by token, never one that is impossible") {
  const double no = -INFINITY;
  const Tensor rows = Tensor::from(std::vector<double>{-0.1, -0.2, -0.3, -3, -2, -2, -1, no,  //
                                                       no,   -0.2, no,   no, -2, no, no, -5,  //
                                                       no,   -0.1, -0.1, no, no, no, no, no},
                                   {3, 8});
  const auto of = [&](int64_t count, const Ints& forbidden) {
    std::vector<Ints> tokens;
    internal::NextTokens likely;
    likely.take_likeliest(rows, count, forbidden);
    for (int64_t row = 0; row < likely.rows(); ++row) {
      tokens.emplace_back();
      for (const Likely& next : likely[row]) {
        tokens.back().push_back(next.token);
        const size_t at = (tokens.size() - 1) * 8 + static_cast<size_t>(next.token);
        CHECK(next.log_probability == rows.to_vector<double>()[at]);
      }
    }
    return tokens;
  };
  const Ints options = {kUnk, kPad, kSos};
  CHECK(of(1, options) == std::vector<Ints>{{6}, {4}, {}});
  CHECK(of(2, options) == std::vector<Ints>{{6, 4}, {4, 7}, {}});
  CHECK(of(3, options) == std::vector<Ints>{{6, 4, 5}, {4, 7}, {}});
  CHECK(of(4, options) == std::vector<Ints>{{6, 4, 5, 3}, {4, 7}, {}});
  CHECK(of(9, options) == std::vector<Ints>{{6, 4, 5, 3}, {4, 7}, {}});
  CHECK(of(2, {kPad, kSos}) == std::vector<Ints>{{0, 6}, {4, 7}, {}});
  CHECK(of(2, {}) == std::vector<Ints>{{0, 1}, {1, 4}, {1, 2}});
  const Tensor bad = Tensor::from(std::vector<double>{NAN, NAN, NAN, NAN, NAN}, {1, 5});
  CHECK_THROWS_WITH_AS(internal::NextTokens().take_likeliest(bad, 1, {}), doctest::Contains("not a number"),
                       tensor::Error);
}

TEST_CASE("every way of decoding refuses the same, in its own name") {
  ToyDecoder decoder(8, dense_table(8, 1, 4, 9));  // captions end soon
  const Tensor one = images({0});
  const auto with = [&](const std::function<void(DecodingOptions&)>& change) {
    DecodingOptions options;
    change(options);
    return refusals(decoder, one, options);
  };
  CHECK(with([](auto& o) { o.max_words = 1; }) == kNone);
  CHECK(with([](auto& o) { o.max_words = 100'000; }) == kNone);
  CHECK(with([](auto& o) { o.max_words = 0; }) == by_all("max_words is 0; it has to be from 1 to 100000"));
  CHECK(with([](auto& o) { o.max_words = 100'001; }) ==
        by_all("max_words is 100001; it has to be from 1 to 100000"));
  CHECK(with([](auto& o) { o.length_exponent = 0; }) == kNone);
  CHECK(with([](auto& o) { o.length_exponent = -0.001; }) ==
        by_all("length_exponent is -0.001; it has to be a number from 0 on"));
  CHECK(with([](auto& o) { o.length_exponent = INFINITY; }) ==
        by_all("length_exponent is inf; it has to be a number from 0 on"));
  for (const Tensor& features : {Tensor::zeros({1, 1}), Tensor::zeros({1, 1, 1, 1}), Tensor()})
    for (const std::string& text : refusals(decoder, features, {}, ErrorKind::shape))
      CHECK(text.find("where (images, places, channels) are needed") != std::string::npos);
  ToyDecoder least(4, dense_table(4, 1)), less(3, dense_table(4, 1));
  CHECK(refusals(least, one, {}) == kNone);
  CHECK(with([](auto& o) { o.kind = SearchKind::hundred_steps; }) ==
        by_all("another kind of search is for find_captions(), which chooses"));
  CHECK(refusals(less, one, {}) == by_all("a vocabulary of 3 has no place for the special tokens"));
  decoder.train();
  CHECK(refusals(decoder, one, {}) ==
        by_all("the decoder is in training mode and would drop out; call eval() first"));
}

TEST_CASE("words up to the limit, and an end behind the last of them") {
  // 4, 5, 6, ... one after the other, then <eos> after 9.
  const Table chain = [](int64_t, int64_t, int64_t last) {
    std::vector<double> logits(10, -INFINITY);
    logits[last == kSos ? 4 : last == 9 ? kEos : static_cast<size_t>(last + 1)] = 0;
    return logits;
  };
  ToyDecoder decoder(10, chain);
  for (const int64_t most : {5, 6, 7}) {
    CAPTURE(most);
    BeamOptions beam;
    SamplingOptions sampling;
    beam.max_words = sampling.max_words = most;
    tensor::Generator generator(1);
    for (const Hypothesis& h :
         {beam_search(decoder, images({0}), beam)[0][0], greedy(decoder, images({0}), beam)[0],
          sample(decoder, images({0}), sampling, generator)[0][0]}) {
      CHECK(h.words == (most == 5 ? Ints{4, 5, 6, 7, 8} : Ints{4, 5, 6, 7, 8, 9}));
      CHECK(h.finished == (most > 5));
      CHECK(h.log_probability == 0);
    }
  }
}

TEST_CASE("<unk> is a word where it is allowed, and its probability is lost where it is not") {
  ToyDecoder decoder(6, [](int64_t, int64_t, int64_t last) {
    std::vector<double> logits(6, -INFINITY);
    if (last == kSos)
      logits[kUnk] = std::log(0.5), logits[kPad] = std::log(0.1), logits[kSos] = std::log(0.15),
      logits[4] = std::log(0.15), logits[5] = std::log(0.1);
    else
      logits[kEos] = 0;
    return logits;
  });
  for (const bool allowed : {false, true}) {
    BeamOptions beam;
    SamplingOptions sampling;
    beam.allow_unknown = sampling.allow_unknown = allowed;
    sampling.top_k = 1;
    tensor::Generator generator(1);
    for (const Hypothesis& h :
         {beam_search(decoder, images({0}), beam)[0][0], greedy(decoder, images({0}), beam)[0],
          sample(decoder, images({0}), sampling, generator)[0][0]}) {
      CHECK(h.words == Ints{allowed ? 0 : 4});
      CHECK(h.ids == Ints{kSos, allowed ? 0 : 4, kEos});
      // The model's own probability, not one among those that may be produced.
      CHECK(h.log_probability == doctest::Approx(std::log(allowed ? 0.5 : 0.15)).epsilon(1e-12));
      CHECK(h.score == doctest::Approx(std::log(allowed ? 0.5 : 0.15) / 2).epsilon(1e-12));
    }
  }
}

TEST_CASE("finished captions stand before open ones, whatever their scores") {
  // <eos> at once has 0.3; what begins with 4 goes on by 5 or 6, then by 7, and never ends.
  ToyDecoder decoder(8, [](int64_t, int64_t, int64_t last) {
    std::vector<double> logits(8, -INFINITY);
    if (last == kSos)
      logits[kEos] = std::log(0.3), logits[4] = std::log(0.7);
    else if (last == 4)
      logits[5] = std::log(0.6), logits[6] = std::log(0.4);
    else
      logits[7] = 0;
    return logits;
  });
  BeamOptions options;
  options.beam = 3;
  options.max_words = 3;
  for (const int64_t nbest : {1, 2, 3}) {
    options.nbest = nbest;
    const auto found = beam_search(decoder, images({0}), options)[0];
    REQUIRE(found.size() == static_cast<size_t>(nbest));
    CHECK(found[0].finished);
    CHECK(found[0].words.empty());
    CHECK(found[0].score == doctest::Approx(std::log(0.3)));
    for (size_t i = 1; i < found.size(); ++i) {
      CHECK_FALSE(found[i].finished);
      CHECK(found[i].words == (i == 1 ? Ints{4, 5, 7} : Ints{4, 6, 7}));
      CHECK(found[i].score == doctest::Approx(std::log(i == 1 ? 0.42 : 0.28) / 3));
      CHECK(found[i].score > found[0].score);
    }
  }
}

TEST_CASE("a search ends as soon as nothing open can be better, and not before") {
  // <eos> has 0.5 at once: a score of ln 0.5. The word 4 has 0.5, too, and goes on with 0.5 for each further
  // one.
  ToyDecoder decoder(8, fixed(8, {{kEos, 0.5}, {4, 0.5}}));
  BeamOptions options;
  options.beam = 3;
  options.max_words = 9;
  // By sums, "4 <eos>" and all longer ones are worse: one step says so.
  options.length_exponent = 0;
  CHECK(beam_search(decoder, images({0}), options)[0][0].words.empty());
  CHECK(decoder.steps == 1);
  // By means, 4 could go on surely: ln 0.5 / 10 bounds it. After 3 ends the image is done.
  decoder.steps = 0;
  options.length_exponent = 1;
  CHECK(beam_search(decoder, images({0}), options)[0][0].words.empty());  // all means are ln 0.5: the first
  CHECK(decoder.steps == 3);
  // Two are wanted: by sums, the second has 0.25, and what is open then has 0.25 as well, which is not above.
  decoder.steps = 0;
  options.length_exponent = 0;
  options.nbest = 2;
  const auto two = beam_search(decoder, images({0}), options)[0];
  CHECK(two[0].words.empty());
  CHECK(two[1].words == Ints{4});
  CHECK(decoder.steps == 2);
}

TEST_CASE("a search goes on while something open can be better than the worst of those that are wanted") {
  // First ends "", of 0.05, then "4", of 0.475. "4 6" is as likely as "4" and ends surely: better than "".
  ToyDecoder decoder(8, [](int64_t, int64_t, int64_t last) {
    std::vector<double> logits(8, -INFINITY);
    if (last == kSos)
      logits[kEos] = std::log(0.05), logits[4] = std::log(0.95);
    else if (last == 4)
      logits[kEos] = logits[6] = std::log(0.5);
    else
      logits[kEos] = 0;
    return logits;
  });
  BeamOptions options;
  options.beam = 3;
  options.nbest = 2;
  options.length_exponent = 0;
  const auto found = beam_search(decoder, images({0}), options)[0];
  REQUIRE(found.size() == 2);
  CHECK(found[0].words == Ints{4});
  CHECK(found[1].words == Ints{4, 6});
}

TEST_CASE("in the original's search what is open is lost, unless there is nothing else") {
  // After <sos> the word 4; from then on <eos> with 0.4, 4 with 0.6.
  ToyDecoder decoder(8, [](int64_t, int64_t, int64_t last) {
    std::vector<double> logits(8, -INFINITY);
    if (last != kSos) logits[kEos] = std::log(0.4);
    logits[4] = std::log(last == kSos ? 1.0 : 0.6);
    return logits;
  });
  BeamOptions options;
  options.beam = options.nbest = 3;
  options.max_words = 1;  // not read
  options.length_exponent = 2;
  const auto found = hundred_steps_search(decoder, images({0}), options)[0];
  REQUIRE(found.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(found[i].finished);
    CHECK(found[i].words == Ints(i + 1, 4));
    const double sum = static_cast<double>(i) * std::log(0.6) + std::log(0.4);
    CHECK(found[i].score == doctest::Approx(sum).epsilon(1e-9));
    CHECK(found[i].log_probability == doctest::Approx(sum).epsilon(1e-9));
  }
  // Nothing ends within 100 steps.
  ToyDecoder endless(8, fixed(8, {{4, 0.75}, {5, 0.25}}));
  options.nbest = 2;
  const auto open = hundred_steps_search(endless, images({0}), options)[0];
  REQUIRE(open.size() == 2);
  CHECK(endless.steps == 100);
  CHECK(open[0].words == Ints(100, 4));
  CHECK_FALSE(open[0].finished);
}
