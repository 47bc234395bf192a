#include "imgcap/training/confidence.h"

#include <algorithm>
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

std::string fingerprint_of(std::span<const JudgedSet> sets) {
  Fingerprint all;
  for (const JudgedSet& set : sets) {
    const std::string own = set.data->fingerprint();
    all.add(own.data(), own.size());
  }
  return all.text();
}

// The captions in their common order: f(set, caption, its number).
template <class F>
void each_caption(std::span<const JudgedSet> sets, F&& f) {
  size_t number = 0;
  for (const JudgedSet& set : sets)
    for (const JudgedCaption& caption : set.captions) f(set, caption, number++);
}

template <class T>
T required(const Json& json, const char* key) {
  const Json* found = json.find(key);
  check(found != nullptr && found->is<T>(), ErrorKind::data, "its confidence has no '{}' of the right kind",
        key);
  return found->as<T>();
}

double finite(const Json& json) {
  check(json.is_number() && std::isfinite(json.as_double()), ErrorKind::data,
        "its confidence has a number that is none");
  return json.as_double();
}

std::vector<double> numbers(const Json& json, const char* key) {
  const Json* found = json.find(key);
  check(found != nullptr && found->is_array() && found->size() == kConfidenceFeatures.size(), ErrorKind::data,
        "its confidence has no {} {}", kConfidenceFeatures.size(), key);
  std::vector<double> all;
  for (const Json& each : found->items()) all.push_back(finite(each));
  return all;
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

std::string to_json(const Confidence& c) {
  return Json::object({{"features", Json(kConfidenceFeatures)},
                       {"means", c.model.means},
                       {"scales", c.model.scales},
                       {"weights", c.model.weights},
                       {"intercept", c.model.intercept},
                       {"median_cider", c.median_cider},
                       {"list", c.list},
                       {"photos", c.photos},
                       {"half", "every other photo by name, from the first"},
                       {"beam", c.beam},
                       {"fingerprint", c.fingerprint}})
      .dump();
}

Confidence confidence_from_json(const std::string& text) {
  const Json json = Json::try_parse(text).value_or(Json());
  check(json.is_object(), ErrorKind::data, "its confidence is no JSON object");
  const Json* features = json.find("features");
  check(features != nullptr && *features == Json(kConfidenceFeatures), ErrorKind::data,
        "its confidence is made of features that this version does not know");
  Confidence c;
  c.model.means = numbers(json, "means");
  c.model.scales = numbers(json, "scales");
  for (const double scale : c.model.scales)
    check(scale > 0, ErrorKind::data, "its confidence has a scale of {}", scale);
  c.model.weights = numbers(json, "weights");
  c.model.intercept = required<double>(json, "intercept");
  c.median_cider = required<double>(json, "median_cider");
  for (const double each : {c.model.intercept, c.median_cider}) finite(each);
  c.list = required<std::string>(json, "list");
  c.fingerprint = required<std::string>(json, "fingerprint");
  c.photos = required<int64_t>(json, "photos");
  c.beam = required<int64_t>(json, "beam");
  return c;
}

Confidence fit_confidence(std::span<const JudgedSet> sets, const std::string& list, int64_t beam) {
  std::vector<double> ciders;
  each_caption(sets, [&](const JudgedSet&, const JudgedCaption& c, size_t) { ciders.push_back(c.cider); });
  check(ciders.size() >= 2, ErrorKind::argument, "confidence: {} photos are too few to fit it to",
        ciders.size());
  Confidence confidence;
  confidence.median_cider = median(ciders);
  confidence.list = list;
  confidence.photos = std::ssize(ciders);
  confidence.beam = beam;
  confidence.fingerprint = fingerprint_of(sets);
  std::vector<std::vector<double>> rows;
  std::vector<bool> above;
  each_caption(sets, [&](const JudgedSet&, const JudgedCaption& c, size_t number) {
    if (number % 2 != 0) return;
    rows.emplace_back(c.features.begin(), c.features.end());
    above.push_back(c.cider > confidence.median_cider);
  });
  const auto count = std::count(above.begin(), above.end(), true);
  check(
      count > 0 && count < std::ssize(above), ErrorKind::argument,
      "confidence: of the {} photos that it would be fitted to, {} have a CIDEr above the list's median of {}; it "
      "takes some above and some not",
      above.size(), count, confidence.median_cider);
  confidence.model = fit_logistic(rows, above);
  return confidence;
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
    const CaptionBatch batch = make_batch(data, group, features);
    DecodingState state = decoder.start(batch.features.data());
    state.select(batch.image);
    const std::vector<int64_t> words = batch.words.to_vector<int64_t>();
    const int64_t longest = batch.words.size(1);
    int64_t rows = batch.words.size(0);
    for (int64_t t = 0; t + 1 < longest; ++t) {
      const auto going_on = std::count_if(batch.lengths.begin(), batch.lengths.end(),
                                          [&](int64_t length) { return length > t + 1; });
      if (going_on != rows) state.select(Tensor::arange(rows = going_on));
      Tensor fed = Tensor::empty({rows}, tensor::DType::i64);
      for (int64_t r = 0; r < rows; ++r)
        fed.mutable_data<int64_t>()[r] = words[static_cast<size_t>(r * longest + t)];
      const Tensor logits = decoder.step(state, fed).to(tensor::DType::f32).contiguous();
      Tensor p = Tensor::empty(logits.shape());
      tensor::kernels::softmax(p, logits);
      const int64_t width = p.size(1);
      for (int64_t r = 0; r < rows; ++r) {
        const float* row = std::as_const(p).data<float>() + r * width;
        const float* top = std::max_element(row, row + width);
        check(std::isfinite(*top), ErrorKind::data, "confidence: the decoder's output is not a number");
        const int64_t next = words[static_cast<size_t>(r * longest + t + 1)];
        all.push_back({std::min(1.0, static_cast<double>(*top)), top - row == next});
      }
    }
  }
  return all;
}

ConfidenceMeasure measure_confidence(const Confidence& confidence, Decoder& decoder,
                                     std::span<const JudgedSet> sets) {
  ConfidenceMeasure measure;
  measure.other_half = fingerprint_of(sets) == confidence.fingerprint;
  std::vector<Prediction> captions, words;
  std::map<const JudgedSet*, std::set<std::string>> shown;
  each_caption(sets, [&](const JudgedSet& set, const JudgedCaption& caption, size_t number) {
    if (measure.other_half && number % 2 == 0) return;
    captions.push_back({confidence(caption.features), caption.cider > confidence.median_cider});
    shown[&set].insert(caption.photo);
  });
  for (const auto& [set, names] : shown) {
    std::vector<int64_t> photos;
    for (size_t i = 0; i < set->data->photos.size(); ++i)
      if (names.contains(set->data->photos[i].name)) photos.push_back(static_cast<int64_t>(i));
    const auto own = word_predictions(decoder, *set->data, *set->features, photos);
    words.insert(words.end(), own.begin(), own.end());
  }
  measure.photos = std::ssize(captions);
  measure.captions = reliability_of(captions);
  measure.words = reliability_of(words);
  return measure;
}

namespace {

std::string figures(const Reliability& r) {
  return tensor::format("ECE {:.3f}, AUROC {}", r.calibration_error,
                        std::isnan(r.auroc) ? "-" : tensor::format("{:.3f}", r.auroc));
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
  return tensor::format("confidence ({} photos of {}{}; CIDEr above {:.3f}): captions {}; words {}",
                        measure.photos, list, measure.other_half ? ", those that it was not fitted to" : "",
                        confidence.median_cider, figures(measure.captions), figures(measure.words));
}

Json to_json(const ConfidenceMeasure& measure, const Confidence& confidence) {
  return Json::object({{"photos", measure.photos},
                       {"other_half", measure.other_half},
                       {"median_cider", confidence.median_cider},
                       {"captions", json_of(measure.captions)},
                       {"words", json_of(measure.words)}});
}

}  // namespace imgcap
