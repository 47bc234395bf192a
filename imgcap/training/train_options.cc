#include "imgcap/training/train_options.h"

#include <cmath>

#include "tensor/error.h"
#include "tensor/io/json.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;
using tensor::io::Json;

void validate(const TrainOptions& o) {
  const auto in = [](double value, double low, double high, const char* name) {
    check(value >= low && value <= high, ErrorKind::argument, "train: {} is {}; it has to be in [{}, {}]",
          name, value, low, high);
  };
  check(o.epochs >= 1, ErrorKind::argument, "train: epochs is {}; it has to be at least 1", o.epochs);
  check(o.max_steps >= 0 && o.batch_photos >= 1 && o.validate_every >= 1 && o.patience >= 0 &&
            o.warmup_steps >= 0 && o.max_tokens >= 0 && o.checkpoint_every >= 0,
        ErrorKind::argument,
        "train: steps and intervals cannot be negative, batch and validate-every have to be at least 1");
  check(o.validation.beam >= 1 && o.validation.beam <= 1000, ErrorKind::argument,
        "train: beam is {}; it has to be 1 to 1000", o.validation.beam);
  // Else a run would find out at its first validation.
  check(o.validation.max_words >= 1 && o.validation.max_words <= 100'000, ErrorKind::argument,
        "train: max_words is {}; it has to be 1 to 100000", o.validation.max_words);
  check(o.validation.batch_photos >= 1, ErrorKind::argument,
        "train: search_batch is {}; it has to be at least 1", o.validation.batch_photos);
  check(std::isfinite(o.validation.length_exponent) && o.validation.length_exponent >= 0, ErrorKind::argument,
        "train: length_exponent is {}; it has to be a number that is not negative",
        o.validation.length_exponent);
  check(o.optimizer == "adam" || o.optimizer == "adamw" || o.optimizer == "sgd", ErrorKind::argument,
        "train: optimizer '{}' is none of adam, adamw, sgd", o.optimizer);
  check(o.schedule == "constant" || o.schedule == "cosine" || o.schedule == "plateau", ErrorKind::argument,
        "train: schedule '{}' is none of constant, cosine, plateau", o.schedule);
  check(o.augment == "none" || o.augment == "mirror" || o.augment == "mild" || o.augment == "original",
        ErrorKind::argument, "train: augmentation '{}' is none of none, mirror, mild, original", o.augment);
  check(o.augment_views >= 1 && o.augment_views <= 1000, ErrorKind::argument,
        "train: {} augmented views; 1 to 1000 are possible", o.augment_views);
  check(o.objective == "cross-entropy" || o.objective == "self-critical", ErrorKind::argument,
        "train: objective '{}' is none of cross-entropy, self-critical", o.objective);
  check(o.samples >= 2 && o.samples <= 1000, ErrorKind::argument,
        "train: {} samples a photo; 2 to 1000 are possible", o.samples);
  check(o.objective == "cross-entropy" ||
            (o.teacher_forcing == 1 && o.label_smoothing == 0 && !o.compat_original),
        ErrorKind::argument,
        "train: self-critical training feeds the model its own words and counts no <sos> slot: give "
        "--teacher-forcing 1, and "
        "neither --label-smoothing nor --compat original");
  check(o.finetune >= 0 && o.finetune <= 1000, ErrorKind::argument,
        "train: {} stages of the encoder to train are not possible", o.finetune);
  check(o.finetune == 0 || o.augment == "none", ErrorKind::argument,
        "train: --augment changes photos before a frozen encoder sees them; it does not go with --finetune");
  in(o.lr, 0, 1e3, "lr");
  in(o.finetune_lr, 0, 1e3, "the encoder's learning rate");
  in(o.weight_decay, 0, 1e3, "weight decay");
  in(o.min_lr, 0, o.lr, "the least learning rate");
  // A cosine would end in a higher rate than it began with.
  check(o.finetune == 0 || o.schedule != "cosine" || o.min_lr <= o.finetune_lr, ErrorKind::argument,
        "train: the least learning rate {} is over the encoder's, {} (--finetune-lr)", o.min_lr,
        o.finetune_lr);
  in(o.clip_norm, 0, 1e9, "clip norm");
  in(o.clip_value, 0, 1e9, "clip value");
  in(o.teacher_forcing, 0, 1, "teacher forcing");
  in(o.teacher_forcing_fall, 0, 1, "the fall of teacher forcing");
  in(o.teacher_forcing_least, 0, 1, "the least teacher forcing");
  in(o.average_decay, 0, 0.999999, "average decay");
  check(o.precision == "f32" || o.precision == "f16" || o.precision == "bf16", ErrorKind::argument,
        "train: precision '{}' is none of f32, f16, bf16", o.precision);
  check(o.loss_scale > 0 && o.loss_scale <= 1e38, ErrorKind::argument,
        "train: the loss scale is {}; it has to be over 0 and at most 1e38", o.loss_scale);
  check(o.label_smoothing >= 0 && o.label_smoothing < 1, ErrorKind::argument,
        "train: label smoothing {} is not in [0, 1)", o.label_smoothing);
}

namespace {

template <class Options, class F>
void for_each_setting(Options& o, F&& f) {
  f("epochs", o.epochs);
  f("max_steps", o.max_steps);
  f("batch_photos", o.batch_photos);
  f("optimizer", o.optimizer);
  f("lr", o.lr);
  f("weight_decay", o.weight_decay);
  f("schedule", o.schedule);
  f("warmup_steps", o.warmup_steps);
  f("min_lr", o.min_lr);
  f("clip_norm", o.clip_norm);
  f("clip_value", o.clip_value);
  f("teacher_forcing", o.teacher_forcing);
  f("teacher_forcing_fall", o.teacher_forcing_fall);
  f("teacher_forcing_least", o.teacher_forcing_least);
  f("label_smoothing", o.label_smoothing);
  f("objective", o.objective);
  f("samples", o.samples);
  f("augment", o.augment);
  f("augment_views", o.augment_views);
  f("finetune", o.finetune);
  f("finetune_lr", o.finetune_lr);
  f("precision", o.precision);
  f("loss_scale", o.loss_scale);
  f("average_decay", o.average_decay);
  f("max_tokens", o.max_tokens);
  f("validate_every", o.validate_every);
  f("patience", o.patience);
  f("checkpoint_every", o.checkpoint_every);
  f("seed", o.seed);
  f("compat_original", o.compat_original);
  f("beam", o.validation.beam);
  f("max_words", o.validation.max_words);
  f("length_exponent", o.validation.length_exponent);
  f("search_batch", o.validation.batch_photos);
}

}  // namespace

std::string to_json(const TrainOptions& options) {
  Json json;
  for_each_setting(options, [&](const char* name, const auto& value) { json[name] = value; });
  return json.dump();
}

TrainOptions train_options_from_json(const std::string& text) {
  const Json json = Json::try_parse(text).value_or(Json());
  check(json.is_object(), ErrorKind::data, "train: the options are not a JSON object");
  TrainOptions options;
  size_t known = 0;
  for_each_setting(options, [&]<class T>(const char* name, T& value) {
    const Json* given = json.find(name);
    if (given == nullptr) return;
    ++known;
    check(given->is<T>(), ErrorKind::data, "train: option '{}' has the wrong type", name);
    value = given->as<T>();
  });
  check(known == json.size(), ErrorKind::data, "train: an option that this version does not know in {}",
        json.dump());
  options.validation.compat_original = options.compat_original;
  validate(options);
  return options;
}

}  // namespace imgcap
