// The training loop: batches, loss, gradients, clip, step, schedule, average, validation, checkpoints.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "autograd/profiler.h"
#include "imgcap/training/checkpoint.h"
#include "imgcap/training/dataset.h"
#include "imgcap/training/evaluate.h"
#include "imgcap/training/finetune.h"
#include "imgcap/training/self_critical.h"
#include "imgcap/training/train_options.h"
#include "optim/average.h"
#include "optim/grad_scaler.h"
#include "optim/optimizer.h"
#include "optim/scheduler.h"

namespace imgcap {

struct StepReport {
  int64_t epoch = 0, step = 0, step_in_epoch = 0, steps_in_epoch = 0, total_steps = 0;
  double loss = 0, gradient_norm = 0, lr = 0, teacher_forcing = 0, captions_per_second = 0, seconds_left = 0;
  double loss_scale = 0;     // after the step; 0: none is used
  int64_t skipped = 0;       // steps whose scaled gradients overflowed, so far
  bool was_skipped = false;  // this one: then gradient_norm is not finite
  double reward = 0;         // mean CIDEr of the drawn captions, self-critical
};

struct ValidationReport {
  int64_t epoch = 0, step = 0;
  double loss = 0;  // with the captions' words fed throughout
  Scores scores;
  bool best = false;
  double seconds = 0;
};

// What a run tells while it goes on; each may be empty.
struct TrainListener {
  std::function<void(const StepReport&)> step;
  std::function<void(const ValidationReport&)> validation;
  // When there is one, a step is measured for it: the third of this run, or the last if that comes earlier.
  std::function<void(const autograd::Profile&)> profile;
};

class Trainer {
 public:
  // `info` has the decoder's configuration, vocabulary, encoder and preprocessing for the checkpoints; its
  // weights are the first ones when there are any. All references have to outlive the trainer. `views`: what
  // training photos are taken from in place of `features` when it is not empty (dataset.h). `encoder`:
  // trained along with the decoder when there is one; then `features` is not read but for the number of
  // channels. Argument error when it and the options' `finetune` do not come together.
  Trainer(Checkpoint info, const FeatureCache& features, const Dataset& training, const Dataset& validation,
          const TrainOptions& options, std::filesystem::path folder,
          std::vector<const FeatureCache*> views = {}, TrainedEncoder* encoder = nullptr);

  // Validates on these features in place of the constructor's, in turn by epoch: changed photos, as the
  // original did. They have to outlive the trainer.
  void validate_on(std::vector<const FeatureCache*> views) { validation_views_ = std::move(views); }

  // Looks through all results and gradients of all steps for NaN and infinities: see autograd/anomaly.h.
  void detect_anomaly(bool on) { detect_anomaly_ = on; }

  // Continues a run from FOLDER/last.safetensors, to the bit. Data errors: no such file, another data set or
  // other settings than this trainer's.
  void resume();

  enum class End { finished, interrupted, patience };
  // Trains until the options' end or until `stop` is set; then the step is finished and the run saved.
  End run(const TrainListener& listener, const std::atomic<bool>& stop);

  Decoder& decoder() { return *decoder_; }
  int64_t step() const { return step_; }
  double best_score() const { return best_; }

 private:
  // A batch of photos as a step takes it. The encoder's pictures are in place of features when it is trained.
  struct Batch {
    CaptionBatch captions;
    Tensor pictures;
  };

  Batch read_batch(const std::vector<int64_t>& photos) const;
  StepReport train_step(Batch& batch, const std::vector<int64_t>& photos);
  // Forward pass in the chosen precision.
  CaptionLoss forward(Batch& batch, const std::vector<int64_t>& photos, StepReport& report);
  CaptionLoss step_loss(const CaptionBatch& batch, const std::vector<int64_t>& photos, StepReport& report);
  ValidationReport validate_now();
  Checkpoint snapshot() const;
  void save_last() const;
  void log(const std::string& line) const;
  double teacher_forcing() const;
  int64_t total_steps() const;

  Checkpoint info_;
  const FeatureCache& features_;
  std::vector<const FeatureCache*> views_, validation_views_;
  TrainedEncoder* encoder_;
  const Dataset &training_, &validation_;
  TrainOptions options_;
  std::filesystem::path folder_;
  Vocabulary vocabulary_;
  tensor::Generator generator_;
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  std::unique_ptr<optim::Scheduler> scheduler_;
  std::unique_ptr<optim::ParameterAverage> average_;
  std::optional<optim::GradScaler> scaler_;  // f16 only: bf16 has the range of f32
  std::optional<SelfCritical> self_critical_;
  int64_t epoch_ = 0, batch_ = 0, step_ = 0, worse_ = 0;
  int64_t validated_ = 0;  // the step after which the last validation was
  double best_ = -1;
  bool detect_anomaly_ = false;
};

}  // namespace imgcap
