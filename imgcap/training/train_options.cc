#include "imgcap/training/train_options.h"

#include "imgcap/settings/json.h"
#include "imgcap/training/behaviours.h"
#include "imgcap/training/train_settings.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;
using tensor::io::Json;

tensor::DType dtype_of(Precision precision) {
  constexpr tensor::DType kTypes[] = {tensor::DType::f32, tensor::DType::f16, tensor::DType::bf16};
  return kTypes[static_cast<size_t>(precision)];
}

void validate(const TrainOptions& o) {
  check_bounds(o);
  check(o.precision != Precision::automatic, ErrorKind::argument,
        "train: the precision auto has to be chosen before the run: f32, f16 or bf16");
  check(o.objective == Objective::cross_entropy ||
            (o.teacher_forcing == 1 && o.label_smoothing == 0 && !behaviours_of(o).count_start),
        ErrorKind::argument,
        "train: self-critical training feeds the model its own words and counts no <sos> slot: give "
        "--teacher-forcing 1, and neither --label-smoothing nor {}",
        kCompatFlag);
  check(o.finetune == 0 || o.augment != Augmentation::Kind::original, ErrorKind::argument,
        "train: --augment original does not go with --finetune; mirror and mild do");
  check(o.min_lr <= o.lr, ErrorKind::argument,
        "train: the least learning rate is {}; it has to be in [0, {}]", o.min_lr, o.lr);
  // A cosine would end in a higher rate than it began with.
  check(o.finetune == 0 || o.schedule != Schedule::cosine || o.min_lr <= o.finetune_lr, ErrorKind::argument,
        "train: the least learning rate {} is over the encoder's, {} (--finetune-lr)", o.min_lr,
        o.finetune_lr);
}

std::string to_json(const TrainOptions& options) { return settings_to_json(options).dump(); }

TrainOptions train_options_from_json(const std::string& text) {
  auto options = settings_from_json<TrainOptions>(Json::try_parse(text).value_or(Json()));
  options.validation.kind = behaviours_of(options).search;
  validate(options);
  return options;
}

}  // namespace imgcap
