// Schedules of the learning rate.
#pragma once

#include <optional>

#include "optim/optimizer.h"

namespace optim {

// Changes the learning rates of an optimiser's groups, each from the rate it had when the schedule was made.
// step() is called after each epoch (or optimiser step, where the schedule counts those).
class Scheduler {
 public:
  virtual ~Scheduler() = default;
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // `metric` is what ReduceLROnPlateau watches; the others ignore it.
  void step(std::optional<double> metric = {});
  int64_t steps() const { return steps_; }

  // The rates of each group now and after each of the next `steps` steps, if none has a metric: [group][step]. A
  // schedule that watches one stays as it is.
  std::vector<std::vector<double>> rates_ahead(int64_t steps);

  // To continue: make optimiser and schedule as before, load the optimiser's state, then this.
  State state_dict() const;
  // A data error that says what does not fit; then nothing has been changed. Sets the groups' rates where
  // they follow from the state.
  void load_state_dict(const State& state);

 protected:
  Scheduler(std::string name, Optimizer& optimizer);

  std::vector<ParameterGroup>& groups() { return optimizer_.groups(); }
  double base_lr(size_t group) const { return base_[group]; }

  virtual bool needs_metric() const { return false; }
  virtual void update(std::optional<double> metric) = 0;  // steps() is 1 in the first call
  // Sets the rates from steps() and base_lr(), where that is possible.
  virtual void restore() {}
  // What a schedule remembers besides, into `scalars`, and back from them: they have the names that save()
  // gives, and are finite.
  virtual void save(std::map<std::string, double>& /*scalars*/) const {}
  virtual void load(const std::map<std::string, double>& /*scalars*/) {}

 private:
  std::string name_;
  Optimizer& optimizer_;
  std::vector<double> base_;
  int64_t steps_ = 0;
};

// Leaves the rate as it is.
class ConstantLR : public Scheduler {
 public:
  explicit ConstantLR(Optimizer& optimizer) : Scheduler("ConstantLR", optimizer) {}

 protected:
  void update(std::optional<double>) override {}
};

// Multiplies the rate by gamma every `step_size` steps: torch.optim.lr_scheduler.StepLR.
class StepLR : public Scheduler {
 public:
  StepLR(Optimizer& optimizer, int64_t step_size, double gamma = 0.1);

 protected:
  void update(std::optional<double> metric) override;

 private:
  int64_t step_size_;
  double gamma_;
};

struct WarmupCosineOptions {
  int64_t warmup_steps = 0;    // from start_factor times the rate linearly up to the rate
  int64_t total_steps = 0;     // the cosine reaches min_lr here and stays there
  double start_factor = 1e-3;  // in (0, 1]
  double min_lr = 0;
};

// A linear rise, then half a cosine down (Loshchilov and Hutter 2017): PyTorch's LinearLR followed by
// CosineAnnealingLR. Sets the first rate when it is made.
class WarmupCosineLR : public Scheduler {
 public:
  WarmupCosineLR(Optimizer& optimizer, const WarmupCosineOptions& options);

 protected:
  void update(std::optional<double>) override { restore(); }
  void restore() override;

 private:
  WarmupCosineOptions options_;
};

struct PlateauOptions {
  enum class Mode { min, max };                 // whether a smaller or a greater metric is better
  enum class Threshold { relative, absolute };  // to the best metric's absolute value, or as it is
  Mode mode = Mode::min;
  double factor = 0.1;
  int64_t patience = 10;  // steps without an improvement that are still accepted
  double threshold = 1e-4;
  Threshold threshold_mode = Threshold::relative;
  int64_t cooldown = 0;  // steps after a reduction in which nothing is counted
  double min_lr = 0;
  double eps = 1e-8;  // a smaller change of the rate is not made
};

// Multiplies the rate by `factor` when the metric has stopped to improve:
// torch.optim.lr_scheduler.ReduceLROnPlateau, but a relative threshold is a part of |best|: PyTorch takes the
// same negative metric for an improvement each time. A NaN metric is no improvement; a step without a metric
// is an argument error.
class ReduceLROnPlateau : public Scheduler {
 public:
  explicit ReduceLROnPlateau(Optimizer& optimizer, const PlateauOptions& options = {});

  std::optional<double> best() const { return best_; }

 protected:
  bool needs_metric() const override { return true; }
  void update(std::optional<double> metric) override;
  void save(std::map<std::string, double>& scalars) const override;
  void load(const std::map<std::string, double>& scalars) override;

 private:
  bool is_better(double metric) const;

  PlateauOptions options_;
  std::optional<double> best_;
  int64_t bad_steps_ = 0, cooldown_ = 0;
};

}  // namespace optim
