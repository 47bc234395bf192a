#include "optim/scheduler.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tensor/error.h"

namespace optim {

using tensor::check;

namespace {

std::string base_key(size_t group) { return tensor::format("base_lr.{}", group); }

}  // namespace

// --- Scheduler

Scheduler::Scheduler(std::string name, Optimizer& optimizer) : name_(std::move(name)), optimizer_(optimizer) {
  for (const ParameterGroup& group : optimizer.groups()) base_.push_back(group.lr);
}

void Scheduler::step(std::optional<double> metric) {
  check(metric || !needs_metric(), ErrorKind::argument, "{}: step() needs the metric that it watches", name_);
  ++steps_;
  update(metric);
}

std::vector<std::vector<double>> Scheduler::rates_ahead(int64_t steps) {
  const int64_t steps_now = steps_;
  std::vector<std::vector<double>> rates(groups().size());
  const auto note = [&] {
    for (size_t g = 0; g < rates.size(); ++g) rates[g].push_back(groups()[g].lr);
  };
  note();
  for (int64_t k = 0; k < steps && !needs_metric(); ++k) {
    ++steps_;
    update({});
    note();
  }
  steps_ = steps_now;
  for (size_t g = 0; g < rates.size(); ++g) groups()[g].lr = rates[g].front();
  return rates;
}

State Scheduler::state_dict() const {
  State state;
  save(state.scalars);
  state.scalars["steps"] = static_cast<double>(steps_);
  for (size_t i = 0; i < base_.size(); ++i) state.scalars[base_key(i)] = base_[i];
  return state;
}

void Scheduler::load_state_dict(const State& state) {
  const State own = state_dict();
  for (const auto& [name, value] : own.scalars) {
    const auto found = state.scalars.find(name);
    check(found != state.scalars.end(), ErrorKind::data, "{}: the state has no '{}': another schedule's?",
          name_, name);
    check(std::isfinite(found->second), ErrorKind::data, "{}: '{}' is {} in the state", name_, name,
          found->second);
  }
  for (const auto& [name, value] : state.scalars)
    check(own.scalars.contains(name), ErrorKind::data,
          "{}: '{}' is unexpected in the state: another schedule's?", name_, name);
  const double steps = state.scalars.at("steps");
  check(is_count(steps), ErrorKind::data, "{}: 'steps' is {} in the state", name_, steps);
  load(state.scalars);
  steps_ = static_cast<int64_t>(steps);
  for (size_t i = 0; i < base_.size(); ++i) base_[i] = state.scalars.at(base_key(i));
  restore();
}

// --- StepLR

StepLR::StepLR(Optimizer& optimizer, int64_t step_size, double gamma)
    : Scheduler("StepLR", optimizer), step_size_(step_size), gamma_(gamma) {
  check(step_size > 0 && std::isfinite(gamma) && gamma >= 0, ErrorKind::argument,
        "StepLR: step size {} or gamma {} is not possible", step_size, gamma);
}

void StepLR::update(std::optional<double>) {
  if (steps() % step_size_ != 0) return;
  for (ParameterGroup& group : groups()) group.lr *= gamma_;
}

// --- WarmupCosineLR

WarmupCosineLR::WarmupCosineLR(Optimizer& optimizer, const WarmupCosineOptions& options)
    : Scheduler("WarmupCosineLR", optimizer), options_(options) {
  check(options.warmup_steps >= 0 && options.total_steps > options.warmup_steps, ErrorKind::argument,
        "WarmupCosineLR: {} steps in all have to be more than the {} of the warm-up", options.total_steps,
        options.warmup_steps);
  check(options.start_factor > 0 && options.start_factor <= 1 && options.min_lr >= 0, ErrorKind::argument,
        "WarmupCosineLR: start factor {} or least rate {} is not possible", options.start_factor,
        options.min_lr);
  WarmupCosineLR::restore();
}

void WarmupCosineLR::restore() {
  const double t = static_cast<double>(std::min(steps(), options_.total_steps));
  const double warmup = static_cast<double>(options_.warmup_steps);
  for (size_t i = 0; i < groups().size(); ++i) {
    const double base = base_lr(i), start = options_.start_factor, least = options_.min_lr;
    if (t < warmup) {
      groups()[i].lr = base * (start + (1 - start) * t / warmup);
    } else {
      const double part = (t - warmup) / (static_cast<double>(options_.total_steps) - warmup);
      groups()[i].lr = least + (base - least) * (1 + std::cos(std::numbers::pi * part)) / 2;
    }
  }
}

// --- ReduceLROnPlateau

ReduceLROnPlateau::ReduceLROnPlateau(Optimizer& optimizer, const PlateauOptions& options)
    : Scheduler("ReduceLROnPlateau", optimizer), options_(options) {
  check(options.factor > 0 && options.factor < 1, ErrorKind::argument,
        "ReduceLROnPlateau: the factor has to be in (0, 1), not {}", options.factor);
  check(options.patience >= 0 && options.cooldown >= 0 && options.threshold >= 0 && options.min_lr >= 0 &&
            options.eps >= 0,
        ErrorKind::argument,
        "ReduceLROnPlateau: patience, cooldown, threshold, min_lr and eps must not be negative");
}

bool ReduceLROnPlateau::is_better(double metric) const {
  if (!std::isfinite(metric)) return false;
  if (!best_) return true;
  // best -+ threshold |best|: the margin of a negative metric, too, lies on the better side.
  const bool relative = options_.threshold_mode == PlateauOptions::Threshold::relative;
  const double part = std::copysign(options_.threshold, *best_);
  if (options_.mode == PlateauOptions::Mode::min)
    return metric < (relative ? *best_ * (1 - part) : *best_ - options_.threshold);
  return metric > (relative ? *best_ * (1 + part) : *best_ + options_.threshold);
}

void ReduceLROnPlateau::update(std::optional<double> metric) {
  if (is_better(*metric)) {
    best_ = *metric;
    bad_steps_ = 0;
  } else {
    ++bad_steps_;
  }
  if (cooldown_ > 0) {
    --cooldown_;
    bad_steps_ = 0;
  }
  if (bad_steps_ <= options_.patience) return;
  for (ParameterGroup& group : groups()) {
    const double reduced = std::max(group.lr * options_.factor, options_.min_lr);
    if (group.lr - reduced > options_.eps) group.lr = reduced;
  }
  cooldown_ = options_.cooldown;
  bad_steps_ = 0;
}

void ReduceLROnPlateau::save(std::map<std::string, double>& scalars) const {
  scalars["has_best"] = best_ ? 1 : 0;
  scalars["best"] = best_.value_or(0);
  scalars["bad_steps"] = static_cast<double>(bad_steps_);
  scalars["cooldown"] = static_cast<double>(cooldown_);
}

void ReduceLROnPlateau::load(const std::map<std::string, double>& scalars) {
  const auto count = [&](const char* name) {
    const double value = scalars.at(name);
    check(is_count(value), ErrorKind::data, "ReduceLROnPlateau: '{}' is {} in the state", name, value);
    return static_cast<int64_t>(value);
  };
  const int64_t bad_steps = count("bad_steps"), cooldown = count("cooldown");
  best_ = count("has_best") != 0 ? std::optional(scalars.at("best")) : std::nullopt;
  bad_steps_ = bad_steps;
  cooldown_ = cooldown;
}

}  // namespace optim
