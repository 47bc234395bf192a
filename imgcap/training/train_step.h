// One step of training, as the paper has it: encode, decode, loss, backward, clip, step.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "imgcap/training/dataset.h"
#include "imgcap/training/reports.h"
#include "imgcap/training/run_state.h"
#include "imgcap/training/self_critical.h"
#include "optim/step_block.h"

namespace imgcap {

// A batch of photos as a step takes it.
struct TrainingBatch {
  std::vector<int64_t> photos;  // their numbers in the training set
  // With features (photos, p, d); where the encoder is trained with what its trained stages take, or without:
  CaptionBatch captions;
  tensor::Tensor pictures;  // then (photos, 3, height, width) in their place
};

// The share of the steps that are fed by the caption in an epoch, counted from 0: scheduled sampling where it
// falls (Bengio et al. 2015, https://arxiv.org/abs/1506.03099).
double teacher_forcing(const TrainOptions& options, int64_t epoch);

class TrainStep {
 public:
  // All references have to outlive it.
  TrainStep(const TrainOptions& options, const Dataset& training, RunState& state);

  // Trains on a batch and counts the step. What is returned is its report; on a device the step is only queued, and the
  // report that of the step before, where there is one: so the device is never idle. Errors: data (the loss is not finite,
  // or a loss scale cannot help any more: optim/grad_scaler.h; both may be said of the step before), autograd (in a run's
  // first step a parameter got no gradient).
  std::optional<StepReport> operator()(TrainingBatch& batch);
  // That of the step that is queued, where there is one; before the state is looked at, and before the epoch's end.
  std::optional<StepReport> finish();

 private:
  StepReport step_now(TrainingBatch& batch, StepReport report);
  std::optional<StepReport> queue_step(TrainingBatch& batch, StepReport report);
  StepReport settle();
  void expect_finite(const StepReport& report) const;
  void say_scale(StepReport& report) const;
  CaptionLoss forward(TrainingBatch& batch, StepReport& report);
  CaptionLoss self_critical_loss(const TrainingBatch& batch, StepReport& report);
  CaptionLoss cross_entropy_loss(const TrainingBatch& batch, const StepReport& report);
  double clip(StepReport& report) const;

  const TrainOptions& options_;
  const Dataset& training_;
  RunState& state_;
  std::optional<SelfCritical> self_critical_;  // in place of cross-entropy
  std::optional<optim::StepBlock> block_;      // on a device
  std::deque<StepReport> queued_;              // what is known of its steps
};

}  // namespace imgcap
