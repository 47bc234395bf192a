#include "imgcap/training/confidence.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "autograd/grad_mode.h"
#include "imgcap/training/fingerprint.h"
#include "tensor/error.h"
#include "tensor/kernels.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;
using tensor::io::Json;

namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

template <class F>
void each_caption(std::span<const JudgedSet> sets, F&& f) {
  for (const JudgedSet& set : sets)
    for (const JudgedCaption& caption : set.captions) f(caption);
}

// With any of these no product or sum of a logistic model overflows.
constexpr double kMost = 1e9, kLeastScale = 1e-9;

template <class T>
T required(const Json& json, const char* key) {
  const Json* found = json.find(key);
  check(found != nullptr && found->is<T>(), ErrorKind::data, "its confidence has no '{}' of the right kind",
        key);
  return found->as<T>();
}

double number(const Json& json, const char* key) {
  const double value = required<double>(json, key);
  check(std::fabs(value) <= kMost, ErrorKind::data, "its confidence has a number that is none, or too large");
  return value;
}

std::vector<double> numbers(const Json& json, const char* key, size_t count) {
  const Json* found = json.find(key);
  check(found != nullptr && found->is_array() && found->size() == count, ErrorKind::data,
        "its confidence has no {} {}", count, key);
  std::vector<double> all;
  for (const Json& each : found->items()) {
    check(each.is_number() && std::fabs(each.as_double()) <= kMost, ErrorKind::data,
          "its confidence has a number that is none, or too large");
    all.push_back(each.as_double());
  }
  return all;
}

Json json_of(const LogisticModel& model) {
  return Json::object({{"means", model.means},
                       {"scales", model.scales},
                       {"weights", model.weights},
                       {"intercept", model.intercept}});
}

LogisticModel logistic_model(const Json& json, const char* key, size_t columns) {
  const Json* found = json.find(key);
  check(found != nullptr && found->is_object(), ErrorKind::data,
        "its confidence has no '{}' of the right kind", key);
  LogisticModel model{numbers(*found, "means", columns), numbers(*found, "scales", columns),
                      numbers(*found, "weights", columns), number(*found, "intercept")};
  for (const double scale : model.scales)
    check(scale >= kLeastScale, ErrorKind::data, "its confidence has a scale of {}", scale);
  return model;
}

}  // namespace

ConfidenceFeatures confidence_features(const Hypothesis& caption) {
  const std::vector<double>& tokens = caption.token_log_probabilities;
  if (tokens.empty()) return {};
  const auto count = static_cast<double>(tokens.size());
  double sum = 0;
  for (const double each : tokens) sum += each;
  return {sum / count, *std::min_element(tokens.begin(), tokens.end()), count};
}

bool is_fitted_to(std::string_view photo) {
  const std::string_view name = photo.substr(photo.rfind('/') + 1);
  Fingerprint print;
  print.add(name.data(), name.size());
  return std::popcount(print.number()) % 2 == 0;
}

double log_odds(double probability) {
  constexpr double kLeast = 1e-6;
  const double p = std::clamp(probability, kLeast, 1 - kLeast);
  return std::log(p / (1 - p));
}

double Confidence::of_word(double probability) const {
  const std::array<double, 1> x = {log_odds(probability)};
  return words(x);
}

namespace {

Json json_of(const Confidence& c) {
  return Json::object({{"captions", json_of(c.model)},
                       {"words", json_of(c.words)},
                       {"median_cider", c.median_cider},
                       {"list", c.list},
                       {"photos", c.photos},
                       {"beam", c.beam}});
}

Confidence confidence_of(const Json& json) {
  check(json.is_object(), ErrorKind::data, "its confidence is no JSON object");
  Confidence c;
  c.model = logistic_model(json, "captions", kConfidenceFeatures.size());
  c.words = logistic_model(json, "words", 1);
  c.median_cider = number(json, "median_cider");
  c.list = required<std::string>(json, "list");
  c.photos = required<int64_t>(json, "photos");
  c.beam = required<int64_t>(json, "beam");
  return c;
}

}  // namespace

std::string to_json(const Confidences& confidences) {
  Json json = Json::object({{"features", Json(kConfidenceFeatures)}, {"languages", Json::object({})}});
  for (const auto& [language, confidence] : confidences) json["languages"][language] = json_of(confidence);
  return json.dump();
}

Confidences confidences_from_json(const std::string& text) {
  const Json json = Json::try_parse(text).value_or(Json());
  check(json.is_object(), ErrorKind::data, "its confidence is no JSON object");
  const Json* features = json.find("features");
  check(features != nullptr && *features == Json(kConfidenceFeatures), ErrorKind::data,
        "its confidence is made of features that this version does not know");
  const Json* languages = json.find("languages");
  check(languages != nullptr && languages->is_object() && languages->size() > 0, ErrorKind::data,
        "its confidence has no 'languages' of the right kind");
  Confidences confidences;
  for (size_t i = 0; i < languages->size(); ++i)
    confidences[languages->keys()[i]] = confidence_of(languages->items()[i]);
  return confidences;
}

Reliability reliability_of(std::span<const Prediction> predictions) {
  Reliability result;
  result.table = reliability_table(predictions);
  result.calibration_error = expected_calibration_error(result.table);
  result.auroc = auroc(predictions);
  return result;
}

std::vector<Prediction> word_predictions(Decoder& decoder, const Dataset& data, const FeatureCache& features,
                                         const std::vector<int64_t>& photos) {
  const autograd::NoGrad no_grad;
  constexpr size_t kBatchPhotos = 16;
  std::vector<Prediction> all;
  for (size_t begin = 0; begin < photos.size(); begin += kBatchPhotos) {
    const auto first = photos.begin() + static_cast<std::ptrdiff_t>(begin);
    const std::vector<int64_t> group(
        first, first + static_cast<std::ptrdiff_t>(std::min(kBatchPhotos, photos.size() - begin)));
    const CaptionBatch batch = make_batch(data, group, features, decoder.device());
    DecodingState state = decoder.start(batch.features.data());
    state.select(batch.image);
    const std::vector<int64_t> words = batch.words.to_vector<int64_t>();
    const int64_t longest = batch.words.size(1);
    int64_t rows = batch.words.size(0);
    for (int64_t t = 0; t + 1 < longest; ++t) {
      const auto going_on = std::count_if(batch.lengths.begin(), batch.lengths.end(),
                                          [&](int64_t length) { return length > t + 1; });
      if (going_on != rows)
        state.select(Tensor::arange(rows = going_on, tensor::DType::i64, decoder.device()));
      Tensor fed = Tensor::empty({rows}, tensor::DType::i64);
      for (int64_t r = 0; r < rows; ++r)
        fed.mutable_data<int64_t>()[r] = words[static_cast<size_t>(r * longest + t)];
      const Tensor logits = decoder.step(state, fed.to(decoder.device())).to(tensor::DType::f32).contiguous();
      Tensor p = Tensor::empty(logits.shape(), tensor::DType::f32, logits.device()),
             top = Tensor::empty({rows, 1}, tensor::DType::f32, logits.device()),
             token = Tensor::empty({rows, 1}, tensor::DType::i64, logits.device());
      tensor::kernels::softmax(p, logits);
      tensor::kernels::topk(top, token, p, 1);
      const std::vector<float> tops = top.to_vector<float>();
      const std::vector<int64_t> tokens = token.to_vector<int64_t>();
      for (int64_t r = 0; r < rows; ++r) {
        const auto row = static_cast<size_t>(r);
        check(std::isfinite(tops[row]), ErrorKind::data, "confidence: the decoder's output is not a number");
        const int64_t next = words[static_cast<size_t>(r * longest + t + 1)];
        all.push_back({std::min(1.0, static_cast<double>(tops[row])), tokens[row] == next});
      }
    }
  }
  return all;
}

namespace {

// Of the references of the photos that have a caption and are fitted to, or are not.
std::vector<Prediction> words_of(Decoder& decoder, std::span<const JudgedSet> sets, bool fitted) {
  std::vector<Prediction> words;
  for (const JudgedSet& set : sets) {
    std::set<std::string> names;
    for (const JudgedCaption& caption : set.captions)
      if (is_fitted_to(caption.photo) == fitted) names.insert(caption.photo);
    std::vector<int64_t> photos;
    for (size_t i = 0; i < set.data->photos.size(); ++i)
      if (names.contains(set.data->photos[i].name)) photos.push_back(static_cast<int64_t>(i));
    const auto own = word_predictions(decoder, *set.data, *set.features, photos);
    words.insert(words.end(), own.begin(), own.end());
  }
  return words;
}

}  // namespace

Confidence fit_confidence(Decoder& decoder, std::span<const JudgedSet> sets, const std::string& list,
                          int64_t beam) {
  std::vector<double> ciders;
  each_caption(sets, [&](const JudgedCaption& c) { ciders.push_back(c.cider); });
  check(!ciders.empty(), ErrorKind::argument, "confidence: there are no photos to fit it to");
  Confidence confidence;
  confidence.median_cider = median(ciders);
  confidence.list = list;
  confidence.beam = beam;
  std::vector<std::vector<double>> rows;
  std::vector<bool> above;
  each_caption(sets, [&](const JudgedCaption& c) {
    if (!is_fitted_to(c.photo)) return;
    rows.emplace_back(c.features.begin(), c.features.end());
    above.push_back(c.cider > confidence.median_cider);
  });
  confidence.photos = std::ssize(above);
  const auto count = std::count(above.begin(), above.end(), true);
  check(
      count > 0 && count < std::ssize(above), ErrorKind::argument,
      "confidence: of the {} photos of {} that it would be fitted to, {} have a CIDEr above the list's median of "
      "{}; it takes some above and some not",
      above.size(), list, count, confidence.median_cider);
  confidence.model = fit_logistic(rows, above);
  rows.clear();
  std::vector<bool> right;
  for (const Prediction& word : words_of(decoder, sets, true)) {
    rows.push_back({log_odds(word.probability)});
    right.push_back(word.happened);
  }
  const auto hits = std::count(right.begin(), right.end(), true);
  check(
      hits > 0 && hits < std::ssize(right), ErrorKind::argument,
      "confidence: of the {} words of {} that it would be fitted to, the model foretells {}; it takes some of both",
      right.size(), list, hits == 0 ? "none" : "all");
  confidence.words = fit_logistic(rows, right);
  return confidence;
}

ConfidenceMeasure measure_confidence(const Confidence& confidence, Decoder& decoder,
                                     std::span<const JudgedSet> sets) {
  ConfidenceMeasure measure;
  std::vector<Prediction> captions;
  each_caption(sets, [&](const JudgedCaption& caption) {
    if (!is_fitted_to(caption.photo))
      captions.push_back({confidence(caption.features), caption.cider > confidence.median_cider});
  });
  std::vector<Prediction> words = words_of(decoder, sets, false);
  measure.photos = std::ssize(captions);
  measure.captions = reliability_of(captions);
  measure.model_words = reliability_of(words);
  for (Prediction& word : words) word.probability = confidence.of_word(word.probability);
  measure.words = reliability_of(words);
  return measure;
}

std::string auroc_text(const Reliability& r) {
  return std::isnan(r.auroc) ? "-" : tensor::format("{:.3f}", r.auroc);
}

namespace {

std::string figures(const Reliability& r) {
  return tensor::format("ECE {:.3f}, AUROC {}", r.calibration_error, auroc_text(r));
}

Json json_of(const Reliability& r) {
  Json json = Json::object({{"ECE", r.calibration_error}, {"AUROC", r.auroc}});
  for (const ReliabilityBin& bin : r.table)
    json["bins"].push_back(
        Json::object({{"count", bin.count}, {"predicted", bin.predicted}, {"observed", bin.observed}}));
  return json;
}

}  // namespace

std::string describe(const ConfidenceMeasure& measure, const Confidence& confidence,
                     const std::string& list) {
  return tensor::format(
      "confidence ({} photos of {} that it is never fitted to; CIDEr above {:.3f}): captions {}; words {} (the model's "
      "own: ECE {:.3f})",
      measure.photos, list, confidence.median_cider, figures(measure.captions), figures(measure.words),
      measure.model_words.calibration_error);
}

Json to_json(const ConfidenceMeasure& measure, const Confidence& confidence) {
  return Json::object({{"photos", measure.photos},
                       {"median_cider", confidence.median_cider},
                       {"captions", json_of(measure.captions)},
                       {"words", json_of(measure.words)},
                       {"model_words", json_of(measure.model_words)}});
}

}  // namespace imgcap
