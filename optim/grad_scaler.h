// Loss scaling for float16, whose least number is 2^-24: gradients below it would be zero. The loss is
// multiplied by a scale, so that they are not, and the gradients are divided by it before the step; a scale
// that makes them overflow is halved, and that step is skipped. As torch.amp.GradScaler (Micikevicius et al.
// 2018). bfloat16 has float32's range and needs none: a scaler that is not enabled lets the same loop run
// without one.
//
//   optim::GradScaler scaler;
//   for (...) {
//     optimizer.zero_grad();
//     Variable loss;
//     {
//       const autograd::AutocastGuard autocast(DType::f16);
//       loss = model.loss(batch);
//     }
//     scaler.scale(loss).backward();
//     scaler.unscale_(optimizer);  // only needed to look at the gradients or to clip them
//     optim::clip_grad_norm_(optimizer.parameters(), 1);
//     scaler.step(optimizer);
//     scaler.update();
//   }
//
// Gradients that still have the scale cannot be taken for true ones: grad_norm, the clip functions and
// Optimizer::step throw for a parameter that a scaled loss depends on until it is unscaled.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "optim/optimizer.h"

namespace optim {

struct GradScalerOptions {
  double init_scale = 65536;
  double growth_factor = 2;     // after `growth_interval` steps in a row without inf or NaN
  double backoff_factor = 0.5;  // after a step with one
  int64_t growth_interval = 2000;
  // A run whose gradients overflow even at this scale is broken: update() says so instead of skipping for
  // ever.
  double min_scale = 1;
  // If not, scale() gives the loss back, unscale_() and update() do nothing, step() is the optimiser's, and
  // no other option counts. As PyTorch's `enabled`.
  bool enabled = true;
};

class GradScaler {
 public:
  // Errors: argument (a factor or interval that makes no sense).
  explicit GradScaler(const GradScalerOptions& options = {});
  ~GradScaler();
  GradScaler(const GradScaler&) = delete;
  GradScaler& operator=(const GradScaler&) = delete;

  // loss times the scale, recorded. From now on the gradients of what the loss depends on count as scaled.
  // Errors: autograd (one of them has been unscaled since the last update(): they would be added up).
  Variable scale(const Variable& loss);

  // Divides the optimiser's gradients by the scale, once, in place, and notes whether one is inf or NaN.
  // Errors: autograd (twice, or after step(), without an update() between), dtype (16-bit gradients:
  // parameters are f32 in mixed precision).
  void unscale_(Optimizer& optimizer);

  // optimizer.step(gradient_scale), unless a gradient is inf or NaN; unscales first where that is still to
  // do. Whether the step was made. Errors: autograd (twice without an update() between, no gradients at all).
  bool step(Optimizer& optimizer, double gradient_scale = 1);

  // After the steps of all optimisers: halves the scale when any was skipped, doubles it after
  // growth_interval good ones. Errors: autograd (nothing was unscaled since the last update()), data (the
  // scale would fall under min_scale; names the first bad parameter).
  void update();

  bool is_enabled() const { return options_.enabled; }
  double scale() const { return static_cast<double>(scale_); }  // 1 when not enabled
  int64_t growth_tracker() const { return growth_tracker_; }    // good updates in a row
  int64_t skipped() const { return skipped_; }                  // updates that found an inf or NaN, in all
  // Of the last unscale_ of this optimiser since the last update().
  bool found_inf(const Optimizer& optimizer) const;
  // "encoder.weight: element 3 is inf", of the newest skipped step; empty: there was none.
  const std::string& first_bad() const { return first_bad_; }

  // Scale, tracker and number of skipped updates. Not the options. When not enabled, the state is empty and
  // none is looked at, as in PyTorch: a run may change its precision. Errors: data (the state is not one).
  State state_dict() const;
  void load_state_dict(const State& state);

 private:
  friend void expect_unscaled(const char* op, const Variables& parameters);
  friend class StepBlock;  // does the same with a scale that only the device knows
  enum class Stage { ready, unscaled, stepped };
  struct PerOptimizer {
    Stage stage = Stage::ready;
    bool found_inf = false;
  };
  using Leaves = std::set<std::shared_ptr<autograd::Node>>;  // gradient accumulators, one per parameter
  // What an optimiser's parameters have as gradients, of their own memory and contiguous.
  struct Gradients {
    std::vector<Tensor> tensors;
    std::vector<std::string> names;
    // "weight: element 3 of (5) f32 is inf", of what kernels::first_not_finite found; empty: nothing.
    std::string name_bad(double tensor, double element, double value) const;
  };

  // The parts of scale(), unscale_() and update().
  void note_scaled(const Variable& loss);
  Gradients gradients_to_unscale(const Optimizer& optimizer);
  void note_unscaled(const Optimizer& optimizer);
  bool forget_step();  // whether a gradient was inf or NaN
  void adjust(bool found_inf);

  GradScalerOptions options_;
  float scale_;  // as PyTorch's, so that the same steps give the same bits
  int64_t growth_tracker_ = 0, skipped_ = 0, skipped_in_a_row_ = 0;
  std::map<const Optimizer*, PerOptimizer> optimizers_;
  Leaves scaled_, unscaled_;
  std::string first_bad_;
};

// Errors: autograd (names `op`: a gradient of `parameters` still has a scaler's scale).
void expect_unscaled(const char* op, const Variables& parameters);

}  // namespace optim
