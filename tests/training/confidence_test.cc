// How far captions can be trusted: what it is fitted to, what it is shown on, and how it is kept.
#include "imgcap/training/confidence.h"

#include <doctest/doctest.h>

#include <cmath>

#include "imgcap/training/checkpoint.h"
#include "tensor/error.h"
#include "tensor/io/json.h"
#include "tensor/io/safetensors.h"
#include "tests/folder.h"
#include "tests/training/toy.h"

using namespace imgcap;
using tensor::io::Json;

namespace {

// Captions whose CIDEr goes with the first feature, more or less; by the photos' names.
JudgedSet judged(const Toy& toy, uint64_t seed = 3) {
  JudgedSet set{&toy.data, &toy.features, {}};
  std::vector<std::string> names = toy.names;
  std::sort(names.begin(), names.end());
  tensor::Generator generator(seed);
  for (const std::string& name : names) {
    const double x = generator.normal();
    set.captions.push_back({name,
                            {x, x - generator.uniform(), 5 + generator.uniform()},
                            1 + 0.3 * x + 0.2 * generator.normal()});
  }
  return set;
}

double p_of(const Confidence& c, const JudgedCaption& caption) {
  double z = c.model.intercept;
  for (size_t j = 0; j < 3; ++j)
    z += c.model.weights[j] * (caption.features[j] - c.model.means[j]) / c.model.scales[j];
  return 1 / (1 + std::exp(-z));
}

std::string refused(const std::function<void()>& f, tensor::ErrorKind kind) {
  try {
    f();
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  return "taken";
}

std::unique_ptr<Decoder> decoder_of(const Toy& toy) {
  tensor::Generator generator(5);
  auto decoder = make_decoder(toy.info.decoder, generator);
  for (auto& [name, value] : decoder->named_parameters())
    if (!name.starts_with("lstm")) tensor::kernels::affine(value.mutable_data(), value.data().clone(), 3, 0);
  decoder->eval();
  return decoder;
}

Confidence some_confidence() {
  const Toy toy;
  const JudgedSet set = judged(toy);
  return fit_confidence(*decoder_of(toy), {&set, 1}, "val.txt", 5);
}

}  // namespace

TEST_CASE("a caption's features: mean, lowest, tokens with the end") {
  Hypothesis caption;
  caption.words = {5, 6};
  caption.token_log_probabilities = {-0.5, -2, -0.5};
  CHECK(confidence_features(caption) == ConfidenceFeatures{-1, -2, 3});
  CHECK(confidence_features({}) == ConfidenceFeatures{0, 0, 0});
}

TEST_CASE("a confidence is fitted to every other photo by name, against the whole list's median") {
  const Toy toy;
  const auto decoder = decoder_of(toy);
  JudgedSet set = judged(toy);
  const Confidence fitted = fit_confidence(*decoder, {&set, 1}, "val.txt", 4);
  std::vector<double> ciders;
  std::vector<std::vector<double>> rows;
  for (size_t i = 0; i < set.captions.size(); ++i) {
    ciders.push_back(set.captions[i].cider);
    if (i % 2 == 0) rows.emplace_back(set.captions[i].features.begin(), set.captions[i].features.end());
  }
  std::sort(ciders.begin(), ciders.end());
  CHECK(fitted.median_cider == (ciders[3] + ciders[4]) / 2);
  std::vector<bool> above;
  for (size_t i = 0; i < 8; i += 2) above.push_back(set.captions[i].cider > fitted.median_cider);
  CHECK(fitted.model == fit_logistic(rows, above));
  // Words: of the references of the same photos, from the log-odds of the model's probability.
  std::vector<int64_t> photos;
  for (size_t p = 0; p < 8; ++p)
    for (size_t i = 0; i < 8; i += 2)
      if (toy.data.photos[p].name == set.captions[i].photo) photos.push_back(static_cast<int64_t>(p));
  rows.clear(), above.clear();
  for (const Prediction& word : word_predictions(*decoder, toy.data, toy.features, photos)) {
    rows.push_back({std::log(word.probability / (1 - word.probability))});
    above.push_back(word.happened);
  }
  CHECK(fitted.words.intercept == doctest::Approx(fit_logistic(rows, above).intercept));
  CHECK(fitted.words.weights[0] == doctest::Approx(fit_logistic(rows, above).weights[0]));
  CHECK(fitted.of_word(0.25) ==
        doctest::Approx(fit_logistic(rows, above)(std::vector<double>{std::log(0.25 / 0.75)})));
  CHECK(std::isfinite(fitted.of_word(1)));
  CHECK(std::isfinite(fitted.of_word(0)));
  CHECK(fitted.photos == 8);
  CHECK(fitted.beam == 4);
  CHECK(fitted.list == "val.txt");
  // The other half has no part in it.
  for (size_t i = 1; i < 8; i += 2) set.captions[i].features = {100, 200, 300};
  CHECK(fit_confidence(*decoder, {&set, 1}, "val.txt", 4).model == fitted.model);
  set.captions[2].features[0] += 1;
  CHECK(fit_confidence(*decoder, {&set, 1}, "val.txt", 4).model != fitted.model);
  // Two sets go on counting: of five and three captions the first, third, fifth, and the second of the other.
  std::vector<JudgedSet> two = {judged(toy), judged(toy)};
  two[0].captions.resize(5);
  two[1].captions.erase(two[1].captions.begin(), two[1].captions.begin() + 5);
  CHECK(fit_confidence(*decoder, two, "val.txt", 4).model == fitted.model);
  for (JudgedCaption& each : set.captions) each.cider = 0.5;
  CHECK(
      refused(
          [&] {
            fit_confidence(*decoder, {&set, 1}, "val.txt", 4);
          },
          tensor::ErrorKind::argument) ==
      "confidence: of the 4 photos that it would be fitted to, 0 have a CIDEr above the list's median of 0.5; it "
      "takes some above and some not");
  set.captions.resize(1);
  CHECK(refused(
            [&] {
              fit_confidence(*decoder, {&set, 1}, "val.txt", 4);
            },
            tensor::ErrorKind::argument) == "confidence: 1 photos are too few to fit it to");
}

TEST_CASE("it is shown on the photos that it was not fitted to, or on all of another list") {
  const Toy toy;
  const auto decoder = decoder_of(toy);
  const JudgedSet set = judged(toy);
  const Confidence fitted = fit_confidence(*decoder, {&set, 1}, "val.txt", 4);
  for (const bool same : {true, false}) {
    CAPTURE(same);
    Confidence confidence = fitted;
    if (!same) confidence.fingerprint = "another";
    std::vector<Prediction> captions, words;
    std::vector<int64_t> photos;
    for (size_t i = 0; i < 8; ++i) {
      if (same && i % 2 == 0) continue;
      captions.push_back({p_of(fitted, set.captions[i]), set.captions[i].cider > fitted.median_cider});
      for (size_t p = 0; p < 8; ++p)
        if (toy.data.photos[p].name == set.captions[i].photo) photos.push_back(static_cast<int64_t>(p));
    }
    std::sort(photos.begin(), photos.end());
    const ConfidenceMeasure m = measure_confidence(confidence, *decoder, {&set, 1});
    CHECK(m.other_half == same);
    CHECK(m.photos == (same ? 4 : 8));
    CHECK(m.captions.auroc == doctest::Approx(auroc(captions)));
    CHECK(m.captions.calibration_error ==
          doctest::Approx(expected_calibration_error(reliability_table(captions))));
    auto expected = word_predictions(*decoder, toy.data, toy.features, photos);
    CHECK(m.model_words.auroc == auroc(expected));
    for (Prediction& word : expected) word.probability = fitted.of_word(word.probability);
    CHECK(m.words.auroc == auroc(expected));
    CHECK(m.words.calibration_error == expected_calibration_error(reliability_table(expected)));
    CHECK(m.words.calibration_error != m.model_words.calibration_error);
    const Json json = to_json(m, confidence);
    CHECK(json.at("photos") == m.photos);
    CHECK(json.at("other_half") == same);
    CHECK(json.at("median_cider") == fitted.median_cider);
    CHECK(json.at("captions").at("AUROC") == m.captions.auroc);
    CHECK(json.at("words").at("ECE") == m.words.calibration_error);
    int64_t counted = 0;
    for (const Json& bin : json.at("words").at("bins").items()) counted += bin.at("count").as_int64();
    CHECK(counted == std::ssize(expected));
    CHECK(describe(m, confidence, "val.txt")
              .starts_with(
                  same ? "confidence (4 photos of val.txt, those that it was not fitted to; CIDEr above "
                       : "confidence (8 photos of val.txt; CIDEr above "));
  }
}

TEST_CASE("a word's prediction is the likeliest token after the reference's own words") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    CAPTURE(to_string(kind));
    const Toy toy(kind);
    const auto decoder = decoder_of(toy);
    Dataset data = toy.data;  // captions of different lengths in a batch, in any order
    data.photos[1].encoded[0] = toy.vocabulary.encode("a");
    data.photos[1].encoded[1] = toy.vocabulary.encode("the dog is red . the dog is red .");
    std::vector<std::pair<double, bool>> expected, found;
    for (const int64_t p : {1, 2, 6}) {
      const Dataset::Photo& photo = data.photos[static_cast<size_t>(p)];
      for (const auto& caption : photo.encoded) {
        DecodingState state = decoder->start(toy.features.rows({photo.row}));
        for (size_t t = 0; t + 1 < caption.size(); ++t) {
          const auto logits =
              decoder->step(state, Tensor::full({1}, caption[t], tensor::DType::i64)).to_vector<float>();
          const auto top = std::max_element(logits.begin(), logits.end());
          double sum = 0;
          for (const float x : logits) sum += std::exp(static_cast<double>(x - *top));
          expected.emplace_back(1 / sum, top - logits.begin() == caption[t + 1]);
        }
      }
    }
    for (const Prediction& each : word_predictions(*decoder, data, toy.features, {1, 2, 6}))
      found.emplace_back(each.probability, each.happened);
    std::sort(expected.begin(), expected.end());
    std::sort(found.begin(), found.end());
    REQUIRE(found.size() == expected.size());
    REQUIRE(found.size() > 20);
    int64_t right = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      CHECK(found[i].first == doctest::Approx(expected[i].first).epsilon(1e-5));
      CHECK(found[i].second == expected[i].second);
      right += found[i].second ? 1 : 0;
    }
    CHECK(right > 0);
    CHECK(right < std::ssize(found));
  }
}

TEST_CASE("a confidence comes back from its JSON to the bit, and what is none is refused") {
  const Confidence c = some_confidence();
  CHECK(confidence_from_json(to_json(c)) == c);
  const Json good = Json::parse(to_json(c), "confidence");
  const auto with = [&](const char* key, const Json& value) {
    Json changed = good;
    changed[key] = value;
    return refused([&] { confidence_from_json(changed.dump()); }, tensor::ErrorKind::data);
  };
  for (const char* text : {"", "{", "[1]", "3", "null"})
    CHECK(refused([&] { confidence_from_json(text); }, tensor::ErrorKind::data) ==
          "its confidence is no JSON object");
  CHECK(with("features", Json(std::vector<std::string>{"a", "b", "c"})) ==
        "its confidence is made of features that this version does not know");
  for (const char* part : {"captions", "words"}) {
    const auto with_part = [&](const char* key, const Json& value) {
      Json changed = good.at(part);
      changed[key] = value;
      return with(part, changed);
    };
    const size_t columns = good.at(part).at("means").size();
    CHECK(columns == (part == std::string("captions") ? 3 : 1));
    for (const char* key : {"means", "scales", "weights"}) {
      const std::string missing = tensor::format("its confidence has no {} {}", columns, key);
      CHECK(with_part(key, Json(std::vector<double>{1, 2})) == missing);
      CHECK(with_part(key, Json("1")) == missing);
      CHECK(with_part(key, Json(std::vector<double>(columns, NAN))) ==
            "its confidence has a number that is none");
    }
    CHECK(with_part("scales", Json(std::vector<double>(columns, 0.0))) == "its confidence has a scale of 0");
    CHECK(with_part("intercept", Json("1")) == "its confidence has no 'intercept' of the right kind");
  }
  for (const char* key : {"captions", "words", "median_cider", "list", "photos", "beam", "fingerprint"})
    CHECK(with(key, Json()) == tensor::format("its confidence has no '{}' of the right kind", key));
}

TEST_CASE("a checkpoint keeps its confidence in every format, and a copy with one is else the same") {
  Toy toy;
  toy.info.weights = make_decoder(toy.info.decoder)->state_dict();
  const tests::TemporaryFolder folder("confidence");
  const std::string file = folder.path / "model.safetensors", copy = folder.path / "copy.safetensors";
  for (const WeightFormat format : {WeightFormat::f32, WeightFormat::f16, WeightFormat::i8}) {
    toy.info.confidence.reset();
    save_checkpoint(file, toy.info, format);
    CHECK_FALSE(load_checkpoint(file).confidence);
    const Confidence c = some_confidence();
    copy_with_confidence(file, copy, c);
    CHECK(load_checkpoint(copy, WeightsAs::stored).confidence == c);
    const auto before = tensor::io::read_safetensors(file), after = tensor::io::read_safetensors(copy);
    CHECK(before.tensors.size() == after.tensors.size());
    for (const auto& [name, value] : before.tensors)
      CHECK(std::equal(value.raw(), value.raw() + value.bytes(), after.tensors.at(name).raw()));
    toy.info.confidence = c;
    save_checkpoint(file, toy.info, format);
    CHECK(load_checkpoint(file).confidence == c);
  }
  auto damaged = tensor::io::read_safetensors(copy);
  damaged.metadata["confidence"] = "{}";
  const std::string bad = folder.path / "bad.safetensors";
  tensor::io::write_safetensors(bad, damaged.tensors, damaged.metadata);
  CHECK(refused([&] { load_checkpoint(bad); }, tensor::ErrorKind::data) ==
        bad + ": its confidence is made of features that this version does not know");
}
