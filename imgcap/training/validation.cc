#include "imgcap/training/validation.h"

#include <optional>
#include <string>

#include "imgcap/training/behaviours.h"
#include "imgcap/training/train_step.h"

namespace imgcap {
namespace {

// Features that an encoder makes of the photos now, and the data set with their rows.
FeatureCache encode_now(TrainedEncoder& encoder, Dataset& data) {
  std::vector<std::string> names;
  for (Dataset::Photo& photo : data.photos) {
    photo.row = static_cast<int64_t>(names.size());
    names.push_back(photo.name);
  }
  return encoder.encode(names);
}

}  // namespace

Validation::Validation(const TrainOptions& options, const Dataset& photos, const FeatureCache& features,
                       Vocabulary vocabulary, TrainedEncoder* encoder)
    : options_(options),
      photos_(photos),
      features_(features),
      vocabulary_(std::move(vocabulary)),
      encoder_(encoder) {}

ValidationReport Validation::operator()(Decoder& decoder, int64_t epoch) const {
  decoder.eval();
  std::optional<FeatureCache> encoded;
  Dataset data = photos_;
  if (encoder_ != nullptr) encoded = encode_now(*encoder_, data);
  const FeatureCache* features = encoded ? &*encoded : &features_;
  if (!views_.empty()) {
    features = views_[static_cast<size_t>(epoch) % views_.size()];
    data = with_rows_of(*features, std::move(data));
  }
  ValidationReport report;
  report.epoch = epoch;
  report.beam = options_.validation.beam;
  const Behaviours behaviours = behaviours_of(options_);
  report.loss = mean_loss(decoder, data, *features,
                          behaviours.coins_in_validation ? teacher_forcing(options_, epoch) : 1,
                          behaviours.count_start, options_.seed + static_cast<uint64_t>(epoch));
  ScoreOptions score_options;
  score_options.split = data.split;
  score_options.protocol = behaviours.protocol;
  // A model that knows nothing yet may give captions of a word or two.
  score_options.undefined_is_zero = true;
  report.scores =
      score_captions(caption_photos(decoder, data, *features, vocabulary_, options_.validation),
                     scored_references(data, vocabulary_, form_of(behaviours.search)), score_options);
  return report;
}

}  // namespace imgcap
