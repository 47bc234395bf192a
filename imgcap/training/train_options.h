// The settings of a training run.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "imgcap/settings/names.h"
#include "imgcap/training/encode.h"
#include "imgcap/training/evaluate.h"
#include "tensor/dtype.h"

namespace imgcap {

enum class OptimizerKind { adam, adamw, sgd };
constexpr std::array<const char*, 3> names_of(OptimizerKind) { return {"adam", "adamw", "sgd"}; }

enum class Schedule {
  constant,
  cosine,   // with warm-up
  plateau,  // on the validation's CIDEr
};
constexpr std::array<const char*, 3> names_of(Schedule) { return {"constant", "cosine", "plateau"}; }

enum class Objective {
  cross_entropy,  // of the captions
  self_critical,  // CIDEr of the model's own (self_critical.h)
};
constexpr std::array<const char*, 2> names_of(Objective) { return {"cross-entropy", "self-critical"}; }

// Of the products in the forward and backward pass (autograd/autocast.h). Weights, their gradients and
// validation are f32 whatever it is.
enum class Precision {
  f32,
  f16,
  bf16,
  automatic,  // to be chosen before the run (precision.h)
};
constexpr std::array<const char*, 4> names_of(Precision) { return {"f32", "f16", "bf16", "auto"}; }
tensor::DType dtype_of(Precision precision);  // not of `automatic`

// What sets TrainOptions::compat_original, as refusals name it.
inline constexpr const char* kCompatFlag = "--compat original";

// Names, bounds and what --help says of each: train_settings.h.
struct TrainOptions {
  int64_t epochs = 8;
  int64_t max_steps = 0;      // stops there even inside an epoch; 0: no limit
  int64_t batch_photos = 16;  // photos per batch, each with all its captions
  OptimizerKind optimizer = OptimizerKind::adamw;
  double lr = 4e-4;
  double weight_decay = 1e-4;
  Schedule schedule = Schedule::constant;
  int64_t warmup_steps = 0;
  double min_lr = 0;
  double clip_norm = 1;   // of all gradients together; 0: off
  double clip_value = 0;  // of each element; 0: off
  double teacher_forcing = 0.9;
  double teacher_forcing_fall = 0;  // per epoch: scheduled sampling that grows (Bengio et al. 2015)
  double teacher_forcing_least = 0;
  double label_smoothing = 0;
  Objective objective = Objective::cross_entropy;
  int64_t samples = 5;                                    // per photo, self-critical
  Augmentation::Kind augment = Augmentation::Kind::none;  // of the training photos
  int64_t augment_views = 1;                              // of `mild` and `original`, in turn by epoch
  int64_t finetune = 0;       // the encoder's last stages that are trained, too (finetune.h)
  double finetune_lr = 1e-5;  // their learning rate; `schedule` goes for it, too
  Precision precision = Precision::f32;
  double loss_scale = 65536;       // the first one, f16 only (optim/grad_scaler.h)
  double average_decay = 0;        // of the exponential average that is validated and kept; 0: off
  int64_t max_tokens = 0;          // longer captions are cut; 0: no limit
  int64_t validate_every = 1;      // epochs
  int64_t patience = 0;            // validations without a better CIDEr before it stops; 0: never
  int64_t checkpoint_every = 500;  // steps
  uint64_t seed = 1;
  bool compat_original = false;  // behaviours_of() says what that means (behaviours.h)
  SearchOptions validation;

  bool operator==(const TrainOptions&) const = default;
};

// Errors: argument (names the setting: out of its bounds, or beside one that it does not go with).
void validate(const TrainOptions& options);
// A JSON object with the rows' names; from_json refuses unknown ones, wrong types and values out of range.
std::string to_json(const TrainOptions& options);
TrainOptions train_options_from_json(const std::string& text);

}  // namespace imgcap
