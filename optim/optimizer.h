// What all optimisers share: parameter groups, steps, and their state for checkpoints.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nn/module.h"
#include "optim/state.h"
#include "tensor/kernel_options.h"

namespace optim {

using autograd::ErrorKind;
using autograd::Tensor;
using autograd::Variable;
using autograd::Variables;

// As Module::named_parameters() gives them; the names are those of the state.
using NamedParameters = std::vector<std::pair<std::string, Variable>>;

// Parameters that are trained alike. What is not given is taken from the optimiser's options.
struct GroupOptions {
  NamedParameters parameters;
  std::optional<double> lr = {};
  std::optional<double> weight_decay = {};
};

struct ParameterGroup {
  NamedParameters parameters;
  double lr = 0;
  double weight_decay = 0;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // Changes each parameter by its gradient times `gradient_scale` (a loss scale, a clip coefficient).
  // Parameters without a gradient (frozen, unused in this step) stay as they are, and so does their state.
  // Parameters may be views with any strides; they stay what they are views of.
  void step(double gradient_scale = 1);
  void zero_grad();
  // An autograd error that names the parameters without a gradient, or a module that got gradients inside
  // those that the parameters are of, but has no parent and no optimiser (nn/left_out.h). `step` leaves both
  // as they are without a word; a model of one's own should ask after its first backward, since a layer that
  // was left out of the forward pass or of the children, or a detach() too many, is found no earlier.
  void expect_gradients() const;

  std::vector<ParameterGroup>& groups() { return groups_; }
  const std::vector<ParameterGroup>& groups() const { return groups_; }
  // Of all groups: gradients, norms.
  Variables parameters() const;
  // The first group's, and for all groups.
  double lr() const { return groups_.front().lr; }
  void set_lr(double lr);

  // The groups' learning rates and weight decays, the number of steps of each parameter, and the optimiser's
  // tensors (shared with it: clone them to keep them beyond the next step), by parameter name. Parameters
  // that have not had a step have no entry.
  State state_dict() const;
  // Continues exactly where the state was taken. A data error that lists what does not fit; then nothing has
  // been changed. The tensors are copied.
  void load_state_dict(const State& state);

 protected:
  // What one parameter has accumulated.
  struct Slot {
    int64_t steps = 0;
    std::vector<Tensor> tensors;  // in the order of slot_names()
  };
  // A part of a group: parameters with a gradient and the same number of steps.
  struct Batch {
    std::vector<Tensor> weights, gradients;
    std::vector<std::vector<Tensor>> state;  // [slot name][parameter]
    int64_t step = 1;                        // 1 in the first step
    tensor::FromBlock from;                  // of a queued step
  };

  // Errors: argument (no parameters at all, one that is undefined, listed twice or a result of an op, a name
  // that is used twice, a rate that is negative or not finite).
  Optimizer(std::string name, std::vector<GroupOptions> groups, double lr, double weight_decay,
            std::vector<std::string> slot_names);

  virtual void update(Batch& batch, const ParameterGroup& group, double gradient_scale) = 0;

 private:
  friend class StepBlock;

  // A step whose rates, count and clipping only the device knows, and whether it is made at all; `counted`: how many of
  // the block's good steps count_step() has heard of. Errors: autograd (a parameter has a gradient for the first time
  // while steps are under way, or has none any more: then one count does not tell all slots' steps).
  struct QueuedStep {
    Tensor block;
    std::vector<Tensor> rates;  // one for each group
    int64_t counted = 0;
    bool first = true;  // none is under way
  };
  void queue_step(const QueuedStep& queued);
  void count_step();  // one of them was made
  void step_groups(double gradient_scale, const QueuedStep* queued);

  std::string name_;
  std::vector<ParameterGroup> groups_;
  std::vector<std::string> slot_names_;
  std::map<std::string, Slot> slots_;
};

// Names "0", "1", ... for parameters that have none.
NamedParameters number(const Variables& parameters);

}  // namespace optim
