#include "imgcap/training/make_optimizer.h"

#include <algorithm>

#include "imgcap/training/behaviours.h"
#include "optim/adam.h"
#include "optim/sgd.h"

namespace imgcap {

std::unique_ptr<optim::Optimizer> make_optimizer(const TrainOptions& o, const Decoder& decoder,
                                                 const TrainedEncoder* encoder) {
  std::vector<optim::GroupOptions> groups = {{decoder.named_parameters()}};
  if (encoder != nullptr) groups.push_back({encoder->parameters(), o.finetune_lr});
  if (o.optimizer == OptimizerKind::adam)
    return std::make_unique<optim::Adam>(std::move(groups),
                                         optim::AdamOptions{.lr = o.lr, .weight_decay = o.weight_decay});
  if (o.optimizer == OptimizerKind::adamw)
    return std::make_unique<optim::AdamW>(std::move(groups),
                                          optim::AdamWOptions{.lr = o.lr, .weight_decay = o.weight_decay});
  return std::make_unique<optim::SGD>(std::move(groups),
                                      optim::SgdOptions{.lr = o.lr, .weight_decay = o.weight_decay});
}

optim::NamedParameters all_parameters(const optim::Optimizer& optimizer) {
  optim::NamedParameters all;
  for (const optim::ParameterGroup& group : optimizer.groups())
    all.insert(all.end(), group.parameters.begin(), group.parameters.end());
  return all;
}

std::unique_ptr<optim::Scheduler> make_scheduler(const TrainOptions& o, optim::Optimizer& optimizer,
                                                 int64_t total_steps) {
  if (o.schedule == Schedule::cosine)
    return std::make_unique<optim::WarmupCosineLR>(
        optimizer, optim::WarmupCosineOptions{.warmup_steps = o.warmup_steps,
                                              .total_steps = std::max(total_steps, o.warmup_steps + 1),
                                              .min_lr = o.min_lr});
  if (o.schedule == Schedule::plateau) {
    optim::PlateauOptions plateau;
    const Behaviours behaviours = behaviours_of(o);
    plateau.mode =
        behaviours.plateau_on_loss ? optim::PlateauOptions::Mode::min : optim::PlateauOptions::Mode::max;
    plateau.factor = 0.5;
    plateau.patience = behaviours.plateau_patience;
    plateau.min_lr = o.min_lr;
    return std::make_unique<optim::ReduceLROnPlateau>(optimizer, plateau);
  }
  return std::make_unique<optim::ConstantLR>(optimizer);
}

bool is_stepped(const TrainOptions& o) { return o.schedule == Schedule::cosine; }

void schedule_after_step(const TrainOptions& o, optim::Scheduler& scheduler) {
  if (is_stepped(o)) scheduler.step();
}

void schedule_after_validation(const TrainOptions& o, optim::Scheduler& scheduler, double loss,
                               double cider) {
  if (o.schedule == Schedule::plateau) scheduler.step(behaviours_of(o).plateau_on_loss ? loss : cider);
}

optim::GradScalerOptions scaler_options(const TrainOptions& o) {
  return {.init_scale = o.loss_scale,
          .min_scale = std::min(1.0, o.loss_scale),
          .enabled = o.precision == Precision::f16};
}

}  // namespace imgcap
