#include "optim/scheduler.h"

#include <doctest/doctest.h>

#include <functional>
#include <memory>

#include "optim/sgd.h"
#include "tensor/error.h"
#include "tests/golden.h"

using autograd::Variable;
using optim::Optimizer;
using optim::PlateauOptions;
using optim::Scheduler;
using tensor::Error;
using tensor::Tensor;

namespace {

constexpr int kSteps = 30;

// Two groups with the rates 0.5 and 0.02, as in tests/golden/make_optim.py.
std::unique_ptr<Optimizer> two_groups() {
  const Variable p(Tensor::zeros({1}), true), q(Tensor::zeros({1}), true);
  return std::make_unique<optim::SGD>(std::vector<optim::GroupOptions>{{{{"p", p}}, 0.5}, {{{"q", q}}, 0.02}},
                                      optim::SgdOptions{});
}

using Make = std::function<std::unique_ptr<Scheduler>(Optimizer&)>;

struct Variant {
  const char* name;
  Make make;
  enum { none, falling, rising, flat } metrics = none;
};

template <class S, class... Args>
Make make(Args... args) {
  return [=](Optimizer& optimizer) { return std::make_unique<S>(optimizer, args...); };
}

using optim::ConstantLR, optim::StepLR, optim::WarmupCosineLR, optim::WarmupCosineOptions,
    optim::ReduceLROnPlateau;
constexpr auto kMax = PlateauOptions::Mode::max;
constexpr auto kAbsolute = PlateauOptions::Threshold::absolute;

const std::vector<Variant>& variants() {
  static const std::vector<Variant> all = {
      {"constant", make<ConstantLR>()},
      {"step", make<StepLR>(4, 0.3)},
      {"step_1", make<StepLR>(1, 0.9)},
      {"cosine", make<WarmupCosineLR>(WarmupCosineOptions{.total_steps = 30, .min_lr = 0.001})},
      {"warmup_cosine", make<WarmupCosineLR>(WarmupCosineOptions{
                            .warmup_steps = 6, .total_steps = 30, .start_factor = 0.1, .min_lr = 0.001})},
      {"plateau", make<ReduceLROnPlateau>(PlateauOptions{.factor = 0.5, .patience = 1}), Variant::falling},
      {"plateau_patience",
       make<ReduceLROnPlateau>(PlateauOptions{.factor = 0.1, .patience = 3, .threshold = 0.01}),
       Variant::falling},
      {"plateau_absolute",
       make<ReduceLROnPlateau>(
           PlateauOptions{.factor = 0.5, .patience = 0, .threshold = 0.05, .threshold_mode = kAbsolute}),
       Variant::falling},
      {"plateau_cooldown",
       make<ReduceLROnPlateau>(PlateauOptions{.factor = 0.5, .patience = 0, .cooldown = 3, .min_lr = 0.01}),
       Variant::falling},
      {"plateau_max",
       make<ReduceLROnPlateau>(PlateauOptions{.mode = kMax, .factor = 0.7, .patience = 1, .threshold = 0.05}),
       Variant::rising},
      {"plateau_max_absolute",
       make<ReduceLROnPlateau>(PlateauOptions{
           .mode = kMax, .factor = 0.7, .patience = 1, .threshold = 0.1, .threshold_mode = kAbsolute}),
       Variant::rising},
      {"plateau_eps", make<ReduceLROnPlateau>(PlateauOptions{.factor = 0.5, .patience = 0, .eps = 0.006}),
       Variant::flat},
  };
  return all;
}

std::optional<double> metric(const Variant& variant, int step) {
  static const std::vector<double> falling =
      tests::golden("optim").at("schedule/metrics").to_vector<double>();
  const double value = falling[static_cast<size_t>(step)];
  switch (variant.metrics) {
    case Variant::falling:
      return value;
    case Variant::rising:
      return -value + 5;
    case Variant::flat:
      return 1;
    default:
      return {};
  }
}

}  // namespace

TEST_CASE("thirty steps of each schedule agree with PyTorch") {
  const auto golden = tests::golden("optim");
  for (const Variant& variant : variants()) {
    CAPTURE(variant.name);
    const auto rates = golden.at(std::string("schedule/") + variant.name).to_vector<double>();
    REQUIRE(rates.size() == 2 * (kSteps + 1));
    const auto optimizer = two_groups();
    const auto schedule = variant.make(*optimizer);
    for (int step = 0; step <= kSteps; ++step) {
      CAPTURE(step);
      for (size_t g = 0; g < 2; ++g) {
        const double expected = rates[2 * static_cast<size_t>(step) + g];
        CHECK(std::abs(optimizer->groups()[g].lr - expected) <= 1e-12 * expected);
      }
      if (step < kSteps) schedule->step(metric(variant, step));
    }
    CHECK(schedule->steps() == kSteps);
  }
}

// PyTorch's rates for these metrics, which are positive; it takes negative ones otherwise (pytorch#47513).
TEST_CASE("a plateau of negated metrics is that of the metrics in the other mode") {
  const auto golden = tests::golden("optim");
  const auto metrics = golden.at("schedule/metrics").to_vector<double>();
  const std::vector<std::pair<const char*, PlateauOptions>> cases = {
      {"plateau", {.mode = kMax, .factor = 0.5, .patience = 1}},
      {"plateau_patience", {.mode = kMax, .factor = 0.1, .patience = 3, .threshold = 0.01}},
      {"plateau_absolute",
       {.mode = kMax, .factor = 0.5, .patience = 0, .threshold = 0.05, .threshold_mode = kAbsolute}},
      {"plateau_cooldown", {.mode = kMax, .factor = 0.5, .patience = 0, .cooldown = 3, .min_lr = 0.01}}};
  for (const auto& [name, options] : cases) {
    CAPTURE(name);
    const auto rates = golden.at(std::string("schedule/") + name).to_vector<double>();
    const auto optimizer = two_groups();
    ReduceLROnPlateau schedule(*optimizer, options);
    for (size_t step = 0; step < kSteps; ++step) {
      CAPTURE(step);
      REQUIRE(metrics[step] > 0);
      schedule.step(-metrics[step]);
      CHECK(optimizer->groups()[0].lr == doctest::Approx(rates[2 * step + 2]).epsilon(1e-12));
    }
  }
}

TEST_CASE("a negative metric that gets worse all the time is no improvement") {
  for (const auto mode : {PlateauOptions::Mode::min, kMax}) {
    const auto optimizer = two_groups();
    ReduceLROnPlateau schedule(*optimizer, {.mode = mode, .patience = 2});
    for (int i = 0; i < 20; ++i) schedule.step(-1 + (mode == kMax ? -1e-5 : 1e-5) * i);
    CHECK(schedule.best() == -1);
    CHECK(optimizer->lr() < 1e-5);
  }
}

TEST_CASE("a schedule that loads a state continues as it would have gone on") {
  for (const Variant& variant : variants())
    for (const int saved_after : {0, 1, 7, 19}) {
      CAPTURE(variant.name);
      CAPTURE(saved_after);
      const auto whole = two_groups();
      const auto schedule = variant.make(*whole);
      std::vector<double> expected, resumed;
      optim::State optimizer_state, state;
      for (int step = 0; step < kSteps; ++step) {
        if (step == saved_after) optimizer_state = whole->state_dict(), state = schedule->state_dict();
        schedule->step(metric(variant, step));
        if (step >= saved_after) expected.push_back(whole->groups()[1].lr);
      }
      // The state of the optimiser may be loaded before or after the schedule is made.
      for (const bool before : {false, true}) {
        resumed.clear();
        const auto second = two_groups();
        if (before) second->load_state_dict(optimizer_state);
        const auto other = variant.make(*second);
        if (!before) second->load_state_dict(optimizer_state);
        other->load_state_dict(state);
        CHECK(other->steps() == saved_after);
        for (int step = saved_after; step < kSteps; ++step) {
          other->step(metric(variant, step));
          resumed.push_back(second->groups()[1].lr);
        }
        CHECK(resumed == expected);
      }
    }
}

TEST_CASE("the cosine stays at its least rate after its end") {
  const auto optimizer = two_groups();
  WarmupCosineLR schedule(*optimizer, {.warmup_steps = 2, .total_steps = 5, .min_lr = 0.01});
  for (int step = 0; step < 9; ++step) schedule.step();
  CHECK(optimizer->lr() == doctest::Approx(0.01).epsilon(1e-12));
}

TEST_CASE("a plateau needs a metric and takes one that is not finite for no improvement") {
  const auto optimizer = two_groups();
  ReduceLROnPlateau schedule(*optimizer, {.factor = 0.5, .patience = 0});
  CHECK_THROWS_AS(schedule.step(), Error);
  CHECK(schedule.steps() == 0);
  schedule.step(NAN);
  CHECK_FALSE(schedule.best().has_value());
  CHECK(optimizer->lr() == 0.25);
  schedule.step(2);
  CHECK(schedule.best() == 2);
  schedule.step(-INFINITY);
  CHECK(schedule.best() == 2);
  CHECK(optimizer->lr() == 0.125);
  schedule.step(1);
  CHECK(schedule.best() == 1);
}

TEST_CASE("schedules refuse impossible options and the states of others") {
  const auto optimizer = two_groups();
  CHECK_THROWS_AS(StepLR(*optimizer, 0), Error);
  CHECK_THROWS_AS(StepLR(*optimizer, 1, -1), Error);
  CHECK_THROWS_AS(WarmupCosineLR(*optimizer, {.warmup_steps = 5, .total_steps = 5}), Error);
  CHECK_THROWS_AS(WarmupCosineLR(*optimizer, {.total_steps = 5, .start_factor = 0}), Error);
  CHECK_THROWS_AS(ReduceLROnPlateau(*optimizer, {.factor = 1}), Error);
  CHECK_THROWS_AS(ReduceLROnPlateau(*optimizer, {.patience = -1}), Error);
  CHECK(optimizer->lr() == 0.5);

  ReduceLROnPlateau plateau(*optimizer);
  StepLR steps(*optimizer, 3);
  CHECK_THROWS_AS(plateau.load_state_dict(steps.state_dict()), Error);
  CHECK_THROWS_AS(steps.load_state_dict(plateau.state_dict()), Error);
  optim::State state = plateau.state_dict();
  state.scalars["steps"] = 3;
  state.scalars["bad_steps"] = -1;
  CHECK_THROWS_AS(plateau.load_state_dict(state), Error);
  CHECK(plateau.steps() == 0);
  state.scalars["bad_steps"] = 1;
  state.scalars["best"] = NAN;
  CHECK_THROWS_AS(plateau.load_state_dict(state), Error);
}
