// How far a caption can be trusted: the probability that its CIDEr is above the median of a list of photos, from
// what the model itself found likely. And a word: the probability that a reference goes on with it, from the model's
// own, which training for scores makes far too high.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "imgcap/decoding/hypothesis.h"
#include "imgcap/metrics/calibration.h"
#include "imgcap/training/dataset.h"
#include "tensor/io/json.h"

namespace imgcap {

// Few, and such as every search has: how sure the model was of all tokens, how unsure of one (a wrong thing is one
// word), and the caption's length in tokens, with which both fall. How far the runner-up was behind is not among
// them: that depends on the beam.
inline constexpr std::array<const char*, 3> kConfidenceFeatures = {"mean_log_probability",
                                                                   "lowest_log_probability", "tokens"};
using ConfidenceFeatures = std::array<double, kConfidenceFeatures.size()>;

ConfidenceFeatures confidence_features(const Hypothesis& caption);

// Whether a confidence may be fitted to this photo: of one half of all names, drawn by the file's name alone, folders
// left out. The other half is what it is shown on, so that no list, order or set mixes the two.
bool is_fitted_to(std::string_view photo);

// log(p / (1 - p)), of a p kept a millionth from 0 and 1.
double log_odds(double probability);

// Of captions in one language.
struct Confidence {
  LogisticModel model;  // of kConfidenceFeatures
  LogisticModel words;  // of log_odds() of the model's probability (Platt 1999)
  double median_cider = 0;
  // Where it was fitted: photos of this list, how many, and the width of the beam that found their captions.
  std::string list;
  int64_t photos = 0, beam = 0;

  double operator()(const ConfidenceFeatures& caption) const { return model(caption); }
  double of_word(double probability) const;
  bool operator==(const Confidence&) const = default;
};

// Kept in a model's checkpoint: by language, whose name is empty where it has none.
using Confidences = std::map<std::string, Confidence>;

// One line of JSON, whose numbers come back to the bit.
std::string to_json(const Confidences& confidences);
// Strict: nothing missing or of another kind, numbers with which no probability overflows, the features above. Errors:
// data.
Confidences confidences_from_json(const std::string& text);

// A caption of a list, and what became of it.
struct JudgedCaption {
  std::string photo;
  ConfidenceFeatures features{};
  double cider = 0;
};

// The photos that are scored together, with their captions in the order of their names.
struct JudgedSet {
  const Dataset* data = nullptr;
  const FeatureCache* features = nullptr;
  std::vector<JudgedCaption> captions;
};

// Of sets in one language, fitted to the captions of those photos that is_fitted_to() takes and to their references; the
// median is of all. `list` is what the photos are called, `beam` the search's width. Errors: argument (no caption is
// above the median, or all; what they and the words are fitted to is all alike).
Confidence fit_confidence(Decoder& decoder, std::span<const JudgedSet> sets, const std::string& list,
                          int64_t beam);

// Probabilities that were given, beside what happened.
struct Reliability {
  ReliabilityTable table{};
  double calibration_error = 0, auroc = 0;
};
Reliability reliability_of(std::span<const Prediction> predictions);

struct ConfidenceMeasure {
  int64_t photos = 0;
  Reliability captions;
  // At each place of each reference, the words before it given: the likeliest token, and whether it is the
  // reference's (its end is a token, too). As Confidence::of_word() has them, and as the model has them.
  Reliability words, model_words;
};

// On the photos that is_fitted_to() does not take.
ConfidenceMeasure measure_confidence(const Confidence& confidence, Decoder& decoder,
                                     std::span<const JudgedSet> sets);

// The likeliest next token's probability at each place of the captions of these photos, and whether it is the
// reference's: ConfidenceMeasure::model_words.
std::vector<Prediction> word_predictions(Decoder& decoder, const Dataset& data, const FeatureCache& features,
                                         const std::vector<int64_t>& photos);

// ".70", or "-" where all or none happened.
std::string auroc_text(const Reliability& reliability);

// "confidence (500 photos of val.txt that it is never fitted to; CIDEr over .46): captions ECE .031, AUROC .70; words
// ECE .02, AUROC .80 (the model's own: ECE .34)"
std::string describe(const ConfidenceMeasure& measure, const Confidence& confidence, const std::string& list);

// {"photos", "median_cider", "captions": {"ECE", "AUROC", "bins": [{"count", "predicted",
// "observed"}]}, "words", "model_words": the same}
tensor::io::Json to_json(const ConfidenceMeasure& measure, const Confidence& confidence);

}  // namespace imgcap
