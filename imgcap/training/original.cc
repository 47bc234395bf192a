// What the original ImgCap program does otherwise (docs/original.md): every behaviour of it is set here, and
// the parts that have one know it by its own name alone.
#include "imgcap/training/original.h"

namespace imgcap {

Behaviours behaviours_of(const TrainOptions& options) {
  if (!options.compat_original) return {};
  return {.count_start = true,
          .coins_in_validation = true,
          .plateau_on_loss = true,
          .plateau_patience = 5,
          .search = SearchKind::hundred_steps,
          .protocol = Protocol::original};
}

SearchKind search_of(Protocol protocol) {
  return protocol == Protocol::original ? SearchKind::hundred_steps : SearchKind::standard;
}

void set_original_defaults(TrainOptions& train, DecoderKind kind,
                           const std::function<bool(const char*)>& given) {
  train.compat_original = true;
  const bool plain = kind == DecoderKind::plain;
  if (!given("--clip-norm")) train.clip_norm = 0;  // it clips after the step, which clips nothing
  if (!given("--teacher-forcing") && plain) train.teacher_forcing = 1;
  if (!given("--beam")) train.validation.beam = 1;
  // Its plain model sees photos as they are.
  if (!given("--augment") && !plain && train.finetune == 0) train.augment = Augmentation::Kind::original;
}

}  // namespace imgcap
