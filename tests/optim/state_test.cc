// What a checkpoint keeps of optimisers, schedules, averages and scalers: all of it comes back, and a state
// that lacks or has anything else is refused and changes nothing.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <memory>

#include "optim/adam.h"
#include "optim/average.h"
#include "optim/grad_scaler.h"
#include "optim/scheduler.h"
#include "optim/sgd.h"
#include "tests/tensor/reference.h"

using autograd::Variable;
using optim::NamedParameters;
using optim::Optimizer;
using optim::State;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Tensor;

namespace {

using Scalars = std::map<std::string, double>;
using Values = std::map<std::string, std::vector<double>>;

Values values_of(const State& state) {
  Values values;
  for (const auto& [name, t] : state.tensors) values[name] = tests::values(t.to(DType::f64));
  return values;
}

// Two parameters in two groups.
struct Problem {
  Variable p{Tensor::from<float>({1, -2}, {2}), true}, q{Tensor::from<float>({3}, {1}), true};

  std::vector<optim::GroupOptions> groups() const { return {{{{"p", p}}}, {{{"q", q}}, 0.25, 0.5}}; }
  void set_gradients(float value) {
    p.set_grad(Tensor::full({2}, value));
    q.set_grad(Tensor::full({1}, -value));
  }
};

struct Kind {
  const char* name;
  std::function<std::unique_ptr<Optimizer>(const Problem&)> make;
  std::vector<std::string> slots;
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"Adam",
       [](const Problem& p) { return std::make_unique<optim::Adam>(p.groups(), optim::AdamOptions{}); },
       {"exp_avg", "exp_avg_sq"}},
      {"AdamW",
       [](const Problem& p) { return std::make_unique<optim::AdamW>(p.groups(), optim::AdamWOptions{}); },
       {"exp_avg", "exp_avg_sq"}},
      {"SGD",
       [](const Problem& p) {
         return std::make_unique<optim::SGD>(p.groups(), optim::SgdOptions{.momentum = 0.5});
       },
       {"momentum"}},
      {"SGD",
       [](const Problem& p) { return std::make_unique<optim::SGD>(p.groups(), optim::SgdOptions{}); },
       {}},
  };
  return all;
}

// Each of the ways to spoil a state is a data error that names the thing, and leaves `target` as it was.
template <class Target>
void refuses(Target& target, const State& good, const char* name) {
  const State before = target.state_dict();
  const Values tensors_before = values_of(before);
  const auto fails = [&](const std::vector<std::string>& parts, const std::function<void(State&)>& change) {
    State state = good;
    change(state);
    std::vector<std::string> all = parts;
    all.emplace_back(name);
    tests::check_error(ErrorKind::data, all, [&] { target.load_state_dict(state); });
    CHECK(target.state_dict().scalars == before.scalars);
    CHECK(values_of(target.state_dict()) == tensors_before);
  };
  for (const auto& [key, value] : good.scalars) {
    CAPTURE(key);
    for (const double bad : {std::nan(""), static_cast<double>(INFINITY)})
      fails({}, [&](State& s) { s.scalars[key] = bad; });
    if (!key.starts_with("step.")) fails({}, [&](State& s) { s.scalars.erase(key); });
  }
  for (const auto& [key, value] : good.tensors) {
    CAPTURE(key);
    const Tensor other = Tensor::zeros({3});
    fails({}, [&](State& s) { s.tensors.erase(key); });
    fails({key}, [&](State& s) { s.tensors[key] = other; });
    fails({key}, [&](State& s) { s.tensors[key] = value.to(DType::i64); });
    fails({key}, [&](State& s) { s.tensors[key] = Tensor(); });
  }
  fails({}, [](State& s) { s.scalars["more"] = 1; });
  target.load_state_dict(good);
  CHECK(target.state_dict().scalars == good.scalars);
}

}  // namespace

TEST_CASE("an optimiser's state is its groups' rates and decays, its steps and its tensors") {
  for (const Kind& kind : kinds()) {
    CAPTURE(kind.name);
    Problem whole;
    const auto optimizer = kind.make(whole);
    CHECK(optimizer->groups()[0].weight_decay != 0.5);
    CHECK(optimizer->groups()[1].lr == 0.25);
    CHECK(optimizer->groups()[1].weight_decay == 0.5);
    whole.p.set_grad(Tensor::full({2}, 0.5));
    optimizer->step();  // q has none yet
    whole.set_gradients(0.25);
    optimizer->step();
    optimizer->groups()[0].lr = 0.125;
    optimizer->groups()[0].weight_decay = 0.75;
    optimizer->groups()[1].lr = 0.0625;
    optimizer->groups()[1].weight_decay = 0.375;
    State state = optimizer->state_dict();
    CHECK(state.scalars == Scalars{{"group.0.lr", 0.125},
                                   {"group.0.weight_decay", 0.75},
                                   {"group.1.lr", 0.0625},
                                   {"group.1.weight_decay", 0.375},
                                   {"step.p", 2},
                                   {"step.q", 1}});
    CHECK(state.tensors.size() == 2 * kind.slots.size());
    for (const std::string& slot : kind.slots) {
      CHECK(state.tensors.at(slot + ".p").shape() == tensor::Shape{2});
      CHECK(state.tensors.at(slot + ".q").shape() == tensor::Shape{1});
    }
    for (auto& [name, t] : state.tensors) t = t.clone();

    Problem resumed;
    resumed.p.mutable_data().copy_(whole.p.data());
    resumed.q.mutable_data().copy_(whole.q.data());
    const auto second = kind.make(resumed);
    refuses(*second, state, kind.name);
    CHECK(values_of(second->state_dict()) == values_of(state));
    CHECK(second->groups()[0].lr == 0.125);
    CHECK(second->groups()[0].weight_decay == 0.75);
    CHECK(second->groups()[1].lr == 0.0625);
    CHECK(second->groups()[1].weight_decay == 0.375);
    for (Problem* problem : {&whole, &resumed}) problem->set_gradients(-0.5);
    optimizer->step();
    second->step();
    CHECK(tests::values(resumed.p.data()) == tests::values(whole.p.data()));
    CHECK(tests::values(resumed.q.data()) == tests::values(whole.q.data()));
    CHECK(second->state_dict().scalars == optimizer->state_dict().scalars);
  }
}

TEST_CASE("numbers of an optimiser's state are taken up to their bounds") {
  Problem problem;
  optim::SGD sgd(problem.groups(), {.momentum = 0.5});
  problem.set_gradients(1);
  sgd.step();
  const State good = sgd.state_dict();
  const auto load = [&](const char* key, double value) {
    State state = good;
    state.scalars[key] = value;
    sgd.load_state_dict(state);
    CHECK(sgd.state_dict().scalars.at(key) == value);
  };
  const auto refused = [&](const char* key, double value) {
    CAPTURE(value);
    tests::check_error(ErrorKind::data, {key, "SGD"}, [&] { load(key, value); });
  };
  for (const char* key : {"group.0.lr", "group.1.weight_decay"}) {
    load(key, 0);
    refused(key, -0.125);
  }
  load("step.p", 1);
  load("step.p", 0x1p53);
  for (const double bad : {0.0, -1.0, 1.5, 0x1p54}) refused("step.p", bad);
  // A parameter that has had no step has neither number nor tensors.
  State partly = good;
  partly.scalars.erase("step.q");
  tests::check_error(ErrorKind::data, {"momentum.q is unexpected"}, [&] { sgd.load_state_dict(partly); });
  partly.tensors.erase("momentum.q");
  sgd.load_state_dict(partly);
  CHECK_FALSE(sgd.state_dict().scalars.contains("step.q"));
  // Tensors of another width are converted.
  State wide = good;
  for (auto& [name, t] : wide.tensors) t = t.to(DType::f64);
  sgd.load_state_dict(wide);
  CHECK(sgd.state_dict().tensors.at("momentum.p").dtype() == DType::f32);
  CHECK(values_of(sgd.state_dict()) == values_of(good));
}

TEST_CASE("a schedule's state is all that it goes by") {
  struct Case {
    const char* name;
    std::function<std::unique_ptr<optim::Scheduler>(Optimizer&)> make;
    Scalars state;              // after five steps with metrics 3, 2, 2, 2, 2
    std::vector<double> rates;  // of the five steps
  };
  const optim::PlateauOptions plateau{.factor = 0.5, .patience = 0, .cooldown = 3};
  const optim::WarmupCosineOptions cosine{
      .warmup_steps = 2, .total_steps = 6, .start_factor = 0.5, .min_lr = 0};
  const std::vector<Case> cases = {
      {"ConstantLR",
       [](Optimizer& o) { return std::make_unique<optim::ConstantLR>(o); },
       {},
       {0.5, 0.5, 0.5, 0.5, 0.5}},
      {"StepLR",
       [](Optimizer& o) { return std::make_unique<optim::StepLR>(o, 2, 0.5); },
       {},
       {0.5, 0.25, 0.25, 0.125, 0.125}},
      // Up from 1/4 to 1/2 in two steps, then half a cosine down in four.
      {"WarmupCosineLR",
       [=](Optimizer& o) { return std::make_unique<optim::WarmupCosineLR>(o, cosine); },
       {},
       {0.375, 0.5, 0.25 * (1 + std::sqrt(0.5)), 0.25, 0.25 * (1 - std::sqrt(0.5))}},
      // Worse at the third step, which halves the rate and is followed by three that do not count.
      {"ReduceLROnPlateau",
       [=](Optimizer& o) { return std::make_unique<optim::ReduceLROnPlateau>(o, plateau); },
       {{"has_best", 1}, {"best", 2}, {"bad_steps", 0}, {"cooldown", 1}},
       {0.5, 0.5, 0.25, 0.25, 0.25}},
  };
  const std::vector<double> metrics = {3, 2, 2, 2, 2};
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const auto with_lr = [](double lr) {
      return std::make_unique<optim::SGD>(NamedParameters{{"p", Variable(Tensor::zeros({1}), true)}},
                                          optim::SgdOptions{.lr = lr});
    };
    const auto whole = with_lr(0.5);
    const auto schedule = c.make(*whole);
    for (size_t i = 0; i < metrics.size(); ++i) {
      schedule->step(metrics[i]);
      CHECK(whole->lr() == doctest::Approx(c.rates[i]).epsilon(1e-12));
    }
    const State state = schedule->state_dict();
    Scalars expected = c.state;
    expected["steps"] = 5;
    expected["base_lr.0"] = 0.5;
    CHECK(state.scalars == expected);
    CHECK(state.tensors.empty());
    // Begun with another rate, which the state knows better.
    const auto other = with_lr(0.0625);
    const auto second = c.make(*other);
    refuses(*second, state, c.name);
    CHECK(second->steps() == 5);
    if (std::string(c.name) == "WarmupCosineLR") CHECK(other->lr() == whole->lr());
    other->load_state_dict(whole->state_dict());
    for (const double metric : {2.0, 2.0, 2.0, 1.0, 1.0, 1.0}) {
      schedule->step(metric);
      second->step(metric);
      CHECK(other->lr() == whole->lr());
      CHECK(second->state_dict().scalars == schedule->state_dict().scalars);
    }
    for (const auto& [key, bad] : std::vector<std::pair<std::string, double>>{{"steps", -1},
                                                                              {"steps", 1.5},
                                                                              {"steps", 0x1p54},
                                                                              {"bad_steps", -1},
                                                                              {"bad_steps", 0.5},
                                                                              {"cooldown", -1},
                                                                              {"cooldown", 1.5},
                                                                              {"has_best", -1}}) {
      if (!state.scalars.contains(key)) continue;
      CAPTURE(key);
      CAPTURE(bad);
      State wrong = state;
      wrong.scalars[key] = bad;
      tests::check_error(ErrorKind::data, {c.name, key}, [&] { second->load_state_dict(wrong); });
      CHECK(second->steps() == 11);
    }
  }
}

TEST_CASE("a plateau without a best metric comes back without one") {
  optim::SGD sgd(NamedParameters{{"p", Variable(Tensor::zeros({1}), true)}}, {.lr = 0.5});
  optim::ReduceLROnPlateau fresh(sgd), used(sgd);
  used.step(-3);
  CHECK(used.best() == -3);
  const State state = used.state_dict();
  used.load_state_dict(fresh.state_dict());
  CHECK_FALSE(used.best().has_value());
  CHECK(used.steps() == 0);
  used.load_state_dict(state);
  CHECK(used.best() == -3);
}

TEST_CASE("an average's state is the averages and their number") {
  NamedParameters p = {{"a", Variable(Tensor::from<float>({1, 2}, {2}), true)},
                       {"b", Variable(Tensor::from<float>({3}, {1}), true)}};
  optim::ParameterAverage average(p, {.decay = 0.75});
  CHECK(average.state_dict().scalars == Scalars{{"updates", 0}});
  CHECK(average.state_dict().tensors.empty());
  const State none = average.state_dict();
  average.update();
  p[0].second.mutable_data().fill_(5);
  average.update();
  State state = average.state_dict();
  CHECK(state.scalars == Scalars{{"updates", 2}});
  CHECK(values_of(state) == Values{{"average.a", {2, 2.75}}, {"average.b", {3}}});
  for (auto& [name, t] : state.tensors) t = t.clone();
  NamedParameters q = {{"a", Variable(Tensor::full({2}, 5), true)},
                       {"b", Variable(Tensor::full({1}, 3), true)}};
  optim::ParameterAverage other(q, {.decay = 0.75});
  refuses(other, state, "average");
  CHECK(values_of(other.state_dict()) == values_of(state));
  average.update();
  other.update();
  CHECK(values_of(other.state_dict()) == values_of(average.state_dict()));
  const auto refused = [&](const std::function<void(State&)>& change) {
    State wrong = state;
    change(wrong);
    tests::check_error(ErrorKind::data, {"average"}, [&] { other.load_state_dict(wrong); });
    CHECK(other.updates() == 3);
  };
  refused([](State& s) { s.scalars["updates"] = 1.5; });
  refused([](State& s) { s.scalars["updates"] = -1; });
  refused([](State& s) { s.scalars["updates"] = 0x1p54; });
  refused([](State& s) { s.scalars["updates"] = 0; });  // then there are no averages
  refused([](State& s) { s.tensors["average.c"] = Tensor::zeros({1}); });
  refused([](State& s) { s.tensors.clear(); });
  State wide = state;
  for (auto& [name, t] : wide.tensors) t = t.to(DType::f64);
  wide.scalars["updates"] = 0x1p53;
  other.load_state_dict(wide);
  CHECK(other.updates() == int64_t{1} << 53);
  CHECK(other.state_dict().tensors.at("average.a").dtype() == DType::f32);
  wide.tensors.at("average.a").fill_(1e9);  // it has copies of its own
  CHECK(values_of(other.state_dict()) == values_of(state));
  other.load_state_dict(none);
  CHECK(other.updates() == 0);
  CHECK(other.state_dict().tensors.empty());
}

TEST_CASE("a scaler's state is its scale and its three counts") {
  Problem problem;
  optim::SGD sgd(problem.groups(), {});
  const auto step = [&](optim::GradScaler& scaler, float value) {
    problem.set_gradients(value);
    scaler.step(sgd);
    scaler.update();
  };
  optim::GradScaler first({.init_scale = 64, .growth_interval = 5, .min_scale = 8});
  step(first, INFINITY);
  step(first, 1);
  step(first, 1);
  CHECK(first.state_dict().scalars ==
        Scalars{{"scale", 32}, {"growth_tracker", 2}, {"skipped", 1}, {"skipped_in_a_row", 0}});
  step(first, INFINITY);
  const State skipping = first.state_dict();
  CHECK(skipping.scalars ==
        Scalars{{"scale", 16}, {"growth_tracker", 0}, {"skipped", 2}, {"skipped_in_a_row", 1}});
  step(first, 1);
  State state = first.state_dict();
  state.scalars["skipped_in_a_row"] = 7;

  optim::GradScaler second({.init_scale = 1024, .growth_interval = 5, .min_scale = 8});
  refuses(second, state, "GradScaler");
  CHECK(second.scale() == 16);
  CHECK(second.growth_tracker() == 1);
  CHECK(second.skipped() == 2);
  State with_tensor = state;
  with_tensor.tensors["more"] = Tensor::zeros({1});
  tests::check_error(ErrorKind::data, {"1 tensors and 4 numbers"},
                     [&] { second.load_state_dict(with_tensor); });
  for (const auto& [key, bad] : std::vector<std::pair<std::string, double>>{{"scale", 0},
                                                                            {"scale", -1},
                                                                            {"scale", 1e39},
                                                                            {"growth_tracker", -1},
                                                                            {"growth_tracker", 0.5},
                                                                            {"skipped", -1},
                                                                            {"skipped", 2.5},
                                                                            {"skipped_in_a_row", -1},
                                                                            {"skipped_in_a_row", 0x1p54}}) {
    CAPTURE(key);
    CAPTURE(bad);
    State wrong = state;
    wrong.scalars[key] = bad;
    tests::check_error(ErrorKind::data, {"'" + key + "'"}, [&] { second.load_state_dict(wrong); });
  }
  // The count of skipped steps in a row goes on, too: 16, 8, and then it is over.
  second.load_state_dict(skipping);
  step(second, NAN);
  CHECK(second.scale() == 8);
  CHECK(second.skipped() == 3);
  tests::check_error(ErrorKind::data, {"loss scale of 8 after 3 skipped steps in a row (p: element 0"},
                     [&] { step(second, NAN); });
}
