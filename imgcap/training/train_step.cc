#include "imgcap/training/train_step.h"

#include <algorithm>
#include <cmath>

#include "autograd/autocast.h"
#include "imgcap/training/behaviours.h"
#include "imgcap/training/make_optimizer.h"
#include "optim/clip.h"
#include "tensor/error.h"

namespace imgcap {

double teacher_forcing(const TrainOptions& o, int64_t epoch) {
  const double ratio = o.teacher_forcing - o.teacher_forcing_fall * static_cast<double>(epoch);
  return std::max(ratio, std::min(o.teacher_forcing_least, o.teacher_forcing));
}

TrainStep::TrainStep(const TrainOptions& options, const Dataset& training, RunState& state)
    : options_(options), training_(training), state_(state) {
  if (options.objective == Objective::self_critical)
    self_critical_.emplace(training, options.samples,
                           options.max_tokens > 0 ? options.max_tokens : options.validation.max_words);
  if (state.decoder->device().is_cpu()) return;
  const auto photos = static_cast<int64_t>(training.photos.size());
  block_.emplace(
      *state.optimizer, state.scaler,
      optim::StepBlockOptions{.scheduler = is_stepped(options) ? state.scheduler.get() : nullptr,
                              .average = state.average.get(),
                              .generator = &state.generator,
                              .clip_value = options.clip_value,
                              .clip_norm = options.clip_norm,
                              .steps_ahead = (photos + options.batch_photos - 1) / options.batch_photos});
}

std::optional<StepReport> TrainStep::operator()(TrainingBatch& batch) {
  StepReport report;
  report.epoch = state_.epoch;
  report.step = state_.step + 1;
  report.step_in_epoch = state_.batch + 1;
  report.captions = batch.captions.image.numel();
  state_.optimizer->zero_grad();
  return block_ ? queue_step(batch, std::move(report)) : step_now(batch, std::move(report));
}

StepReport TrainStep::step_now(TrainingBatch& batch, StepReport report) {
  report.lr = state_.optimizer->lr();
  const CaptionLoss result = forward(batch, report);
  report.loss = result.loss.item();
  report.tokens = result.tokens;
  expect_finite(report);
  state_.scaler.scale(result.loss).backward();
  state_.scaler.unscale_(*state_.optimizer);
  if (state_.step == 0) state_.optimizer->expect_gradients();
  const double coefficient = clip(report);
  report.was_skipped = !state_.scaler.step(*state_.optimizer, coefficient);
  state_.scaler.update();
  if (!report.was_skipped) {
    schedule_after_step(options_, *state_.scheduler);
    if (state_.average) state_.average->update();
  }
  ++state_.step;
  say_scale(report);
  return report;
}

std::optional<StepReport> TrainStep::queue_step(TrainingBatch& batch, StepReport report) {
  block_->begin();
  const CaptionLoss result = forward(batch, report);
  block_->scale(result.loss).backward();
  if (state_.step == 0) state_.optimizer->expect_gradients();
  block_->queue(result.loss, result.tokens);
  queued_.push_back(std::move(report));
  ++state_.step;
  return queued_.size() > 1 ? std::optional(settle()) : std::nullopt;
}

std::optional<StepReport> TrainStep::finish() {
  return queued_.empty() ? std::nullopt : std::optional(settle());
}

StepReport TrainStep::settle() {
  StepReport report = std::move(queued_.front());
  queued_.pop_front();
  const optim::StepOutcome outcome = block_->settle();
  report.loss = outcome.loss;
  report.tokens = outcome.tokens;
  report.gradient_norm = outcome.gradient_norm;
  report.lr = outcome.lr;
  report.was_skipped = outcome.was_skipped;
  expect_finite(report);
  say_scale(report);
  return report;
}

void TrainStep::expect_finite(const StepReport& report) const {
  tensor::check(std::isfinite(report.loss), tensor::ErrorKind::data,
                "train: the loss of step {} is {}; a lower learning rate may help", report.step, report.loss);
}

void TrainStep::say_scale(StepReport& report) const {
  report.loss_scale = state_.scaler.is_enabled() ? state_.scaler.scale() : 0;
  report.skipped = state_.scaler.skipped();
}

// Encode and decode, in the precision of the run.
CaptionLoss TrainStep::forward(TrainingBatch& batch, StepReport& report) {
  const autograd::AutocastGuard autocast(dtype_of(options_.precision));
  if (state_.encoder != nullptr)
    batch.captions.features = batch.pictures.defined()
                                  ? state_.encoder->forward(batch.pictures)
                                  : state_.encoder->forward_cached(batch.captions.features);
  report.teacher_forcing = teacher_forcing(options_, state_.epoch);
  return self_critical_ ? self_critical_loss(batch, report) : cross_entropy_loss(batch, report);
}

CaptionLoss TrainStep::self_critical_loss(const TrainingBatch& batch, StepReport& report) {
  const SampledCaptions sampled = [&] {
    const auto exact = autograd::AutocastGuard::off();
    return self_critical_->draw(*state_.decoder, batch.captions.features, batch.photos, state_.generator);
  }();
  report.reward = sampled.reward;
  return SelfCritical::loss(*state_.decoder, sampled, state_.generator);
}

CaptionLoss TrainStep::cross_entropy_loss(const TrainingBatch& batch, const StepReport& report) {
  LossOptions options;
  options.teacher_forcing = report.teacher_forcing;
  options.label_smoothing = options_.label_smoothing;
  options.count_start = behaviours_of(options_).count_start;
  options.generator = &state_.generator;
  state_.decoder->train();
  return state_.decoder->loss(batch.captions, options);
}

// By value in place; by norm as the factor, given back, that the step multiplies the gradients by.
double TrainStep::clip(StepReport& report) const {
  const autograd::Variables parameters = state_.optimizer->parameters();
  if (options_.clip_value > 0) optim::clip_grad_value_(parameters, options_.clip_value);
  report.gradient_norm = optim::grad_norm(parameters);
  return options_.clip_norm > 0 ? optim::clip_coefficient(report.gradient_norm, options_.clip_norm) : 1;
}

}  // namespace imgcap
