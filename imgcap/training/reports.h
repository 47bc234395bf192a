// What a training run tells while it goes on.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "autograd/profiler.h"
#include "imgcap/metrics/scores.h"

namespace imgcap {

struct StepReport {
  int64_t epoch = 0, step = 0, step_in_epoch = 0, steps_in_epoch = 0, total_steps = 0;
  // gradient_norm: of all gradients together, before clip_norm.
  double loss = 0, gradient_norm = 0, lr = 0, teacher_forcing = 0, captions_per_second = 0, seconds_left = 0;
  int64_t captions = 0;          // of its batch
  int64_t tokens = 0;            // that the loss is the mean of
  double loss_scale = 0;         // after the step; 0: none is used
  int64_t skipped = 0;           // steps whose scaled gradients overflowed, so far
  bool was_skipped = false;      // this one: then gradient_norm is not finite
  std::optional<double> reward;  // mean CIDEr of the drawn captions, self-critical
};

struct SetValidation {
  std::string set;
  double loss = 0;  // nats per token, with the captions' words fed throughout
  Scores scores;
};

// What the model says of a photo that is validated on.
struct SampleCaption {
  std::string set;  // empty where there is one alone
  std::string photo, caption;
};

struct ValidationReport {
  int64_t epoch = 0, step = 0;
  double loss = 0;  // as a set's; of several sets the means over them, each counting alike
  Scores scores;
  std::vector<SetValidation> sets;     // where there are several
  std::vector<SampleCaption> samples;  // of each set's first photos (Validation::kSamples)
  bool best = false;                   // of the run so far, by CIDEr
  double seconds = 0;
  int64_t beam = 0;  // of the search
};

// Each may be empty.
struct TrainListener {
  std::function<void(const StepReport&)> step;
  std::function<void(const ValidationReport&)> validation;
  // When there is one, a step is measured for it: the third of this run, or the last if that comes earlier.
  std::function<void(const autograd::Profile&)> profile;
};

}  // namespace imgcap
