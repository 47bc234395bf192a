#include "imgcap/training/new_words.h"

#include <doctest/doctest.h>

#include "tensor/error.h"
#include "tests/training/toy.h"

using namespace imgcap;

TEST_CASE("words that a model lacks get rows, and what it said before stays") {
  for (const bool tied : {false, true})
    for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
      CAPTURE(tied);
      CAPTURE(static_cast<int>(kind));
      Toy toy(kind);
      toy.info.decoder.tie_weights = tied;
      tensor::Generator generator(5);
      const auto before = make_decoder(toy.info.decoder, generator);
      toy.info.weights = before->state_dict();
      const nn::StateDict old = toy.info.weights;
      const int64_t known = toy.vocabulary.size(), hidden = toy.info.decoder.hidden;

      // "a" and "dog" are known, "once" is rarer than asked for; equally frequent ones by code point.
      const std::vector<LanguageCaptions> captions = {
          {"", {}, {"a zebra and a dog", "a zebra and a heron", "zebra once", "heron"}}};
      CHECK(add_words(toy.info, captions, 2) == std::vector<std::string>{" zebra", " and", " heron"});
      CHECK(toy.info.decoder.vocabulary == known + 3);
      const Vocabulary grown = toy.info.make_vocabulary();
      CHECK(grown.size() == known + 3);
      CHECK(grown.id(" zebra") == known);
      for (int64_t id = 0; id < known; ++id) CHECK(grown.token(id) == toy.vocabulary.token(id));

      for (const char* name : {Decoder::kEmbedding, Decoder::kOutputWeight, Decoder::kOutputBias}) {
        CAPTURE(name);
        const std::vector<float> was = old.at(name).to_vector<float>();
        const std::vector<float> is = toy.info.weights.at(name).to_vector<float>();
        const size_t width = was.size() / static_cast<size_t>(known);
        REQUIRE(is.size() == was.size() + 3 * width);
        CHECK(std::vector<float>(is.begin(), is.begin() + std::ssize(was)) == was);
        for (size_t i = 0; i < width; ++i) {
          double mean = 0;
          for (size_t r = kSpecialTokens; r < static_cast<size_t>(known); ++r) mean += was[r * width + i];
          mean /= static_cast<double>(known - kSpecialTokens);
          for (size_t r = static_cast<size_t>(known); r < static_cast<size_t>(known) + 3; ++r)
            CHECK(is[r * width + i] == doctest::Approx(mean).epsilon(1e-5));
        }
      }

      // The logits of the words that it had.
      const auto after = toy.info.make_decoder();
      before->eval(), after->eval();
      Tensor state = Tensor::empty({2, hidden});
      tensor::fill_normal(state, 0, 1, generator);
      const Tensor old_logits = before->logits(state), new_logits = after->logits(state);
      for (int64_t r = 0; r < 2; ++r)
        for (int64_t id = 0; id < known; ++id)
          CHECK(new_logits.select(0, r).select(0, id).item() ==
                doctest::Approx(old_logits.select(0, r).select(0, id).item()).epsilon(1e-5));

      CHECK(add_words(toy.info, captions, 2).empty());
      CHECK(toy.info.decoder.vocabulary == known + 3);
    }
}

TEST_CASE("new words stand in their language's section, with rows of its mean") {
  const std::vector<LanguageCaptions> first = {{"en", default_rules("en"), {"a dog", "a cat"}},
                                               {"ar", default_rules("ar"), {"رجل", "كلب", "قطة"}}};
  Checkpoint model;
  const Vocabulary known = Vocabulary::of_languages(first, {0, 1, false});
  model.vocabulary = known.tokens();
  model.text_rules = known.rules();
  model.decoder.kind = DecoderKind::plain;
  model.decoder.vocabulary = known.size();
  model.decoder.features = 3;
  model.decoder.embedding = model.decoder.hidden = 2;
  model.decoder.layers = 1;
  tensor::Generator generator(9);
  model.weights = make_decoder(model.decoder, generator)->state_dict();
  const std::vector<float> was = model.weights.at(Decoder::kOutputBias).to_vector<float>();

  // "dog" is a new word in Arabic and a known one in English; the ta marbuta is a ha by the model's rules.
  const std::vector<LanguageCaptions> more = {{"ar", {}, {"dog", "قطه", "حصان"}},
                                              {"en", {}, {"dog", "zebra"}}};
  CHECK(add_words(model, more, 1) == std::vector<std::string>{" zebra", " dog", " حصان"});
  const Vocabulary grown = model.make_vocabulary();
  CHECK(grown.size() == known.size() + 3);
  CHECK(grown.id(" zebra", "en") == 4 + 1 + 3);
  CHECK(grown.id(" dog", "ar") == grown.size() - 2);
  const std::vector<float> is = model.weights.at(Decoder::kOutputBias).to_vector<float>();
  const auto mean = [&](size_t first_row, size_t end) {
    double sum = 0;
    for (size_t i = first_row; i < end; ++i) sum += was[i];
    return sum / static_cast<double>(end - first_row);
  };
  CHECK(is[8] == doctest::Approx(mean(4, 8)));
  CHECK(is[9] == was[8]);
  for (const size_t row : {is.size() - 2, is.size() - 1})
    CHECK(is[row] == doctest::Approx(mean(8, was.size())));
  CHECK_THROWS_WITH_AS(add_words(model, std::vector<LanguageCaptions>{{"fr", {}, {"chien"}}}, 1),
                       doctest::Contains("en"), tensor::Error);
}

TEST_CASE("words to add: what is refused") {
  Toy toy;
  CHECK_THROWS_WITH_AS(add_words(toy.info, std::vector<LanguageCaptions>{{"", {}, {"a dog"}}}, -1),
                       doctest::Contains("min_frequency -1"), tensor::Error);
  CHECK_THROWS_WITH_AS(add_words(toy.info, std::vector<LanguageCaptions>{}, 1),
                       doctest::Contains("no captions"), tensor::Error);
  const LanguageCaptions zebra{"", {}, {"a zebra"}};
  CHECK_THROWS_WITH_AS(add_words(toy.info, std::vector<LanguageCaptions>{zebra, zebra}, 1),
                       doctest::Contains("is there twice"), tensor::Error);
  toy.info.vocabulary.resize(kSpecialTokens);
  CHECK_THROWS_WITH_AS(add_words(toy.info, std::vector<LanguageCaptions>{zebra}, 1),
                       doctest::Contains("no words of its own"), tensor::Error);
}
