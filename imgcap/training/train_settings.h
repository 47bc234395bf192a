// The table of a training run's settings.
#pragma once

#include "imgcap/decoding/search_settings.h"
#include "imgcap/settings/setting.h"
#include "imgcap/training/train_options.h"

namespace imgcap {

constexpr const char* kBadCount =
    "steps and intervals cannot be negative, batch and validate-every have to be at least 1";

// In the order of the JSON that checkpoints have.
template <>
inline constexpr auto kSettings<TrainOptions> = Table{
    "train",
    {"the options are not a JSON object", "option '{}' has the wrong type",
     "an option that this version does not know in {}"},
    Setting{"epochs", "--epochs", &TrainOptions::epochs, at_least(1), "Passes over the training photos"},
    Setting{"max_steps", "--steps", &TrainOptions::max_steps, at_least(0),
            "Stop after so many steps (0: by epochs)", refused_as(kBadCount)},
    Setting{"batch_photos", "--batch", &TrainOptions::batch_photos, at_least(1),
            "Photos per batch, each with all its captions", refused_as(kBadCount)},
    Setting{"optimizer", "--optimizer", &TrainOptions::optimizer, anything(), "adam, adamw or sgd"},
    Setting{"lr", "--lr", &TrainOptions::lr, between(0, 1e3), "Learning rate"},
    Setting{"weight_decay", "--weight-decay", &TrainOptions::weight_decay, between(0, 1e3), "Weight decay",
            called("weight decay")},
    Setting{"schedule", "--schedule", &TrainOptions::schedule, anything(),
            "constant, cosine, or plateau: halved when two validations bring no better CIDEr (with --compat "
            "original: six no lower loss)"},
    Setting{"warmup_steps", "--warmup-steps", &TrainOptions::warmup_steps, at_least(0),
            "Steps of linear warm-up (cosine)", refused_as(kBadCount)},
    Setting{"min_lr", "--min-lr", &TrainOptions::min_lr, between(0, 1e3), "The least learning rate",
            called("the least learning rate")},
    Setting{"clip_norm", "--clip-norm", &TrainOptions::clip_norm, between(0, 1e9),
            "Clip the gradients' norm (0: off)", called("clip norm")},
    Setting{"clip_value", "--clip-value", &TrainOptions::clip_value, between(0, 1e9),
            "Clip each gradient element (0: off)", called("clip value")},
    Setting{"teacher_forcing", "--teacher-forcing", &TrainOptions::teacher_forcing, between(0, 1),
            "Share of steps fed by the caption", called("teacher forcing")},
    Setting{"teacher_forcing_fall", "--teacher-forcing-fall", &TrainOptions::teacher_forcing_fall,
            between(0, 1), "Its fall per epoch", called("the fall of teacher forcing")},
    Setting{"teacher_forcing_least", "--teacher-forcing-least", &TrainOptions::teacher_forcing_least,
            between(0, 1), "Its least value", called("the least teacher forcing")},
    Setting{"label_smoothing", "--label-smoothing", &TrainOptions::label_smoothing, share_below_one(),
            "Label smoothing", refused_as("label smoothing {} is not in [0, 1)")},
    Setting{
        "objective", "--objective", &TrainOptions::objective, anything(),
        "cross-entropy of the captions, or self-critical: CIDEr of captions that the model draws (Rennie et "
        "al. 2017; begin from a trained model, --init)"},
    Setting{"samples", "--samples", &TrainOptions::samples, between(2, 1000),
            "Captions drawn per photo (self-critical)",
            refused_as("{} samples per photo; 2 to 1000 are possible")},
    Setting{
        "augment", "--augment", &TrainOptions::augment, anything(),
        "Changed training photos beside the true ones: none, mirror, mild (parts of 60 % and more, mirrored "
        "or not, colours), or in their place: original (rotation, small crop, colours)",
        called("augmentation")},
    Setting{"augment_views", "--augment-views", &TrainOptions::augment_views, between(1, 1000),
            "Changed copies of each photo (mild, original)",
            refused_as("{} augmented views; 1 to 1000 are possible")},
    Setting{"finetune", "--finetune", &TrainOptions::finetune, between(0, 1000),
            "Train the encoder's last stages, too (0: none); its batch norm keeps its statistics",
            refused_as("{} stages of the encoder to train are not possible")},
    Setting{"finetune_lr", "--finetune-lr", &TrainOptions::finetune_lr, between(0, 1e3),
            "Learning rate of the encoder's stages", called("the encoder's learning rate")},
    Setting{
        "precision", "--precision", &TrainOptions::precision, anything(),
        "Of the products in training: f32, f16 (with a loss scale), bf16, or auto: bf16 where a short "
        "measurement finds it faster, else f32. f16 is emulated on processors, and so is bf16 without AVX512-BF16 "
        "or AMX: f32's time and more, for trying out what a GPU would give"},
    Setting{"loss_scale", "--loss-scale", &TrainOptions::loss_scale, positive_up_to(1e38),
            "The first loss scale (f16); it is halved when gradients overflow", called("the loss scale")},
    Setting{"average_decay", "--average-decay", &TrainOptions::average_decay, between(0, 0.999999),
            "Decay of the averaged weights (0: off)", called("average decay")},
    Setting{"max_tokens", "--max-tokens", &TrainOptions::max_tokens, at_least(0),
            "Cut longer captions (0: no limit)", refused_as(kBadCount)},
    Setting{"validate_every", "--validate-every", &TrainOptions::validate_every, at_least(1),
            "Epochs between validations", refused_as(kBadCount)},
    Setting{"patience", "--patience", &TrainOptions::patience, at_least(0),
            "Validations without a better CIDEr (0: no limit)", refused_as(kBadCount)},
    Setting{"checkpoint_every", "--checkpoint-every", &TrainOptions::checkpoint_every, at_least(0),
            "Steps between checkpoints", refused_as(kBadCount)},
    // All verbs have --seed; --compat original sets more than one setting.
    Setting{"seed", no_flag, &TrainOptions::seed, anything()},
    Setting{"compat_original", no_flag, &TrainOptions::compat_original, anything()},
    // Else a run would find out at its first validation.
    Part{&TrainOptions::validation, kBeam<SearchOptions>.with_help("Beam width of the validation"),
         kMaxWords<SearchOptions>.without_flag(), kLengthExponent<SearchOptions>.without_flag(),
         Setting{"search_batch", no_flag, &SearchOptions::batch_photos, at_least(1)}}};

}  // namespace imgcap
