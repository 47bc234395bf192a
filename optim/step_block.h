// Training steps that the host need not wait for: what a step finds out (its loss, the norm of its gradients, whether
// they overflowed) stays in a block of numbers on the device, which skips, clips, steps and averages by it, and works out
// the loss scale of the next step. The host hears of it later, and then counts what was done. On the CPU, too, but there
// is nothing to gain: step() of the optimiser and of the scaler read better.
//
//   optim::StepBlock block(optimizer, scaler, {.scheduler = &scheduler, .clip_norm = 5});
//   for (...) {
//     optimizer.zero_grad();
//     block.begin();
//     const Variable loss = model.loss(batch);
//     block.scale(loss).backward();
//     block.queue(loss, batch.tokens);
//     if (block.queued() > 1) report(block.settle());  // of the step before: the device has work meanwhile
//   }
//   while (block.queued() > 0) report(block.settle());
#pragma once

#include <deque>
#include <vector>

#include "optim/average.h"
#include "optim/grad_scaler.h"
#include "optim/optimizer.h"
#include "optim/scheduler.h"
#include "tensor/fetched.h"
#include "tensor/random.h"

namespace optim {

struct StepBlockOptions {
  Scheduler* scheduler = nullptr;       // goes on with each step that is made; it watches no metric
  ParameterAverage* average = nullptr;  // takes in each step that is made
  // What steps draw their dropout from, if anything: where it stands is kept on the device, too.
  tensor::Generator* generator = nullptr;
  double clip_value = 0, clip_norm = 0;  // 0: none
  int64_t steps_ahead =
      1000;  // how many steps the schedule's rates are uploaded for; then all that is queued is settled
};

// What a step found out.
struct StepOutcome {
  double loss = 0;
  int64_t tokens = 0;        // as queue() was told
  double gradient_norm = 0;  // without the loss scale, before clip_norm
  double lr = 0;             // of the first group
  bool was_skipped = false;  // a gradient was inf or NaN with its loss scale
};

class StepBlock {
 public:
  // All have to outlive it. While steps are queued nobody else makes, loads or saves steps of these. Errors: argument (the
  // optimiser's parameters are on several devices).
  StepBlock(Optimizer& optimizer, GradScaler& scaler, const StepBlockOptions& options = {});
  StepBlock(const StepBlock&) = delete;
  StepBlock& operator=(const StepBlock&) = delete;
  ~StepBlock();

  // A step begins, before it draws its first random number. Without it, one begins at scale() or queue().
  void begin();

  // As GradScaler::scale, by the scale that the device knows.
  Variable scale(const Variable& loss);

  // Queues the rest of a step of the gradients that are there: unscaling, clipping, the optimiser, the average. A step
  // whose loss is not finite changes nothing. `tokens`: how many the loss is the mean of, for whoever sums over steps.
  // Errors: as unscale_() and step(); argument (over steps_ahead).
  void queue(const Variable& loss, int64_t tokens = 0);
  int64_t queued() const { return static_cast<int64_t>(outcomes_.size()); }

  // Waits for the oldest queued step, but for nothing that was queued after it, and counts it in the optimiser, the
  // schedule, the average and the scaler. Errors: as GradScaler::update; what kernels found on the device.
  StepOutcome settle();

 private:
  void unscale();
  Tensor number(int64_t place) const { return block_.slice(0, place, place + 1); }

  Optimizer& optimizer_;
  GradScaler& scaler_;
  StepBlockOptions options_;
  tensor::Device device_;
  Tensor block_, bad_;         // (StepPlace::count) f64; (3) f64
  Tensor origin_;              // (2) i64, of the generator
  std::vector<Tensor> rates_;  // of each group, by good steps since the block's beginning
  bool begun_ = false;         // false: the block is made anew, from what the host knows
  int64_t counted_ = 0, queued_since_ = 0;
  GradScaler::Gradients gradients_;  // of the newest step, for the names of what is not finite
  std::deque<tensor::Fetched> outcomes_;
};

}  // namespace optim
