// The settings of a training run.
#pragma once

#include <cstdint>
#include <string>

#include "imgcap/training/evaluate.h"

namespace imgcap {

struct TrainOptions {
  int64_t epochs = 8;
  int64_t max_steps = 0;            // stops there even inside an epoch; 0: no limit
  int64_t batch_photos = 16;        // photos a batch, each with all its captions
  std::string optimizer = "adamw";  // adam, adamw or sgd
  double lr = 4e-4;
  double weight_decay = 1e-4;
  std::string schedule = "constant";  // constant, cosine (with warm-up), plateau (on the validation's CIDEr)
  int64_t warmup_steps = 0;
  double min_lr = 0;
  double clip_norm = 1;   // of all gradients together; 0: off
  double clip_value = 0;  // of each element; 0: off
  double teacher_forcing = 0.9;
  double teacher_forcing_fall = 0;  // an epoch: scheduled sampling that grows (Bengio et al. 2015)
  double teacher_forcing_least = 0;
  double label_smoothing = 0;
  // cross-entropy of the captions, or self-critical: CIDEr of the model's own (self_critical.h)
  std::string objective = "cross-entropy";
  int64_t samples = 5;           // a photo, self-critical
  std::string augment = "none";  // none, mirror, mild, original: of the training photos (encode.h)
  int64_t augment_views = 1;     // of `mild` and `original`, taken in turn by epoch
  int64_t finetune = 0;          // the encoder's last stages that are trained, too (finetune.h)
  double finetune_lr = 1e-5;     // their learning rate; `schedule` goes for it, too
  // Of the products in the forward and backward pass: f32, f16 or bf16 (autograd/autocast.h). Weights, their
  // gradients and validation are f32 whatever it is.
  std::string precision = "f32";
  double loss_scale = 65536;       // the first one, f16 only (optim/grad_scaler.h)
  double average_decay = 0;        // of the exponential average that is validated and kept; 0: off
  int64_t max_tokens = 0;          // longer captions are cut; 0: no limit
  int64_t validate_every = 1;      // epochs
  int64_t patience = 0;            // validations without a better CIDEr before it stops; 0: never
  int64_t checkpoint_every = 500;  // steps
  uint64_t seed = 1;
  // The original's loss and, whatever validation.compat_original says, its search and scores.
  bool compat_original = false;
  SearchOptions validation;

  bool operator==(const TrainOptions&) const = default;
};

// Argument errors name the setting.
void validate(const TrainOptions& options);
std::string to_json(const TrainOptions& options);
TrainOptions train_options_from_json(const std::string& text);

}  // namespace imgcap
