// What the original ImgCap program does otherwise (docs/original.md): its behaviours are set here, and the
// parts that have one know it by its own name. (Its dice are a kind of augmentation, data/augment.h.)
#include "imgcap/training/behaviours.h"
#include "imgcap/training/train_options.h"

namespace imgcap {
namespace {

constexpr Behaviours kOriginal = {.split_by_caption = true,
                                  .words_of_both_parts = true,
                                  .batch_statistics = true,
                                  .count_start = true,
                                  .coins_in_validation = true,
                                  .plateau_on_loss = true,
                                  .plateau_patience = 5,
                                  .search = SearchKind::hundred_steps,
                                  .protocol = Protocol::torcheval,
                                  .swap_red_and_blue = true};

}  // namespace

Behaviours behaviours_of(const TrainOptions& options) {
  if (!options.compat_original) return {};
  Behaviours all = kOriginal;
  all.change_validation = options.augment == Augmentation::Kind::original;
  return all;
}

Behaviours behaviours_of(Protocol protocol) {
  return protocol == kOriginal.protocol ? kOriginal : Behaviours{};
}

void set_unsaid(TrainOptions& options, DecoderKind kind, const std::function<bool(const char*)>& given) {
  if (!options.compat_original) return;
  const bool plain = kind == DecoderKind::plain;
  if (!given("--clip-norm")) options.clip_norm = 0;  // it clips after the step, which clips nothing
  if (!given("--teacher-forcing") && plain) options.teacher_forcing = 1;
  if (!given("--beam")) options.validation.beam = 1;
  // Its plain model sees photos as they are.
  if (!given("--augment") && !plain && options.finetune == 0) options.augment = Augmentation::Kind::original;
}

}  // namespace imgcap
