// What a training run is at one moment: saved in a checkpoint, and gone on from, to the bit.
#pragma once

#include <filesystem>
#include <memory>

#include "imgcap/training/checkpoint.h"
#include "imgcap/training/dataset.h"
#include "imgcap/training/finetune.h"
#include "imgcap/training/train_options.h"
#include "optim/average.h"
#include "optim/grad_scaler.h"
#include "optim/optimizer.h"
#include "optim/scheduler.h"
#include "tensor/random.h"

namespace imgcap {

struct RunState {
  // The first moment. `model` has the decoder's configuration and its first weights; without any they are
  // drawn. `encoder`: trained, too; may be null, and has to outlive the state. All that is trained is on `device`.
  RunState(const Checkpoint& model, const TrainOptions& options, int64_t total_steps, TrainedEncoder* encoder,
           const Device& device = {});

  tensor::Generator generator;  // of first weights, dropout, coins and drawn captions
  std::unique_ptr<Decoder> decoder;
  TrainedEncoder* encoder;
  std::unique_ptr<optim::Optimizer> optimizer;
  std::unique_ptr<optim::Scheduler> scheduler;
  optim::GradScaler scaler;                          // not enabled but for f16
  std::unique_ptr<optim::ParameterAverage> average;  // null: none is kept

  // Each counts what is done: `batch` of the epoch's batches, `step` of all steps.
  int64_t epoch = 0, batch = 0, step = 0;
  int64_t validated = 0;  // the step after which the last validation was
  int64_t worse = 0;      // validations since the best one
  double best = -1;       // its CIDEr; -1: there was none
};

// What a run is made of and cannot change: it goes on with no other.
struct RunSources {
  const Checkpoint& model;  // vocabulary, decoder's configuration, encoder, preprocessing
  const TrainOptions& options;
  const Dataset& training;
};

// `sources.model` with the state's weights and with all that the run needs to go on.
Checkpoint snapshot(const RunState& state, const RunSources& sources);

// The state that `file` was saved in. Errors: data (names the file: there is none, it is no training run's,
// or of another model, vocabulary, encoder or data set, or of other settings but for those that change
// nothing of what is trained).
void resume(RunState& state, const RunSources& sources, const std::filesystem::path& file);

}  // namespace imgcap
