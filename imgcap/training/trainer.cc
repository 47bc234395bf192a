#include "imgcap/training/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <future>

#include "autograd/anomaly.h"
#include "autograd/autocast.h"
#include "optim/adam.h"
#include "optim/clip.h"
#include "optim/sgd.h"
#include "tensor/error.h"
#include "tensor/io/json.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;
using tensor::io::Json;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::unique_ptr<optim::Optimizer> make_optimizer(const TrainOptions& o, const Decoder& decoder,
                                                 const TrainedEncoder* encoder) {
  std::vector<optim::GroupOptions> groups = {{decoder.named_parameters()}};
  if (encoder != nullptr) groups.push_back({encoder->parameters(), o.finetune_lr});
  if (o.optimizer == OptimizerKind::adam)
    return std::make_unique<optim::Adam>(std::move(groups),
                                         optim::AdamOptions{.lr = o.lr, .weight_decay = o.weight_decay});
  if (o.optimizer == OptimizerKind::adamw)
    return std::make_unique<optim::AdamW>(std::move(groups),
                                          optim::AdamWOptions{.lr = o.lr, .weight_decay = o.weight_decay});
  return std::make_unique<optim::SGD>(std::move(groups),
                                      optim::SgdOptions{.lr = o.lr, .weight_decay = o.weight_decay});
}

// What is trained, of all groups: what an average is made of.
optim::NamedParameters all_parameters(const optim::Optimizer& optimizer) {
  optim::NamedParameters all;
  for (const optim::ParameterGroup& group : optimizer.groups())
    all.insert(all.end(), group.parameters.begin(), group.parameters.end());
  return all;
}

std::unique_ptr<optim::Scheduler> make_scheduler(const TrainOptions& o, optim::Optimizer& optimizer,
                                                 int64_t total) {
  if (o.schedule == Schedule::cosine)
    return std::make_unique<optim::WarmupCosineLR>(
        optimizer, optim::WarmupCosineOptions{.warmup_steps = o.warmup_steps,
                                              .total_steps = std::max(total, o.warmup_steps + 1),
                                              .min_lr = o.min_lr});
  if (o.schedule == Schedule::plateau) {
    optim::PlateauOptions plateau;
    // The original's waits for a lower loss.
    plateau.mode = o.compat_original ? optim::PlateauOptions::Mode::min : optim::PlateauOptions::Mode::max;
    plateau.factor = 0.5;
    plateau.patience = o.compat_original ? 5 : 1;
    plateau.min_lr = o.min_lr;
    return std::make_unique<optim::ReduceLROnPlateau>(optimizer, plateau);
  }
  return std::make_unique<optim::ConstantLR>(optimizer);
}

void put(Json& json, const char* name, const optim::State& state, std::map<std::string, Tensor>& tensors) {
  json[name] = state.scalars;
  for (const auto& [key, value] : state.tensors) tensors[std::string(name) + "." + key] = value;
}

optim::State get(const Json& json, const std::string& name, const std::map<std::string, Tensor>& tensors) {
  optim::State state;
  state.scalars = {};
  const Json& scalars = json.at(name);
  for (size_t i = 0; i < scalars.size(); ++i)
    state.scalars[scalars.keys()[i]] = scalars.items()[i].as_double();
  for (const auto& [key, value] : tensors)
    if (key.starts_with(name + ".")) state.tensors[key.substr(name.size() + 1)] = value;
  return state;
}

// What a checkpoint says of its run, with every entry of the kind that it has to have.
Json training_state(const Checkpoint& checkpoint, const std::vector<const char*>& parts,
                    const std::string& file) {
  Json json = Json::try_parse(checkpoint.training).value_or(Json());
  const auto has = [&](const char* key, auto fits) {
    const Json* found = json.find(key);
    return found != nullptr && fits(*found);
  };
  bool good = has("best", [](const Json& v) { return v.is_number(); }) &&
              has("generator", [](const Json& v) { return v.size() == 2; });
  for (const char* key : {"photos", "captions", "epoch", "batch", "step", "worse"})
    good = good && has(key, [](const Json& v) { return v.is_integer(); });
  for (const char* key : parts) good = good && has(key, [](const Json& v) { return v.is_object(); });
  check(good, ErrorKind::data, "{}: it holds no training run to go on with", file);
  return json;
}

// "lr is 0.0004, here 0.001": what differs between two flat JSON objects.
std::string differences(const std::string& saved, const std::string& own) {
  const Json a = Json::parse(saved, "settings"), b = Json::parse(own, "settings");
  std::vector<std::string> parts;
  for (const std::string& key : a.keys()) {
    const Json* here = b.find(key);
    if (here == nullptr || *here != a.at(key))
      parts.push_back(tensor::format("{} is {}, here {}", key, a.at(key).dump(),
                                     here != nullptr ? here->dump() : "missing"));
  }
  return tensor::join(parts, "; ");
}

}  // namespace

Trainer::Trainer(Checkpoint info, const FeatureCache& features, const Dataset& training,
                 const Dataset& validation, const TrainOptions& options, std::filesystem::path folder,
                 std::vector<const FeatureCache*> views, TrainedEncoder* encoder)
    : info_(std::move(info)),
      features_(features),
      views_(std::move(views)),
      encoder_(encoder),
      training_(training),
      validation_(validation),
      options_(options),
      folder_(std::move(folder)),
      vocabulary_(info_.vocabulary),
      generator_(options.seed) {
  validate(options_);
  options_.validation.compat_original = options_.compat_original;
  if (views_.empty()) views_ = {&features_};
  check(options_.batch_photos <= static_cast<int64_t>(training_.photos.size()), ErrorKind::argument,
        "train: a batch of {} photos, but the training set has {}", options_.batch_photos,
        training_.photos.size());
  check(info_.decoder.features == features_.channels(), ErrorKind::data,
        "train: features of {} channels for a decoder of {}", features_.channels(), info_.decoder.features);
  // Else the first validation would find out.
  check(options_.validation.beam <= info_.decoder.vocabulary, ErrorKind::argument,
        "train: a beam of {} for a vocabulary of {}", options_.validation.beam, info_.decoder.vocabulary);
  check((encoder_ != nullptr) == (options_.finetune > 0), ErrorKind::argument,
        "train: an encoder to train and a number of its stages come together");
  if (encoder_ != nullptr) {
    encoder_->expect_photos(training_);
    encoder_->expect_photos(validation_);
  }
  decoder_ = make_decoder(info_.decoder, generator_);
  if (!info_.weights.empty()) decoder_->load_state_dict(info_.weights);
  optimizer_ = make_optimizer(options_, *decoder_, encoder_);
  scheduler_ = make_scheduler(options_, *optimizer_, total_steps());
  if (options_.objective == Objective::self_critical)
    self_critical_.emplace(training_, options_.samples,
                           options_.max_tokens > 0 ? options_.max_tokens : options_.validation.max_words);
  if (options_.precision == Precision::f16)
    scaler_.emplace(optim::GradScalerOptions{.init_scale = options_.loss_scale,
                                             .min_scale = std::min(1.0, options_.loss_scale)});
  if (options_.average_decay > 0)
    average_ = std::make_unique<optim::ParameterAverage>(
        all_parameters(*optimizer_), optim::AverageOptions{.decay = options_.average_decay, .warm_up = true});
}

int64_t Trainer::total_steps() const {
  const auto photos = static_cast<int64_t>(training_.photos.size());
  const int64_t all = options_.epochs * ((photos + options_.batch_photos - 1) / options_.batch_photos);
  return options_.max_steps > 0 ? std::min(options_.max_steps, all) : all;
}

double Trainer::teacher_forcing() const {
  const double ratio = options_.teacher_forcing - options_.teacher_forcing_fall * static_cast<double>(epoch_);
  return std::max(ratio, std::min(options_.teacher_forcing_least, options_.teacher_forcing));
}

CaptionLoss Trainer::step_loss(const CaptionBatch& batch, const std::vector<int64_t>& photos,
                               StepReport& report) {
  report.teacher_forcing = teacher_forcing();
  if (self_critical_) {
    const SampledCaptions sampled = [&] {
      const auto exact = autograd::AutocastGuard::off();
      return self_critical_->draw(*decoder_, batch.features, photos, generator_);
    }();
    report.reward = sampled.reward;
    return SelfCritical::loss(*decoder_, sampled, generator_);
  }
  LossOptions options;
  options.teacher_forcing = report.teacher_forcing;
  options.label_smoothing = options_.label_smoothing;
  options.compat_original = options_.compat_original;
  options.generator = &generator_;
  decoder_->train();
  return decoder_->loss(batch, options);
}

Trainer::Batch Trainer::read_batch(const std::vector<int64_t>& photos) const {
  if (encoder_ == nullptr) return {make_batch(training_, photos, views_, epoch_), {}};
  std::vector<std::string> names;
  for (const int64_t p : photos) names.push_back(training_.photos[static_cast<size_t>(p)].name);
  return {make_batch(training_, photos), encoder_->read(names)};
}

CaptionLoss Trainer::forward(Batch& batch, const std::vector<int64_t>& photos, StepReport& report) {
  std::optional<autograd::AutocastGuard> autocast;
  if (const auto dtype = autocast_dtype(options_.precision)) autocast.emplace(*dtype);
  if (encoder_ != nullptr) batch.captions.features = encoder_->forward(batch.pictures);
  return step_loss(batch.captions, photos, report);
}

StepReport Trainer::train_step(Batch& batch, const std::vector<int64_t>& photos) {
  StepReport report;
  optimizer_->zero_grad();
  const CaptionLoss result = forward(batch, photos, report);
  report.loss = result.loss.item();
  check(std::isfinite(report.loss), ErrorKind::data,
        "train: the loss of step {} is {}; a lower learning rate may help", step_ + 1, report.loss);
  (scaler_ ? scaler_->scale(result.loss) : result.loss).backward();
  if (scaler_) scaler_->unscale_(*optimizer_);
  if (step_ == 0) optimizer_->expect_gradients();
  const autograd::Variables parameters = optimizer_->parameters();
  if (options_.clip_value > 0) optim::clip_grad_value_(parameters, options_.clip_value);
  report.gradient_norm = optim::grad_norm(parameters);
  report.lr = optimizer_->lr();
  const double coefficient =
      options_.clip_norm > 0 ? optim::clip_coefficient(report.gradient_norm, options_.clip_norm) : 1;
  if (scaler_) {
    report.was_skipped = !scaler_->step(*optimizer_, coefficient);
    scaler_->update();
    report.loss_scale = scaler_->scale();
    report.skipped = scaler_->skipped();
  } else {
    optimizer_->step(coefficient);
  }
  if (options_.schedule == Schedule::cosine && !report.was_skipped) scheduler_->step();
  if (average_ && !report.was_skipped) average_->update();
  ++step_;
  report.step = step_;
  report.epoch = epoch_;
  return report;
}

Trainer::End Trainer::run(const TrainListener& listener, const std::atomic<bool>& stop) {
  const auto photos = static_cast<int64_t>(training_.photos.size());
  const int64_t total = total_steps();
  const Clock::time_point start = Clock::now();
  const int64_t first_step = step_;
  int64_t captions = 0;
  double other_seconds = 0;     // of validating and saving
  if (step_ == 0) save_last();  // whatever happens before the next one, there is something to go on from
  const auto out_of_patience = [&] { return options_.patience > 0 && worse_ >= options_.patience; };
  // A run that was stopped in its last step still has its last validation before it.
  while (epoch_ < options_.epochs && (step_ < total || validated_ != step_) && !out_of_patience()) {
    const auto batches = epoch_batches(photos, options_.batch_photos, options_.seed, epoch_);
    // The next batch is made while this one trains.
    const auto prepare = [&](int64_t b) {
      return std::async(std::launch::async, [&, b] { return read_batch(batches[static_cast<size_t>(b)]); });
    };
    std::future<Batch> next;
    if (batch_ < static_cast<int64_t>(batches.size())) next = prepare(batch_);
    while (batch_ < static_cast<int64_t>(batches.size()) && step_ < total) {
      Batch batch = next.get();
      if (batch_ + 1 < static_cast<int64_t>(batches.size())) next = prepare(batch_ + 1);
      StepReport report;
      const auto one_step = [&] {
        std::optional<autograd::DetectAnomaly> detect;
        if (detect_anomaly_) detect.emplace();
        report = train_step(batch, batches[static_cast<size_t>(batch_)]);
      };
      constexpr int64_t kProfiled = 3;  // the first ones pay for memory that later ones find there
      if (listener.profile && step_ + 1 == std::min(first_step + kProfiled, total))
        listener.profile(autograd::profile(one_step));
      else
        one_step();
      ++batch_;
      captions += batch.captions.image.numel();
      const double seconds = seconds_since(start);
      report.step_in_epoch = batch_;
      report.steps_in_epoch = static_cast<int64_t>(batches.size());
      report.total_steps = total;
      report.captions_per_second = static_cast<double>(captions) / (seconds - other_seconds);
      report.seconds_left =
          seconds / static_cast<double>(step_ - first_step) * static_cast<double>(total - step_);
      Json line = Json::object({{"step", report.step},
                                {"epoch", report.epoch},
                                {"loss", report.loss},
                                {"gradient_norm", report.gradient_norm},
                                {"lr", report.lr},
                                {"teacher_forcing", report.teacher_forcing},
                                {"captions_per_second", report.captions_per_second}});
      if (scaler_) {
        line["loss_scale"] = report.loss_scale;
        line["skipped_steps"] = report.skipped;
        line["skipped"] = report.was_skipped;  // then the norm is null
      }
      if (self_critical_) line["reward"] = report.reward;
      log(line.dump());
      if (listener.step) listener.step(report);
      if (stop) {
        save_last();
        return End::interrupted;
      }
      if (options_.checkpoint_every > 0 && step_ % options_.checkpoint_every == 0) save_last();
    }
    const Clock::time_point pause = Clock::now();
    const bool whole =
        batch_ == static_cast<int64_t>(batches.size());  // else max_steps ends it inside the epoch
    if (step_ >= total || (epoch_ + 1) % options_.validate_every == 0) {
      const ValidationReport report = validate_now();
      if (listener.validation) listener.validation(report);
      if (options_.schedule == Schedule::plateau)
        scheduler_->step(options_.compat_original ? report.loss : report.scores.cider);
    }
    if (!whole) break;
    ++epoch_;
    batch_ = 0;
    save_last();
    other_seconds += seconds_since(pause);
    if (stop) return End::interrupted;
  }
  save_last();
  return out_of_patience() ? End::patience : End::finished;
}

ValidationReport Trainer::validate_now() {
  const Clock::time_point start = Clock::now();
  std::optional<optim::UseAverage> averaged;
  if (average_ && average_->updates() > 0) averaged.emplace(*average_);
  decoder_->eval();
  ValidationReport report;
  report.epoch = epoch_;
  report.step = step_;
  // A trained encoder has other features now, and they are in the order of the photos.
  std::optional<FeatureCache> encoded;
  Dataset data = validation_;
  if (encoder_ != nullptr) {
    std::vector<std::string> names;
    for (Dataset::Photo& photo : data.photos) {
      photo.row = static_cast<int64_t>(names.size());
      names.push_back(photo.name);
    }
    encoded = encoder_->encode(names);
  }
  const FeatureCache* features = encoded ? &*encoded : &features_;
  if (!validation_views_.empty()) {
    features = validation_views_[static_cast<size_t>(epoch_) % validation_views_.size()];
    data = with_rows_of(*features, std::move(data));
  }
  report.loss = mean_loss(*decoder_, data, *features, options_.compat_original, teacher_forcing(),
                          options_.seed + static_cast<uint64_t>(epoch_));
  ScoreOptions score_options;
  score_options.split = data.split;
  if (options_.compat_original) score_options.protocol = Protocol::original;
  score_options.undefined_is_zero =
      true;  // a model that knows nothing yet may give captions of a word or two
  report.scores =
      score_captions(caption_photos(*decoder_, data, *features, vocabulary_, options_.validation),
                     scored_references(data, vocabulary_, options_.compat_original), score_options);
  report.best = report.scores.cider > best_;
  worse_ = report.best ? 0 : worse_ + 1;
  validated_ = step_;
  if (report.best) {
    best_ = report.scores.cider;
    Checkpoint best = info_;
    best.weights = decoder_->state_dict();
    if (encoder_ != nullptr) best.encoder_weights = encoder_->encoder().state_dict();
    best.notes["epoch"] = std::to_string(epoch_ + 1);
    best.notes["step"] = std::to_string(step_);
    best.notes["options"] = to_json(options_);
    best.notes["validation_cider"] = tensor::format("{:.6f}", report.scores.cider);
    best.notes["validation_bleu4"] = tensor::format("{:.6f}", report.scores.bleu[3]);
    save_checkpoint(folder_ / "best.safetensors", best);
  }
  report.seconds = seconds_since(start);
  Json json = Json::object({{"validation", true}, {"step", step_}, {"epoch", epoch_}, {"loss", report.loss}});
  const Json scores = to_json(report.scores);
  for (const std::string& key : scores.keys()) json[key] = scores.at(key);
  json["beam"] = options_.validation.beam;
  json["best"] = report.best;
  log(json.dump());
  return report;
}

Checkpoint Trainer::snapshot() const {
  Checkpoint checkpoint = info_;
  checkpoint.weights = decoder_->state_dict();
  if (encoder_ != nullptr) checkpoint.encoder_weights = encoder_->encoder().state_dict();
  Json json;
  json["options"] = Json::parse(to_json(options_), "options");
  json["photos"] = training_.photos.size();
  json["captions"] = training_.caption_count();
  json["data"] = training_.fingerprint();
  json["epoch"] = epoch_;
  json["batch"] = batch_;
  json["step"] = step_;
  json["worse"] = worse_;
  json["validated"] = validated_;
  json["best"] = best_;
  json["generator"] = Json::array({generator_.seed(), generator_.offset()});
  put(json, "optimizer", optimizer_->state_dict(), checkpoint.training_tensors);
  put(json, "scheduler", scheduler_->state_dict(), checkpoint.training_tensors);
  if (average_) put(json, "average", average_->state_dict(), checkpoint.training_tensors);
  if (scaler_) put(json, "scaler", scaler_->state_dict(), checkpoint.training_tensors);
  checkpoint.training = json.dump();
  return checkpoint;
}

void Trainer::save_last() const { save_checkpoint(folder_ / "last.safetensors", snapshot()); }

void Trainer::resume() {
  const std::filesystem::path file = folder_ / "last.safetensors";
  const Checkpoint checkpoint = load_checkpoint(file);
  const std::string name = file.string();
  check(checkpoint.encoder_key == info_.encoder_key, ErrorKind::data,
        "{}: it was made with other encoder weights ({}) than this run's ({})", name, checkpoint.encoder,
        info_.encoder);
  check(checkpoint.vocabulary == info_.vocabulary, ErrorKind::data,
        "{}: it was made with another vocabulary ({} tokens) than this run's ({}); with other captions or "
        "lists there is another one",
        name, checkpoint.vocabulary.size(), info_.vocabulary.size());
  check(checkpoint.decoder == info_.decoder, ErrorKind::data, "{}: its model differs from this run's: {}",
        name, differences(to_json(checkpoint.decoder), to_json(info_.decoder)));
  std::vector<const char*> parts = {"options", "optimizer", "scheduler"};
  if (average_) parts.push_back("average");
  if (scaler_) parts.push_back("scaler");
  const Json json = training_state(checkpoint, parts, name);
  tensor::about_file(name, [&] {
    TrainOptions saved = train_options_from_json(json.at("options").dump());
    // More epochs or steps may be asked for.
    saved.epochs = options_.epochs;
    saved.max_steps = options_.max_steps;
    // These change nothing of what is trained.
    saved.patience = options_.patience;
    saved.validate_every = options_.validate_every;
    saved.checkpoint_every = options_.checkpoint_every;
    check(saved == options_, ErrorKind::data,
          "{}: its settings differ from this run's: {}; leave out the changed ones or start a new run", name,
          differences(to_json(saved), to_json(options_)));
    check(json.at("photos") == training_.photos.size() && json.at("captions") == training_.caption_count(),
          ErrorKind::data, "{}: it was trained on {} photos with {} captions, this run has {} with {}", name,
          json.at("photos").dump(), json.at("captions").dump(), training_.photos.size(),
          training_.caption_count());
    // Runs of earlier versions do not have it.
    check(json.find("data") == nullptr || json.at("data") == training_.fingerprint(), ErrorKind::data,
          "{}: it was trained on other photos or captions than this run's", name);
    const nn::LoadOptions finite{.finite = [](const std::string&) { return true; }};
    decoder_->load_state_dict(checkpoint.weights, finite);
    if (encoder_ != nullptr) encoder_->encoder().load_state_dict(checkpoint.encoder_weights, finite);
    optimizer_->load_state_dict(get(json, "optimizer", checkpoint.training_tensors));
    scheduler_->load_state_dict(get(json, "scheduler", checkpoint.training_tensors));
    if (average_) average_->load_state_dict(get(json, "average", checkpoint.training_tensors));
    if (scaler_) scaler_->load_state_dict(get(json, "scaler", checkpoint.training_tensors));
    epoch_ = json.at("epoch").as_int64();
    batch_ = json.at("batch").as_int64();
    step_ = json.at("step").as_int64();
    worse_ = json.at("worse").as_int64();
    best_ = json.at("best").as_double();
    const Json* validated = json.find("validated");
    validated_ = validated != nullptr ? validated->as_int64() : step_;  // earlier versions did not say
    const std::vector<Json>& generator = json.at("generator").items();
    generator_.set_state(generator[0].as_uint64(), generator[1].as_uint64());
  });
}

void Trainer::log(const std::string& line) const {
  std::ofstream file(folder_ / "log.jsonl", std::ios::app);
  file << line << '\n';
  file.flush();
  check(file.good(), ErrorKind::io, "{}: cannot be written", (folder_ / "log.jsonl").string());
}

}  // namespace imgcap
