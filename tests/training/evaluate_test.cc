// Captions, losses and scores of a data set, against the same work photo by photo.
#include "imgcap/training/evaluate.h"

#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "tensor/error.h"
#include "tests/training/toy.h"

using namespace imgcap;

namespace {

// The toy's photos again and again under other names, with one caption each: the first `brief` ones a short
// one, the others a long one. More than a batch of mean_loss.
Dataset many(const Toy& toy, size_t count, size_t brief) {
  Dataset data;
  data.split = "many";
  for (size_t i = 0; i < count; ++i) {
    Dataset::Photo photo = toy.data.photos[(i * 3) % 8];
    photo.name = tensor::format("photo {:02}", i);
    photo.captions = {i < brief ? "a" : "the dog is red . the dog is red ."};
    photo.encoded = {toy.vocabulary.encode(photo.captions[0])};
    data.photos.push_back(std::move(photo));
  }
  return data;
}

// A decoder of which no two photos have the same captions.
std::unique_ptr<Decoder> lively_decoder(const Toy& toy) {
  tensor::Generator generator(3);
  auto decoder = make_decoder(toy.info.decoder, generator);
  for (auto& [name, value] : decoder->named_parameters())
    if (!name.starts_with("lstm")) tensor::kernels::affine(value.mutable_data(), value.data().clone(), 3, 0);
  decoder->eval();
  return decoder;
}

}  // namespace

TEST_CASE("the mean loss is a token's, whatever batches the captions come in") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    CAPTURE(to_string(kind));
    const Toy toy(kind);
    const auto decoder = lively_decoder(toy);
    // Sixteen photos per batch: one of short captions, one of five long ones.
    const Dataset data = many(toy, 21, 16);
    double sum = 0, of_photos = 0;
    int64_t tokens = 0;
    for (int64_t i = 0; i < 21; ++i) {
      LossOptions options;
      options.teacher_forcing = 1;
      const CaptionLoss one = decoder->loss(make_batch(data, {i}, toy.features), options);
      CHECK(one.tokens == (i < 16 ? 2 : 11));
      sum += one.loss.item() * static_cast<double>(one.tokens);
      tokens += one.tokens;
      of_photos += one.loss.item() / 21;
    }
    const double expected = sum / static_cast<double>(tokens);
    CHECK(std::fabs(of_photos - expected) > 0.05);
    CHECK(mean_loss(*decoder, data, toy.features) == doctest::Approx(expected).epsilon(1e-5));
    const Dataset weighted = join_sets({data}, {{.name = "half", .weight = 0.5}});
    CHECK(mean_loss(*decoder, weighted, toy.features) == mean_loss(*decoder, data, toy.features));
    // It makes no graph and throws no coins, whatever the seed.
    CHECK(mean_loss(*decoder, data, toy.features, 1, false, 7) == mean_loss(*decoder, data, toy.features));
    for (const auto& [name, value] : decoder->named_parameters()) CHECK_FALSE(value.grad().defined());
  }
}

TEST_CASE("the original's mean loss counts <sos> and throws coins") {
  const Toy toy;
  const auto decoder = lively_decoder(toy);
  const Dataset data = many(toy, 19, 3);
  const auto by_hand = [&](double teacher_forcing, uint64_t seed) {
    tensor::Generator coins(seed);
    LossOptions options;
    options.count_start = true;
    options.teacher_forcing = teacher_forcing;
    options.generator = &coins;
    std::vector<int64_t> first, second;
    for (int64_t i = 0; i < 19; ++i) (i < 16 ? first : second).push_back(i);
    const CaptionLoss a = decoder->loss(make_batch(data, first, toy.features), options),
                      b = decoder->loss(make_batch(data, second, toy.features), options);
    return (a.loss.item() * static_cast<double>(a.tokens) + b.loss.item() * static_cast<double>(b.tokens)) /
           static_cast<double>(a.tokens + b.tokens);
  };
  std::vector<double> all;
  for (const auto& [ratio, seed] : {std::pair{1.0, 0}, {0.5, 0}, {0.5, 1}, {0.0, 0}}) {
    CAPTURE(ratio);
    CAPTURE(seed);
    const double expected = by_hand(ratio, static_cast<uint64_t>(seed));
    for (const double other : all) CHECK(std::fabs(other - expected) > 1e-4);
    all.push_back(expected);
    CHECK(mean_loss(*decoder, data, toy.features, ratio, true, static_cast<uint64_t>(seed)) ==
          doctest::Approx(expected).epsilon(1e-6));
  }
  CHECK(std::fabs(mean_loss(*decoder, data, toy.features) - all[0]) > 1e-4);
}

TEST_CASE("photos are captioned as each is alone, with the settings of the search") {
  const Toy toy;
  const auto decoder = lively_decoder(toy);
  std::map<std::string, std::string> before;
  struct Case {
    int64_t beam, max_words;
    double exponent;
    bool original;
  };
  for (const Case& c : {Case{1, 30, 1, false}, Case{3, 30, 1, false}, Case{3, 30, 4, false},
                        Case{1, 2, 1, false}, Case{2, 30, 1, true}}) {
    CAPTURE(c.beam);
    CAPTURE(c.max_words);
    CAPTURE(c.exponent);
    BeamOptions beam;
    beam.beam = c.beam;
    beam.max_words = c.max_words;
    beam.length_exponent = c.exponent;
    std::map<std::string, std::string> expected;
    for (const Dataset::Photo& photo : toy.data.photos) {
      const Tensor features = toy.features.rows({photo.row});
      const Hypothesis best =
          (c.original ? hundred_steps_search : beam_search)(*decoder, features, beam, {})[0][0];
      const auto& ids = c.original ? best.ids : best.words;
      const std::vector<int32_t> tokens(ids.begin(), ids.end());
      expected[photo.name] =
          c.original ? toy.vocabulary.decode_tokens(tokens) : toy.vocabulary.decode(tokens);
    }
    CHECK(expected != before);
    before = expected;
    for (const int64_t batch : {1, 3, 8, 32}) {
      CAPTURE(batch);
      CHECK(caption_photos(*decoder, toy.data, toy.features, toy.vocabulary,
                           {c.beam, c.max_words, c.exponent, batch,
                            c.original ? SearchKind::hundred_steps : SearchKind::standard}) == expected);
    }
  }
  CHECK(std::set<std::string>{before.begin()->second, before.rbegin()->second}.size() == 2);
  // Photos are found by their rows, not by their places.
  Dataset turned = toy.data;
  std::reverse(turned.photos.begin(), turned.photos.end());
  turned.photos.pop_back();
  const auto some = caption_photos(*decoder, turned, toy.features, toy.vocabulary,
                                   {2, 30, 1, 3, SearchKind::hundred_steps});
  CHECK(some.size() == 7);
  for (const auto& [name, caption] : some) CHECK(caption == before.at(name));
}

TEST_CASE("references are the captions of the file, or what the original's vocabulary makes of them") {
  Toy toy;
  toy.data.photos[0].captions = {"A red  zebra .", "the ball"};
  const References as_they_are = scored_references(toy.data, toy.vocabulary, TextForm::words);
  CHECK(as_they_are.size() == 8);
  CHECK(as_they_are.at("red_dog.jpg") == std::vector<std::string>{"A red  zebra .", "the ball"});
  const References original = scored_references(toy.data, toy.vocabulary, TextForm::tokens);
  CHECK(original.size() == 8);
  REQUIRE(original.at("red_dog.jpg").size() == 2);
  for (size_t i = 0; i < 2; ++i) {
    const std::string& text = original.at("red_dog.jpg")[i];
    CHECK(text == toy.vocabulary.decode_tokens(toy.vocabulary.encode(as_they_are.at("red_dog.jpg")[i])));
    CHECK(text.starts_with("<sos>"));
    CHECK(text.find("<eos>") != std::string::npos);
  }
  CHECK(original.at("red_dog.jpg")[0].find("<unk>") != std::string::npos);  // the zebra
}

TEST_CASE("an evaluation is the scores of the captions that its search finds, by its protocol") {
  const Toy toy;
  const auto decoder = lively_decoder(toy);
  for (const Protocol protocol : {Protocol::standard, Protocol::torcheval})
    for (const SearchKind kind : {SearchKind::standard, SearchKind::hundred_steps}) {
      ScoreOptions options;
      options.protocol = protocol;
      options.split = "toy";
      options.undefined_is_zero = true;
      const SearchOptions search{2, 9, 1, 4, kind};
      const Evaluation found = evaluate(*decoder, toy.data, toy.features, toy.vocabulary, search, options);
      CHECK(found.captions == caption_photos(*decoder, toy.data, toy.features, toy.vocabulary, search));
      const Scores expected =
          score_captions(found.captions, scored_references(toy.data, toy.vocabulary, form_of(kind)), options);
      CHECK(found.scores.cider == expected.cider);
      CHECK(found.scores.bleu == expected.bleu);
      CHECK(found.scores.rouge_l == expected.rouge_l);
      CHECK(found.scores.split == "toy");
      CHECK(found.scores.protocol == to_string(protocol));
      CHECK(found.captions.begin()->second.starts_with("<sos>") == (kind != SearchKind::standard));
    }
}
