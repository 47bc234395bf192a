// One step of training, as the paper has it: encode, decode, loss, backward, clip, step.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "imgcap/training/dataset.h"
#include "imgcap/training/reports.h"
#include "imgcap/training/run_state.h"
#include "imgcap/training/self_critical.h"

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

  // Trains on a batch and counts the step. Errors: data (the loss is not finite, or a loss scale cannot help
  // any more: optim/grad_scaler.h), autograd (in a run's first step a parameter got no gradient).
  StepReport operator()(TrainingBatch& batch);

 private:
  CaptionLoss forward(TrainingBatch& batch, StepReport& report);
  CaptionLoss self_critical_loss(const TrainingBatch& batch, StepReport& report);
  CaptionLoss cross_entropy_loss(const TrainingBatch& batch, const StepReport& report);
  std::vector<double> weights_of(const TrainingBatch& batch) const;
  double clip(StepReport& report) const;

  const TrainOptions& options_;
  const Dataset& training_;
  RunState& state_;
  std::optional<SelfCritical> self_critical_;  // in place of cross-entropy
};

}  // namespace imgcap
