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
      sets_(photos.sets),
      parts_(parts_of(photos)),
      features_(features),
      vocabulary_(std::move(vocabulary)),
      encoder_(encoder) {}

ValidationReport Validation::operator()(Decoder& decoder, int64_t epoch) const {
  decoder.eval();
  ValidationReport report;
  report.epoch = epoch;
  report.beam = options_.validation.beam;
  std::vector<Scores> scores;
  for (size_t s = 0; s < parts_.size(); ++s) {
    const size_t before = report.samples.size();
    SetValidation part = validate(decoder, parts_[s], epoch, report.samples);
    report.loss += part.loss / static_cast<double>(parts_.size());
    scores.push_back(part.scores);
    if (sets_.empty()) continue;
    part.set = sets_[s].name;
    for (size_t i = before; i < report.samples.size(); ++i) report.samples[i].set = part.set;
    report.sets.push_back(std::move(part));
  }
  report.scores = mean_of(scores);
  return report;
}

SetValidation Validation::validate(Decoder& decoder, Dataset data, int64_t epoch,
                                   std::vector<SampleCaption>& samples) const {
  std::optional<FeatureCache> encoded;
  if (encoder_ != nullptr) encoded = encode_now(*encoder_, data);
  const FeatureCache* features = encoded ? &*encoded : &features_;
  if (!views_.empty()) {
    features = views_[static_cast<size_t>(epoch) % views_.size()];
    data = with_rows_of(*features, std::move(data));
  }
  const Behaviours behaviours = behaviours_of(options_);
  SetValidation result;
  result.loss = mean_loss(decoder, data, *features,
                          behaviours.coins_in_validation ? teacher_forcing(options_, epoch) : 1,
                          behaviours.count_start, options_.seed + static_cast<uint64_t>(epoch));
  ScoreOptions score_options;
  score_options.split = data.split;
  score_options.protocol = behaviours.protocol;
  // A model that knows nothing yet may give captions of a word or two.
  score_options.undefined_is_zero = true;
  const std::map<std::string, std::string> captions =
      caption_photos(decoder, data, *features, vocabulary_, options_.validation);
  for (size_t i = 0; i < std::min(kSamples, data.photos.size()); ++i)
    if (const auto found = captions.find(data.photos[i].name); found != captions.end())
      samples.push_back({"", found->first, found->second});
  result.scores = score_captions(captions, scored_references(data, vocabulary_, form_of(behaviours.search)),
                                 with_words_of(data.language.rules, score_options));
  return result;
}

}  // namespace imgcap
