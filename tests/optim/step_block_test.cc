#include "optim/step_block.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "autograd/ops.h"
#include "optim/adam.h"
#include "optim/clip.h"
#include "optim/sgd.h"
#include "tensor/error.h"

using autograd::Variable;
using optim::StepBlock;
using optim::StepOutcome;
using tensor::DType;
using tensor::Error;
using tensor::Tensor;

namespace {

constexpr int64_t kSteps = 12;

struct Settings {
  bool adam = true, scaled = true, scheduled = true, warm_up = true;
  std::optional<double> decay = 0.9;
  double clip_norm = 0.5, clip_value = 0, momentum = 0;
  bool drops = false;
};

// Two groups with rates of their own, of two types.
struct Run {
  Variable a{Tensor::from<float>({1, -2, 3}, {3}), true}, b{Tensor::from<double>({0.5, 4}, {2}), true};
  std::unique_ptr<optim::Optimizer> optimizer;
  std::unique_ptr<optim::Scheduler> scheduler;
  std::unique_ptr<optim::ParameterAverage> average;
  optim::GradScaler scaler;
  bool drops;
  tensor::Generator generator{3};
  std::vector<StepOutcome> outcomes;
  std::vector<double> scales;

  explicit Run(const Settings& s)
      : scaler({.init_scale = 1000, .growth_interval = 3, .enabled = s.scaled}), drops(s.drops) {
    std::vector<optim::GroupOptions> groups{{{{"a", a}}}, {{{"b", b}}, 0.02, 0.1}};
    if (s.adam)
      optimizer = std::make_unique<optim::AdamW>(groups, optim::AdamWOptions{.lr = 0.1});
    else
      optimizer = std::make_unique<optim::SGD>(groups, optim::SgdOptions{.lr = 0.1, .momentum = s.momentum});
    if (s.scheduled)
      scheduler = std::make_unique<optim::WarmupCosineLR>(
          *optimizer, optim::WarmupCosineOptions{.warmup_steps = 3, .total_steps = 8});
    if (s.decay || s.warm_up)
      average = std::make_unique<optim::ParameterAverage>(
          optim::NamedParameters{{"a", a}, {"b", b}},
          optim::AverageOptions{.decay = s.decay, .warm_up = s.warm_up});
  }

  // In steps 0, 4 and 5 a gradient overflows f32, but with the loss scale alone.
  Variable loss(int64_t step) {
    const double slope = step == 0 || step == 4 || step == 5 ? 1e38 : 1 + static_cast<double>(step);
    Variable x = drops ? a * 0.1 : a;  // what is kept grows, and the loss stays finite
    if (drops && generator.uniform() < 0.8) x = autograd::dropout(x, 0.3, true, generator);
    if (drops) x = autograd::dropout(x, 0.5, true, generator);
    return autograd::sum(autograd::square(a)) + autograd::sum(x * slope) +
           autograd::to(autograd::sum(autograd::square(b)), DType::f32);
  }

  void plainly(const Settings& s, int64_t step) {
    StepOutcome outcome;
    outcome.lr = optimizer->lr();
    optimizer->zero_grad();
    const Variable value = loss(step);
    outcome.loss = value.item();
    outcome.tokens = 100 + step;
    scaler.scale(value).backward();
    scaler.unscale_(*optimizer);
    if (s.clip_value > 0) optim::clip_grad_value_(optimizer->parameters(), s.clip_value);
    outcome.gradient_norm = optim::grad_norm(optimizer->parameters());
    outcome.was_skipped = !scaler.step(
        *optimizer, s.clip_norm > 0 ? optim::clip_coefficient(outcome.gradient_norm, s.clip_norm) : 1);
    scaler.update();
    if (!outcome.was_skipped) {
      if (scheduler) scheduler->step();
      if (average) average->update();
    }
    outcomes.push_back(outcome);
    scales.push_back(scaler.scale());
  }

  void settle(StepBlock& block) {
    outcomes.push_back(block.settle());
    scales.push_back(scaler.scale());
  }
  // At most `depth` steps are under way, and none after `pause`.
  void queued(const Settings& s, int64_t depth, int64_t pause) {
    StepBlock block(*optimizer, scaler,
                    {.scheduler = scheduler.get(),
                     .average = average.get(),
                     .generator = drops ? &generator : nullptr,
                     .clip_value = s.clip_value,
                     .clip_norm = s.clip_norm});
    for (int64_t step = 0; step < kSteps; ++step) {
      optimizer->zero_grad();
      if (step % 5 != 2) block.begin();  // which scale() does else
      const Variable value = loss(step);
      block.scale(value).backward();
      block.queue(value, 100 + step);
      while (block.queued() > (step == pause ? 0 : depth)) settle(block);
    }
    while (block.queued() > 0) settle(block);
  }
};

void check_same(const optim::State& a, const optim::State& b) {
  CHECK(a.scalars == b.scalars);
  CHECK(a.tensors.size() == b.tensors.size());
  for (const auto& [name, tensor] : a.tensors) {
    REQUIRE(b.tensors.contains(name));
    CHECK(tensor.to(DType::f64).to_vector<double>() == b.tensors.at(name).to(DType::f64).to_vector<double>());
  }
}

void check_same(const Run& x, const Run& y) {
  CHECK(x.a.data().to_vector<float>() == y.a.data().to_vector<float>());
  CHECK(x.b.data().to_vector<double>() == y.b.data().to_vector<double>());
  CHECK(x.scales == y.scales);
  check_same(x.optimizer->state_dict(), y.optimizer->state_dict());
  check_same(x.scaler.state_dict(), y.scaler.state_dict());
  CHECK(x.scaler.first_bad() == y.scaler.first_bad());
  CHECK(x.generator.state() == y.generator.state());
  if (x.scheduler) check_same(x.scheduler->state_dict(), y.scheduler->state_dict());
  if (x.average) check_same(x.average->state_dict(), y.average->state_dict());
  REQUIRE(x.outcomes.size() == y.outcomes.size());
  for (size_t i = 0; i < x.outcomes.size(); ++i) {
    CAPTURE(i);
    CHECK(x.outcomes[i].loss == y.outcomes[i].loss);
    CHECK(x.outcomes[i].tokens == y.outcomes[i].tokens);
    CHECK(x.outcomes[i].lr == y.outcomes[i].lr);
    CHECK(x.outcomes[i].was_skipped == y.outcomes[i].was_skipped);
    const double p = x.outcomes[i].gradient_norm, q = y.outcomes[i].gradient_norm;
    CHECK((p == q || (std::isnan(p) && std::isnan(q))));
  }
}

}  // namespace

TEST_CASE("StepBlock: queued steps are those of the plain loop, to the bit") {
  std::vector<Settings> all(8);
  all[1].scaled = false;
  all[2].adam = false;
  all[3] = {.adam = false, .momentum = 0.9};
  all[4] = {.scheduled = false, .warm_up = false, .decay = {}};
  all[5] = {.warm_up = false, .clip_norm = 0, .clip_value = 0.25};
  all[6] = {.scaled = false, .warm_up = true, .decay = {}, .clip_norm = 0};
  all[7].drops = true;
  for (size_t i = 0; i < all.size(); ++i) {
    CAPTURE(i);
    Run plain(all[i]);
    for (int64_t step = 0; step < kSteps; ++step) plain.plainly(all[i], step);
    if (all[i].scaled) CHECK(plain.scaler.skipped() == 3);
    for (const int64_t depth : {0, 1, 3}) {
      CAPTURE(depth);
      Run queued(all[i]);
      queued.queued(all[i], depth, 6);
      check_same(plain, queued);
    }
  }
}

TEST_CASE("StepBlock: a step whose loss is not finite changes nothing") {
  for (const bool scaled : {false, true}) {
    Settings settings;
    settings.scaled = scaled;
    Run run(settings);
    StepBlock block(*run.optimizer, run.scaler, {.average = run.average.get()});
    const Variable bad = autograd::sum(run.a * INFINITY) + autograd::to(autograd::sum(run.b), DType::f32);
    block.scale(bad).backward();
    block.queue(bad);
    CHECK_FALSE(std::isfinite(block.settle().loss));
    CHECK(run.a.data().to_vector<float>() == std::vector<float>{1, -2, 3});
    CHECK(run.average->updates() == 0);
    CHECK(run.optimizer->state_dict().tensors.empty());
    CHECK(run.scaler.skipped() == 0);
  }
}

TEST_CASE("StepBlock: the floor of the loss scale is an error that names the parameter") {
  Settings settings;
  Run run(settings);
  optim::GradScaler scaler({.init_scale = 8, .min_scale = 3});
  StepBlock block(*run.optimizer, scaler);
  for (int i = 0; i < 2; ++i) {
    run.optimizer->zero_grad();
    const Variable loss = autograd::sum(run.a * 1.1e38);
    block.scale(loss).backward();
    block.queue(loss);
  }
  CHECK(block.settle().was_skipped);
  CHECK(scaler.scale() == 4);
  CHECK_THROWS_WITH_AS(block.settle(),
                       doctest::Contains("after 2 skipped steps in a row (a: element 0 of (3) f32 is inf)"),
                       Error);
}

TEST_CASE("StepBlock: what cannot be counted is refused") {
  Settings settings;
  Run run(settings);
  StepBlock block(*run.optimizer, run.scaler, {.steps_ahead = 1});
  CHECK_THROWS_AS(block.settle(), Error);
  const auto step = [&](const Variable& loss) {
    run.optimizer->zero_grad();
    block.scale(loss).backward();
    block.queue(loss);
  };
  step(run.loss(1));
  CHECK_THROWS_WITH_AS(step(autograd::sum(run.a)), doctest::Contains("'b' has no gradient, unlike"), Error);
}

TEST_CASE("a schedule's rates ahead are those that it then has") {
  Run run({});
  optim::StepLR steps(*run.optimizer, 2, 0.5);
  optim::ReduceLROnPlateau plateau(*run.optimizer);
  for (optim::Scheduler* scheduler : {run.scheduler.get(), static_cast<optim::Scheduler*>(&steps)}) {
    scheduler->step();
    const optim::State before = scheduler->state_dict();
    const auto ahead = scheduler->rates_ahead(9);
    check_same(before, scheduler->state_dict());
    REQUIRE(ahead.size() == 2);
    for (size_t k = 0; k < 10; ++k) {
      for (size_t g = 0; g < 2; ++g) CHECK(ahead[g][k] == run.optimizer->groups()[g].lr);
      scheduler->step();
    }
  }
  CHECK(plateau.rates_ahead(5)[0].size() == 1);
}
