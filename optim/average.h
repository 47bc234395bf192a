// Averages of the parameters over the steps of a training run, which often generalise better than the last
// ones: exponential (Polyak and Juditsky 1992; decayed) or equal (Izmailov et al. 2018, "SWA").
#pragma once

#include "optim/optimizer.h"

namespace optim {

struct AverageOptions {
  // The weight of the old average in each update; unset: all updates count alike.
  std::optional<double> decay = 0.999;
  // The decay of update t (from 0) is at most (1 + t) / (10 + t), so that a short run is not all its
  // beginning.
  bool warm_up = false;
};

// Keeps one average for each parameter (which needs that much memory). The first update copies the
// parameters, as torch.optim.swa_utils.AveragedModel does.
class ParameterAverage {
 public:
  explicit ParameterAverage(NamedParameters parameters, const AverageOptions& options = {});
  ParameterAverage(const ParameterAverage&) = delete;
  ParameterAverage& operator=(const ParameterAverage&) = delete;

  // average = decay average + (1 - decay) parameter; after each optimiser step. An argument error while
  // swapped.
  void update();
  int64_t updates() const { return updates_; }

  // Exchanges the parameters and their averages, without copying; a second call exchanges them back. The
  // backward pass of a graph that holds the parameters throws in between. Before the first update: an
  // argument error.
  void swap();
  bool swapped() const { return swapped_; }

  // Whether swapped or not: the averages (shared, "average.NAME") and the number of updates.
  State state_dict() const;
  // A data error that says what does not fit; then nothing has been changed. The tensors are copied.
  void load_state_dict(const State& state);

 private:
  friend class StepBlock;
  // An update that a block counts, `counted` of whose good steps count_update() has heard of.
  void queue_update(const Tensor& block, int64_t counted);
  void count_update() { ++updates_; }
  void update(int64_t t, const Tensor& block);

  // The average of parameter i: in the parameter itself while swapped.
  const Tensor& average(size_t i) const { return swapped_ ? parameters_[i].second.data() : averages_[i]; }

  NamedParameters parameters_;
  AverageOptions options_;
  std::vector<Tensor> averages_;
  int64_t updates_ = 0;
  bool swapped_ = false;
};

// The averaged parameters in use for this object's lifetime: for an evaluation.
class UseAverage {
 public:
  explicit UseAverage(ParameterAverage& average) : average_(average) { average_.swap(); }
  ~UseAverage() { average_.swap(); }
  UseAverage(const UseAverage&) = delete;
  UseAverage& operator=(const UseAverage&) = delete;

 private:
  ParameterAverage& average_;
};

}  // namespace optim
