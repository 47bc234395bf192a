// How far captions can be trusted: what it is fitted to, what it is shown on, and how it is kept.
#include "imgcap/training/confidence.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "imgcap/training/checkpoint.h"
#include "tensor/error.h"
#include "tensor/io/json.h"
#include "tensor/io/safetensors.h"
#include "tests/folder.h"
#include "tests/refused.h"
#include "tests/training/toy.h"

using namespace imgcap;
using tensor::io::Json;
using tests::refused;

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

TEST_CASE("a confidence is fitted to half of the photos by name, against the whole list's median") {
  const Toy toy;
  const auto decoder = decoder_of(toy);
  JudgedSet set = judged(toy);
  const Confidence fitted = fit_confidence(*decoder, {&set, 1}, "val.txt", 4);
  std::vector<double> ciders;
  std::vector<std::vector<double>> rows;
  for (size_t i = 0; i < set.captions.size(); ++i) {
    ciders.push_back(set.captions[i].cider);
    if (is_fitted_to(set.captions[i].photo))
      rows.emplace_back(set.captions[i].features.begin(), set.captions[i].features.end());
  }
  std::sort(ciders.begin(), ciders.end());
  CHECK(fitted.median_cider == (ciders[3] + ciders[4]) / 2);
  std::vector<bool> above;
  for (const JudgedCaption& c : set.captions)
    if (is_fitted_to(c.photo)) above.push_back(c.cider > fitted.median_cider);
  const size_t half = above.size();
  REQUIRE(half > 2);
  REQUIRE(half < 6);
  CHECK(fitted.model == fit_logistic(rows, above));
  // Words: of the references of the same photos, from the log-odds of the model's probability.
  std::vector<int64_t> photos;
  for (size_t p = 0; p < 8; ++p)
    if (is_fitted_to(toy.data.photos[p].name)) photos.push_back(static_cast<int64_t>(p));
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
  CHECK(fitted.photos == std::ssize(photos));
  CHECK(fitted.beam == 4);
  CHECK(fitted.list == "val.txt");
  // The other half has no part in it, and neither order nor set counts.
  for (JudgedCaption& c : set.captions)
    if (!is_fitted_to(c.photo)) c.features = {100, 200, 300};
  std::reverse(set.captions.begin(), set.captions.end());
  const auto is_near = [](const LogisticModel& a, const LogisticModel& b) {
    for (size_t j = 0; j < 3; ++j)
      if (std::fabs(a.weights[j] - b.weights[j]) > 1e-9) return false;
    return std::fabs(a.intercept - b.intercept) < 1e-9;
  };
  CHECK(is_near(fit_confidence(*decoder, {&set, 1}, "val.txt", 4).model, fitted.model));
  std::vector<JudgedSet> two = {set, set};
  two[0].captions.resize(5);
  two[1].captions.erase(two[1].captions.begin(), two[1].captions.begin() + 5);
  CHECK(is_near(fit_confidence(*decoder, two, "val.txt", 4).model, fitted.model));
  for (JudgedCaption& c : set.captions)
    if (is_fitted_to(c.photo)) c.features[0] += c.cider;
  CHECK_FALSE(is_near(fit_confidence(*decoder, {&set, 1}, "val.txt", 4).model, fitted.model));
  for (JudgedCaption& each : set.captions) each.cider = 0.5;
  const auto why = [&] {
    return refused([&] { fit_confidence(*decoder, {&set, 1}, "val.txt", 4); }, tensor::ErrorKind::argument);
  };
  CHECK(why() ==
        tensor::format(
            "confidence: of the {} photos of val.txt that it would be fitted to, 0 have a CIDEr above "
            "the list's median of 0.5; it takes some above and some not",
            half));
  set.captions.clear();
  CHECK(why() == "confidence: there are no photos to fit it to");
}

TEST_CASE("which half a photo is in goes by its file's name, and the halves are halves") {
  CHECK(is_fitted_to("a/b/1.jpg") == is_fitted_to("1.jpg"));
  int64_t fitted = 0;
  for (int i = 0; i < 1000; ++i) fitted += is_fitted_to(tensor::format("{:012d}.jpg", i)) ? 1 : 0;
  CHECK(fitted > 440);
  CHECK(fitted < 560);
}

TEST_CASE("it is shown on the photos that it is never fitted to") {
  const Toy toy;
  const auto decoder = decoder_of(toy);
  const JudgedSet set = judged(toy);
  const Confidence fitted = fit_confidence(*decoder, {&set, 1}, "val.txt", 4);
  std::vector<Prediction> captions;
  std::vector<int64_t> photos;
  for (const JudgedCaption& c : set.captions)
    if (!is_fitted_to(c.photo)) captions.push_back({p_of(fitted, c), c.cider > fitted.median_cider});
  for (size_t p = 0; p < 8; ++p)
    if (!is_fitted_to(toy.data.photos[p].name)) photos.push_back(static_cast<int64_t>(p));
  const ConfidenceMeasure m = measure_confidence(fitted, *decoder, {&set, 1});
  CHECK(m.photos == std::ssize(captions));
  CHECK(fitted.photos + m.photos == 8);
  CHECK(auroc_text(m.captions) ==
        (std::isnan(auroc(captions)) ? "-" : tensor::format("{:.3f}", auroc(captions))));
  CHECK(m.captions.calibration_error ==
        doctest::Approx(expected_calibration_error(reliability_table(captions))));
  auto expected = word_predictions(*decoder, toy.data, toy.features, photos);
  CHECK(m.model_words.auroc == auroc(expected));
  for (Prediction& word : expected) word.probability = fitted.of_word(word.probability);
  CHECK(m.words.auroc == auroc(expected));
  CHECK(m.words.calibration_error == expected_calibration_error(reliability_table(expected)));
  CHECK(m.words.calibration_error != m.model_words.calibration_error);
  const Json json = to_json(m, fitted);
  CHECK(json.at("photos") == m.photos);
  CHECK(json.at("median_cider") == fitted.median_cider);
  CHECK(json.at("words").at("ECE") == m.words.calibration_error);
  int64_t counted = 0;
  for (const Json& bin : json.at("words").at("bins").items()) counted += bin.at("count").as_int64();
  CHECK(counted == std::ssize(expected));
  CHECK(describe(m, fitted, "val.txt")
            .starts_with(tensor::format(
                "confidence ({} photos of val.txt that it is never fitted to; CIDEr above ", m.photos)));
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
  Confidence other = c;
  other.beam = 3;
  const Confidences all = {{"", c}, {"ar", other}};
  CHECK(confidences_from_json(to_json(all)) == all);
  const Json whole = Json::parse(to_json({{"en", c}}), "confidence");
  const auto with_whole = [&](const char* key, const Json& value) {
    Json changed = whole;
    changed[key] = value;
    return refused([&] { confidences_from_json(changed.dump()); }, tensor::ErrorKind::data);
  };
  const Json& good = whole.at("languages").at("en");
  const auto with = [&](const char* key, const Json& value) {
    Json changed = good;
    changed[key] = value;
    return with_whole("languages", Json::object({{"en", changed}}));
  };
  for (const char* text : {"", "{", "[1]", "3", "null"})
    CHECK(refused([&] { confidences_from_json(text); }, tensor::ErrorKind::data) ==
          "its confidence is no JSON object");
  for (const Json& none : {Json(), Json::array(), Json::object()})
    CHECK(with_whole("languages", none) == "its confidence has no 'languages' of the right kind");
  CHECK(with_whole("languages", Json::object({{"en", 3}})) == "its confidence is no JSON object");
  CHECK(with_whole("features", Json(std::vector<std::string>{"a", "b", "c"})) ==
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
      for (const double bad : {double(NAN), 1e10, -1e300})
        CHECK(with_part(key, Json(std::vector<double>(columns, bad))) ==
              "its confidence has a number that is none, or too large");
    }
    CHECK(with_part("scales", Json(std::vector<double>(columns, 0.0))) == "its confidence has a scale of 0");
    CHECK(with_part("intercept", Json("1")) == "its confidence has no 'intercept' of the right kind");
  }
  for (const char* key : {"captions", "words", "median_cider", "list", "photos", "beam"})
    CHECK(with(key, Json()) == tensor::format("its confidence has no '{}' of the right kind", key));
}

TEST_CASE("a checkpoint keeps its confidence in every format, and a copy with one is else the same") {
  Toy toy;
  toy.info.weights = make_decoder(toy.info.decoder)->state_dict();
  const tests::TemporaryFolder folder("confidence");
  const std::string file = folder.path / "model.safetensors", copy = folder.path / "copy.safetensors";
  for (const WeightFormat format : {WeightFormat::f32, WeightFormat::f16, WeightFormat::i8}) {
    toy.info.confidence.clear();
    save_checkpoint(file, toy.info, format);
    CHECK(load_checkpoint(file).confidence.empty());
    const Confidences c = {{"", some_confidence()}};
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
