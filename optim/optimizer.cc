#include "optim/optimizer.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "nn/left_out.h"
#include "optim/grad_scaler.h"
#include "tensor/error.h"

namespace optim {

using tensor::check;
using tensor::fail;

namespace {

std::string group_key(size_t group, const char* what) { return tensor::format("group.{}.{}", group, what); }

void expect_rate(const std::string& optimizer, const char* what, double value) {
  check(std::isfinite(value) && value >= 0, ErrorKind::argument,
        "{}: the {} has to be a number that is not negative, not {}", optimizer, what, value);
}

}  // namespace

Optimizer::Optimizer(std::string name, std::vector<GroupOptions> groups, double lr, double weight_decay,
                     std::vector<std::string> slot_names)
    : name_(std::move(name)), slot_names_(std::move(slot_names)) {
  std::set<const Tensor*> seen;
  std::set<std::string> names;
  for (GroupOptions& options : groups) {
    ParameterGroup& group = groups_.emplace_back(ParameterGroup{
        std::move(options.parameters), options.lr.value_or(lr), options.weight_decay.value_or(weight_decay)});
    expect_rate(name_, "learning rate", group.lr);
    expect_rate(name_, "weight decay", group.weight_decay);
    for (auto& [parameter_name, variable] : group.parameters) {
      check(variable.defined() && variable.is_leaf(), ErrorKind::argument,
            "{}: '{}' is undefined or a result of an op, not a parameter", name_, parameter_name);
      check(seen.insert(&variable.data()).second, ErrorKind::argument, "{}: '{}' is listed twice", name_,
            parameter_name);
      check(names.insert(parameter_name).second, ErrorKind::argument, "{}: two parameters have the name '{}'",
            name_, parameter_name);
      variable.set_optimised();
    }
  }
  check(!seen.empty(), ErrorKind::argument, "{}: there are no parameters", name_);
}

void Optimizer::step(double gradient_scale) {
  expect_unscaled("step", parameters());
  step_groups(gradient_scale, nullptr);
}

void Optimizer::queue_step(const QueuedStep& queued) {
  expect_unscaled("step", parameters());
  for (const ParameterGroup& group : groups_)
    for (const auto& [name, variable] : group.parameters)
      check(slots_.contains(name) ? variable.grad().defined() : queued.first || !variable.grad().defined(),
            ErrorKind::autograd,
            "{}: '{}' has {} gradient, unlike in the steps before: with a block all steps are of the same "
            "parameters",
            name_, name, variable.grad().defined() ? "a" : "no");
  step_groups(1, &queued);
}

void Optimizer::count_step() {
  for (auto& [name, slot] : slots_) ++slot.steps;
}

void Optimizer::step_groups(double gradient_scale, const QueuedStep* queued) {
  for (size_t g = 0; g < groups_.size(); ++g) {
    ParameterGroup& group = groups_[g];
    // Nearly always one batch; more when some parameters had no gradient in some steps.
    std::map<int64_t, Batch> batches;
    std::vector<std::pair<Tensor*, Tensor>> strided;  // a parameter that is not contiguous, and its copy
    for (auto& [name, variable] : group.parameters) {
      if (!variable.grad().defined()) continue;
      Tensor& weight = variable.mutable_data();
      Slot& slot = slots_[name];
      if (slot.tensors.empty())
        for (size_t k = 0; k < slot_names_.size(); ++k)
          slot.tensors.push_back(Tensor::zeros(weight.shape(), weight.dtype(), weight.device()));
      const int64_t step = queued != nullptr ? slot.steps + 1 - queued->counted : ++slot.steps;
      Batch& batch = batches[step];
      batch.step = step;
      if (queued != nullptr) batch.from = {queued->block, queued->rates[g]};
      batch.weights.push_back(weight.contiguous());  // the kernels want it; others are copied back
      if (!weight.is_contiguous()) strided.emplace_back(&weight, batch.weights.back());
      batch.gradients.push_back(variable.grad().data().contiguous());
      batch.state.resize(slot_names_.size());
      for (size_t k = 0; k < slot_names_.size(); ++k) batch.state[k].push_back(slot.tensors[k]);
    }
    for (auto& [step, batch] : batches) update(batch, group, gradient_scale);
    for (auto& [weight, updated] : strided) weight->copy_(updated);
  }
}

void Optimizer::zero_grad() {
  for (ParameterGroup& group : groups_)
    for (auto& [name, variable] : group.parameters) variable.zero_grad();
}

void Optimizer::expect_gradients() const {
  std::string names;
  int64_t missing = 0;
  constexpr int64_t kListed = 5;
  for (const ParameterGroup& group : groups_)
    for (const auto& [name, variable] : group.parameters) {
      if (variable.grad().defined() || ++missing > kListed) continue;
      names +=
          tensor::format("{}'{}' {}", names.empty() ? "" : ", ", name, tensor::describe(variable.data()));
    }
  if (missing > kListed) names += tensor::format(" and {} more", missing - kListed);
  check(missing == 0, ErrorKind::autograd,
        "{}: {} of its parameters got no gradient from backward: {}. Either the loss does not depend on them "
        "(a layer is not called, or its result is detached), or they should be left out of the optimiser",
        name_, missing, names);
  std::set<const void*> mine;
  for (const Variable& parameter : parameters()) mine.insert(&parameter.data());
  for (const nn::LeftOut& left_out : nn::left_out_modules()) {
    // Another model may be in training on another thread.
    if (std::ranges::none_of(left_out.others, [&](const Variable& v) { return mine.contains(&v.data()); }))
      continue;
    const bool untrained = std::ranges::any_of(left_out.parameters, [](const Variable& v) {
      return v.requires_grad() && v.grad().defined() && !v.optimised();
    });
    check(!untrained, ErrorKind::autograd, "{}: {}", name_, nn::describe(left_out));
  }
}

Variables Optimizer::parameters() const {
  Variables all;
  for (const ParameterGroup& group : groups_)
    for (const auto& [name, variable] : group.parameters) all.push_back(variable);
  return all;
}

void Optimizer::set_lr(double lr) {
  expect_rate(name_, "learning rate", lr);
  for (ParameterGroup& group : groups_) group.lr = lr;
}

State Optimizer::state_dict() const {
  State state;
  for (size_t i = 0; i < groups_.size(); ++i) {
    state.scalars[group_key(i, "lr")] = groups_[i].lr;
    state.scalars[group_key(i, "weight_decay")] = groups_[i].weight_decay;
  }
  for (const auto& [name, slot] : slots_) {
    if (slot.steps == 0) continue;  // none of its steps was made
    state.scalars["step." + name] = static_cast<double>(slot.steps);
    for (size_t k = 0; k < slot_names_.size(); ++k)
      state.tensors[slot_names_[k] + "." + name] = slot.tensors[k];
  }
  return state;
}

void Optimizer::load_state_dict(const State& state) {
  const auto wrong = [&](const std::string& what) {
    fail(ErrorKind::data, "{}: the state is not one of this optimiser and model: {}", name_, what);
  };
  std::set<std::string> scalars, tensors;  // names that were used
  const auto scalar = [&](const std::string& key) {
    const auto found = state.scalars.find(key);
    if (found == state.scalars.end()) wrong(key + " is missing");
    if (!std::isfinite(found->second) || found->second < 0)
      wrong(tensor::format("{} is {}", key, found->second));
    scalars.insert(key);
    return found->second;
  };

  std::vector<ParameterGroup> groups = groups_;
  std::map<std::string, Slot> slots;
  for (size_t i = 0; i < groups.size(); ++i) {
    groups[i].lr = scalar(group_key(i, "lr"));
    groups[i].weight_decay = scalar(group_key(i, "weight_decay"));
    for (const auto& [name, variable] : groups[i].parameters) {
      if (!state.scalars.contains("step." + name)) continue;
      const double steps = scalar("step." + name);
      if (!is_count(steps) || steps < 1) wrong(tensor::format("step.{} is {}", name, steps));
      Slot slot{static_cast<int64_t>(steps), {}};
      for (const std::string& slot_name : slot_names_) {
        const std::string key = slot_name + "." + name;
        const auto found = state.tensors.find(key);
        if (found == state.tensors.end()) wrong(key + " is missing");
        const Tensor& tensor = found->second;
        const Tensor& weight = variable.data();
        if (!tensor.defined() || tensor.shape() != weight.shape() || !tensor::is_floating(tensor.dtype()))
          wrong(tensor::format("{} is {}, its parameter {}", key, tensor::describe(tensor),
                               tensor::describe(weight)));
        Tensor copy = Tensor::empty(weight.shape(), weight.dtype(), weight.device());
        copy.copy_(tensor.to(weight.device()));
        slot.tensors.push_back(std::move(copy));
        tensors.insert(key);
      }
      slots.emplace(name, std::move(slot));
    }
  }
  for (const auto& [key, value] : state.scalars)
    if (!scalars.contains(key)) wrong(key + " is unexpected");
  for (const auto& [key, value] : state.tensors)
    if (!tensors.contains(key)) wrong(key + " is unexpected");
  groups_ = std::move(groups);
  slots_ = std::move(slots);
}

NamedParameters number(const Variables& parameters) {
  NamedParameters named;
  for (size_t i = 0; i < parameters.size(); ++i) named.emplace_back(std::to_string(i), parameters[i]);
  return named;
}

}  // namespace optim
