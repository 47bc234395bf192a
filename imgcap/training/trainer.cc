#include "imgcap/training/trainer.h"

#include <algorithm>
#include <optional>
#include <string>

#include "autograd/anomaly.h"
#include "imgcap/training/behaviours.h"
#include "imgcap/training/epoch_reader.h"
#include "imgcap/training/make_optimizer.h"
#include "imgcap/training/progress.h"
#include "tensor/error.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;

namespace {

// The options as the trainer goes by them, when they and what they are for go together.
TrainOptions checked(TrainOptions options, const Checkpoint& info, const FeatureCache& features,
                     const Dataset& training, const Dataset& validation,
                     const std::vector<const FeatureCache*>& views, TrainedEncoder* encoder) {
  validate(options);
  options.validation.kind = behaviours_of(options).search;
  check(options.batch_photos <= static_cast<int64_t>(training.photos.size()), ErrorKind::argument,
        "train: a batch of {} photos, but the training set has {}", options.batch_photos,
        training.photos.size());
  const int64_t channels = encoder != nullptr ? encoder->encoder().feature_channels() : features.channels();
  check(info.decoder.features == channels, ErrorKind::data,
        "train: features of {} channels for a decoder of {}", channels, info.decoder.features);
  // Else the first validation would find out.
  check(options.validation.beam <= info.decoder.vocabulary, ErrorKind::argument,
        "train: a beam of {} for a vocabulary of {}", options.validation.beam, info.decoder.vocabulary);
  check((encoder != nullptr) == (options.finetune > 0), ErrorKind::argument,
        "train: an encoder to train and a number of its stages come together");
  if (encoder != nullptr) {
    encoder->expect_photos(training);
    encoder->expect_photos(validation);
    check(
        options.augment == Augmentation::Kind::none || !views.empty(), ErrorKind::argument,
        "train: an encoder of which {} stages are trained is fed with photos, and --augment changes what is kept "
        "of them",
        options.finetune);
    for (const FeatureCache* view : views)
      check(view->channels() == encoder->encoder().channels_before(static_cast<int>(options.finetune)),
            ErrorKind::data, "train: the trained stages take {} channels, and what is kept of photos has {}",
            encoder->encoder().channels_before(static_cast<int>(options.finetune)), view->channels());
  }
  return options;
}

// Features stay in their file's 16 bits where the decoder's products take these as they are; an encoder's stages add them
// to what is in 32.
FeaturesAs features_for(const TrainOptions& options, const TrainedEncoder* encoder, const Device& device) {
  const bool as_kept = !device.is_cpu() && options.precision == Precision::f16 && encoder == nullptr;
  return {device, as_kept ? tensor::DType::f16 : tensor::DType::f32};
}

// Measures one step, where somebody listens.
class StepProfiler {
 public:
  StepProfiler(const TrainListener& listener, int64_t first_step, int64_t total_steps)
      : tell_(listener.profile), step_(std::min(first_step + kProfiled, total_steps)) {}

  void operator()(int64_t step, const std::function<void()>& make_step) const {
    if (tell_ && step == step_)
      tell_(autograd::profile(make_step));
    else
      make_step();
  }

 private:
  static constexpr int64_t kProfiled = 3;  // the first ones pay for memory that later ones find there
  const std::function<void(const autograd::Profile&)>& tell_;
  int64_t step_;
};

}  // namespace

Trainer::Trainer(Checkpoint info, const FeatureCache& features, const Dataset& training,
                 const Dataset& validation, const TrainOptions& options, std::filesystem::path folder,
                 std::vector<const FeatureCache*> views, TrainedEncoder* encoder, const Device& device)
    : info_(std::move(info)),
      training_(training),
      features_as_(features_for(options, encoder, device)),
      options_(checked(options, info_, features, training, validation, views, encoder)),
      folder_(std::move(folder)),
      views_(views.empty() && encoder == nullptr ? std::vector{&features} : std::move(views)),
      state_(info_, options_, total_steps(), encoder, device),
      step_(options_, training_, state_),
      validation_(options_, validation, features, info_.make_vocabulary(), encoder),
      log_(folder_ / "log.jsonl") {}

Trainer::End Trainer::run(const TrainListener& listener, const std::atomic<bool>& stop) {
  const int64_t total = total_steps();
  const StepProfiler measured(listener, state_.step, total);
  Progress progress(state_.step, total);
  if (resumed_) log_.rewind(state_.step, state_.validated);
  if (state_.step == 0)
    save_last();  // whatever happens before the next one, there is something to go on from
  // A run that was stopped in its last step still has its last validation before it.
  while (state_.epoch < options_.epochs && (state_.step < total || state_.validated != state_.step) &&
         !is_out_of_patience()) {
    EpochReader reader(epoch_batches(static_cast<int64_t>(training_.photos.size()), options_.batch_photos,
                                     options_.seed, state_.epoch),
                       state_.batch, [this, epoch = state_.epoch](const std::vector<int64_t>& photos) {
                         return read_batch(photos, epoch);
                       });
    const auto tell = [&](std::optional<StepReport> report) {
      if (!report) return;
      report->steps_in_epoch = reader.batches();
      progress.tell(*report);
      log_.add(*report);
      if (listener.step) listener.step(*report);
    };
    while (state_.batch < reader.batches() && state_.step < total) {
      TrainingBatch batch = reader.next();
      std::optional<StepReport> report;
      measured(state_.step + 1, [&] { report = make_step(batch); });
      ++state_.batch;
      tell(std::move(report));
      if (stop) {
        tell(step_.finish());
        save_last();
        return End::interrupted;
      }
      if (options_.checkpoint_every > 0 && state_.step % options_.checkpoint_every == 0) {
        tell(step_.finish());
        save_last();
      }
    }
    tell(step_.finish());
    const Stopwatch pause;
    if (state_.step >= total || (state_.epoch + 1) % options_.validate_every == 0) {
      const ValidationReport report = validate_now();
      if (listener.validation) listener.validation(report);
      schedule_after_validation(options_, *state_.scheduler, report.loss, report.scores.cider);
    }
    if (state_.batch < reader.batches()) break;  // max_steps ends it inside the epoch
    ++state_.epoch;
    state_.batch = 0;
    save_last();
    progress.add_pause(pause.seconds());
    if (stop) return End::interrupted;
  }
  save_last();
  return is_out_of_patience() ? End::patience : End::finished;
}

TrainingBatch Trainer::read_batch(const std::vector<int64_t>& photos, int64_t epoch) const {
  if (!views_.empty()) return {photos, make_batch(training_, photos, views_, epoch, features_as_), {}};
  std::vector<std::string> names;
  for (const int64_t p : photos) names.push_back(training_.photos[static_cast<size_t>(p)].name);
  const Device& device = features_as_.device;
  return {photos, make_batch(training_, photos, device), state_.encoder->read(names).to(device)};
}

std::optional<StepReport> Trainer::make_step(TrainingBatch& batch) {
  std::optional<autograd::DetectAnomaly> detect;
  if (detect_anomaly_) detect.emplace();
  return step_(batch);
}

ValidationReport Trainer::validate_now() {
  const Stopwatch watch;
  std::optional<optim::UseAverage> averaged;  // in what is saved as the best, too
  if (state_.average && state_.average->updates() > 0) averaged.emplace(*state_.average);
  ValidationReport report = validation_(*state_.decoder, state_.epoch);
  report.step = state_.validated = state_.step;
  report.best = report.scores.cider > state_.best;
  state_.worse = report.best ? 0 : state_.worse + 1;
  if (report.best) {
    state_.best = report.scores.cider;
    save_best(report);
  }
  report.seconds = watch.seconds();
  log_.add(report);
  return report;
}

void Trainer::save_best(const ValidationReport& report) const {
  Checkpoint best = info_;
  best.weights = state_.decoder->state_dict();
  if (state_.encoder != nullptr) best.encoder_weights = state_.encoder->encoder().state_dict();
  best.notes["epoch"] = std::to_string(report.epoch + 1);
  best.notes["step"] = std::to_string(report.step);
  best.notes["options"] = to_json(options_);
  best.notes["validation_cider"] = tensor::format("{:.6f}", report.scores.cider);
  best.notes["validation_bleu4"] = tensor::format("{:.6f}", report.scores.bleu[3]);
  for (const SetValidation& set : report.sets) {
    best.notes["validation_cider." + set.set] = tensor::format("{:.6f}", set.scores.cider);
    best.notes["validation_bleu4." + set.set] = tensor::format("{:.6f}", set.scores.bleu[3]);
  }
  save_checkpoint(folder_ / "best.safetensors", best);
}

void Trainer::save_last() const {
  save_checkpoint(folder_ / "last.safetensors", snapshot(state_, {info_, options_, training_}));
}

void Trainer::resume() {
  imgcap::resume(state_, {info_, options_, training_}, folder_ / "last.safetensors");
  resumed_ = true;
}

int64_t Trainer::total_steps() const {
  const auto photos = static_cast<int64_t>(training_.photos.size());
  const int64_t all = options_.epochs * ((photos + options_.batch_photos - 1) / options_.batch_photos);
  return options_.max_steps > 0 ? std::min(options_.max_steps, all) : all;
}

bool Trainer::is_out_of_patience() const {
  return options_.patience > 0 && state_.worse >= options_.patience;
}

}  // namespace imgcap
