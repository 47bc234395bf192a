// caption --explain: what a model makes of a sentence.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "imgcap/decoding/follow.h"
#include "imgcap/explain.h"
#include "tensor/format.h"
#include "tests/cli/refused.h"
#include "tests/cli/search_scene.h"

using namespace tests;
using tensor::io::Json;

namespace {

Result caption(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "caption");
  arguments.push_back(assets() + "/photos/" + kBear);
  return run(arguments);
}

}  // namespace

TEST_CASE("caption --explain says of each word what the decoder gives it, for both kinds of models") {
  const Scene scene;
  for (const std::string& file : {scene.model, scene.plain}) {
    const bool attention = file == scene.model;
    const Result result =
        caption({"--model", file, "--weights", scene.weights, "--explain", "a  Bear .", "--json"});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    const Json line = read_json(result.out);
    CHECK(line.at("image").as_text().ends_with(kBear));
    CHECK(line.at("text").as_text() == "a bear .");
    REQUIRE(line.at("words").size() == 3);

    const Model model(file);
    const Tensor features = encode_images(scene.encoder(scene.weights), {scene.photo(kBear)});
    const std::vector<int64_t> tokens = {model.vocabulary.id(" a"), model.vocabulary.id(" bear"),
                                         model.vocabulary.id(" .")};
    const FollowedCaption expected = follow(*model.decoder, features, tokens, {}, 10);
    CHECK(line.at("log_probability").as_double() ==
          doctest::Approx(expected.caption.log_probability).epsilon(1e-4));
    for (size_t i = 0; i < 3; ++i) {
      const Json& word = line.at("words").at(i);
      CHECK(word.at("probability").as_double() ==
            doctest::Approx(std::exp(expected.caption.token_log_probabilities[i])).epsilon(1e-4));
      CHECK(word.at("others").size() == expected.chances[i].size());
    }
    CHECK(line.at("next").size() == expected.chances[3].size());
    const Json& maps = line.at("attention");
    CHECK(maps.at("kind").as_text() == (attention ? "attention" : "gradient"));
    CHECK(maps.at("words").size() == 3);
    CHECK(maps.at("maps").at(2).size() == static_cast<size_t>(features.size(1)));
    if (attention) continue;
    model.decoder->freeze();
    const auto gradient = gradient_maps(*model.decoder, features, tokens, kSos);
    for (size_t p = 0; p < gradient[1].size(); ++p)
      CHECK(maps.at("maps").at(1).at(p).as_double() ==
            doctest::Approx(static_cast<double>(gradient[1][p])).epsilon(1e-3).scale(1e-3));
  }
}

TEST_CASE("caption --explain as text has a line per word, and refuses what it does not know") {
  const Scene scene;
  const std::vector<std::string> model = {"--model", scene.model, "--weights", scene.weights};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), model.begin(), model.end());
    return caption(more);
  };
  const Result result = with({"--explain", "a bear"});
  CHECK(result.code == 0);
  CHECK(has(result.out, kBear + ": a bear (log-probability -"));
  CHECK(has(result.out, "\n  a    0."));
  CHECK(has(result.out, "\n  bear 0."));
  CHECK(has(result.out, "\n  then: "));
  check_refused(
      with({"--explain", "a zebra"}),
      "explain: the model's vocabulary has no word \"zebra\" and cannot spell it, so no caption begins with it");
  for (const char* other : {"--sample", "--prefix=a", "--attention=a.png", "--doubt=0.5"})
    CHECK(with({"--explain", "a", other}).code == 2);
}

TEST_CASE("the plain model in the box: a word hangs on its ten strongest places more than on ten others") {
  const LoadedModel model = load_model("plain", "", assets(), ModelUse::parameters);
  model.decoder->freeze();
  const WordRange range = model.vocabulary.language("en").range;
  tensor::Generator dice(5);
  double strongest = 0, any = 0;
  for (const std::string& name : {kBear, kSkier, std::string("coco_000000000872.jpg")}) {
    const Tensor features = encode_images(model.encoder, {read_image(assets() + "/photos/" + name)});
    const int64_t places = features.size(1), channels = features.size(2);
    BeamOptions options;
    options.range = range;
    const std::vector<int64_t> words = beam_search(*model.decoder, features, options).front().front().words;
    const auto maps = gradient_maps(*model.decoder, features, words, range.start);
    const auto probabilities = [&](const Tensor& of) {
      return follow(*model.decoder, of, words, range).caption.token_log_probabilities;
    };
    const std::vector<double> before = probabilities(features);
    const auto lost = [&](size_t word, const std::vector<int64_t>& taken) {
      Tensor without = features.clone();
      float* f = without.mutable_data<float>();
      for (int64_t d = 0; d < channels; ++d) {
        double mean = 0;
        for (int64_t p = 0; p < places; ++p) mean += static_cast<double>(f[p * channels + d]);
        for (const int64_t p : taken)
          f[p * channels + d] = static_cast<float>(mean / static_cast<double>(places));
      }
      return before[word] - probabilities(without)[word];
    };
    for (size_t i = 0; i < words.size(); ++i) {
      std::vector<int64_t> order(static_cast<size_t>(places));
      std::iota(order.begin(), order.end(), int64_t{0});
      std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        return maps[i][static_cast<size_t>(a)] > maps[i][static_cast<size_t>(b)];
      });
      strongest += lost(i, {order.begin(), order.begin() + 10});
      for (size_t k = 0; k < 10; ++k)
        std::swap(order[k],
                  order[k + static_cast<size_t>(dice.uniform() * static_cast<double>(order.size() - k))]);
      any += lost(i, {order.begin(), order.begin() + 10});
    }
  }
  MESSAGE("lost in log-probability: ", strongest, " without the strongest, ", any, " without others");
  CHECK(strongest > 0);
  CHECK(strongest > 2 * std::abs(any));
}
