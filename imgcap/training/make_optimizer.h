// The optimiser, the schedule and the loss scaling that a run's settings ask for.
#pragma once

#include <memory>

#include "imgcap/training/finetune.h"
#include "imgcap/training/train_options.h"
#include "optim/grad_scaler.h"
#include "optim/optimizer.h"
#include "optim/scheduler.h"

namespace imgcap {

// Of the decoder's parameters and, as a second group with its own rate, the encoder's where there is one.
std::unique_ptr<optim::Optimizer> make_optimizer(const TrainOptions& options, const Decoder& decoder,
                                                 const TrainedEncoder* encoder);

// What is trained, of all groups: what an average is made of.
optim::NamedParameters all_parameters(const optim::Optimizer& optimizer);

std::unique_ptr<optim::Scheduler> make_scheduler(const TrainOptions& options, optim::Optimizer& optimizer,
                                                 int64_t total_steps);
// A cosine goes on with each step, a plateau with each validation; these know which.
bool is_stepped(const TrainOptions& options);
void schedule_after_step(const TrainOptions& options, optim::Scheduler& scheduler);
void schedule_after_validation(const TrainOptions& options, optim::Scheduler& scheduler, double loss,
                               double cider);

// Not enabled but for f16: bf16 has the range of f32.
optim::GradScalerOptions scaler_options(const TrainOptions& options);

}  // namespace imgcap
