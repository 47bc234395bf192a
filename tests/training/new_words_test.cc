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
      const std::vector<std::string> captions = {"a zebra and a dog", "a zebra and a heron", "zebra once",
                                                 "heron"};
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

TEST_CASE("words to add: what is refused") {
  Toy toy;
  CHECK_THROWS_WITH_AS(add_words(toy.info, std::vector<std::string>{"a dog"}, -1),
                       doctest::Contains("min_frequency -1"), tensor::Error);
  CHECK_THROWS_WITH_AS(add_words(toy.info, std::vector<std::string>{}, 1), doctest::Contains("no captions"),
                       tensor::Error);
}
