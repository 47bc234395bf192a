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
}

StepReport TrainStep::operator()(TrainingBatch& batch) {
  StepReport report;
  report.epoch = state_.epoch;
  report.lr = state_.optimizer->lr();

  state_.optimizer->zero_grad();
  const CaptionLoss result = forward(batch, report);
  report.loss = result.loss.item();
  tensor::check(std::isfinite(report.loss), tensor::ErrorKind::data,
                "train: the loss of step {} is {}; a lower learning rate may help", state_.step + 1,
                report.loss);
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
  report.step = ++state_.step;
  report.loss_scale = state_.scaler.is_enabled() ? state_.scaler.scale() : 0;
  report.skipped = state_.scaler.skipped();
  return report;
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
  options.weights = weights_of(batch);
  options.generator = &state_.generator;
  state_.decoder->train();
  return state_.decoder->loss(batch.captions, options);
}

// Of each caption its set's; none where all are 1, which is the plain mean to the bit.
std::vector<double> TrainStep::weights_of(const TrainingBatch& batch) const {
  std::vector<double> weights;
  if (!training_.is_weighted()) return weights;
  for (const int64_t image : batch.captions.image.to_vector<int64_t>())
    weights.push_back(training_.weight_of(batch.photos[static_cast<size_t>(image)]));
  return weights;
}

// By value in place; by norm as the factor, given back, that the step multiplies the gradients by.
double TrainStep::clip(StepReport& report) const {
  const autograd::Variables parameters = state_.optimizer->parameters();
  if (options_.clip_value > 0) optim::clip_grad_value_(parameters, options_.clip_value);
  report.gradient_norm = optim::grad_norm(parameters);
  return options_.clip_norm > 0 ? optim::clip_coefficient(report.gradient_norm, options_.clip_norm) : 1;
}

}  // namespace imgcap
