// The training loop: each epoch's batches, a step for each, validation, checkpoints.
#pragma once

#include <atomic>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "imgcap/training/checkpoint.h"
#include "imgcap/training/dataset.h"
#include "imgcap/training/finetune.h"
#include "imgcap/training/reports.h"
#include "imgcap/training/run_state.h"
#include "imgcap/training/train_options.h"
#include "imgcap/training/train_step.h"
#include "imgcap/training/training_log.h"
#include "imgcap/training/validation.h"

namespace imgcap {

class Trainer {
 public:
  // `info` has the decoder's configuration, vocabulary, encoder and preprocessing for the checkpoints; its
  // weights are the first ones when there are any. All references have to outlive the trainer. `views`: what
  // training photos are taken from in place of `features` when it is not empty (dataset.h). `encoder`:
  // trained along with the decoder when there is one; then `features` is not read, and `views` are of what its
  // trained stages take, or empty: photos are read and encoded in each step. Errors: argument (it and the options'
  // `finetune` do not come together, or it needs views, as the options change photos), data (other channels than
  // the decoder's), device (it is not there).
  Trainer(Checkpoint info, const FeatureCache& features, const Dataset& training, const Dataset& validation,
          const TrainOptions& options, std::filesystem::path folder,
          std::vector<const FeatureCache*> views = {}, TrainedEncoder* encoder = nullptr,
          const Device& device = {});

  // Validates on these features in place of the constructor's, in turn by epoch: changed photos, as the
  // original did. They have to outlive the trainer.
  void validate_on(std::vector<const FeatureCache*> views) { validation_.take_turns(std::move(views)); }

  // Looks through all results and gradients of all steps for NaN and infinities: see autograd/anomaly.h.
  void detect_anomaly(bool on) { detect_anomaly_ = on; }

  // Continues a run from FOLDER/last.safetensors, to the bit; what its log says of later steps is taken back
  // when run() begins. Errors: data (no such file, another data set or other settings than this trainer's).
  void resume();

  enum class End { finished, interrupted, patience };
  // Trains until the options' end or until `stop` is set; then the step is finished and the run saved.
  End run(const TrainListener& listener, const std::atomic<bool>& stop);

  Decoder& decoder() { return *state_.decoder; }
  int64_t step() const { return state_.step; }
  int64_t total_steps() const;
  double best_score() const { return state_.best; }

 private:
  TrainingBatch read_batch(const std::vector<int64_t>& photos, int64_t epoch) const;
  std::optional<StepReport> make_step(TrainingBatch& batch);
  ValidationReport validate_now();
  void save_last() const;
  void save_best(const ValidationReport& report) const;
  bool is_out_of_patience() const;

  Checkpoint info_;
  const Dataset& training_;
  const FeaturesAs features_as_;  // for the thread that reads ahead, which must not look at the model
  TrainOptions options_;
  std::filesystem::path folder_;
  std::vector<const FeatureCache*> views_;  // empty: photos are read
  RunState state_;
  TrainStep step_;
  Validation validation_;
  TrainingLogWriter log_;
  bool detect_anomaly_ = false, resumed_ = false;
};

}  // namespace imgcap
