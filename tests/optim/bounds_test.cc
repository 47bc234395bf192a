// What optimisers, schedules, averages, clipping and scalers take for settings: the last value that is
// possible, and the first that is not.
#include <doctest/doctest.h>

#include <cmath>

#include "optim/adam.h"
#include "optim/average.h"
#include "optim/clip.h"
#include "optim/grad_scaler.h"
#include "optim/scheduler.h"
#include "optim/sgd.h"
#include "tensor/format.h"
#include "tests/tensor/reference.h"

using autograd::Variable;
using optim::NamedParameters;
using tensor::ErrorKind;
using tensor::Tensor;

namespace {

NamedParameters parameter() { return {{"p", Variable(Tensor::full({2}, 1), true)}}; }

// The least number over x, and the greatest under it.
double over(double x) { return std::nextafter(x, INFINITY); }
double under(double x) { return std::nextafter(x, -INFINITY); }

void refused(const char* part, const std::function<void()>& make) {
  tests::check_error(ErrorKind::argument, {part}, make);
}

}  // namespace

TEST_CASE("settings that are not given are PyTorch's") {
  const optim::AdamOptions adam;
  const optim::AdamWOptions adamw;
  CHECK((adam.lr == 1e-3 && adam.beta1 == 0.9 && adam.beta2 == 0.999 && adam.eps == 1e-8));
  CHECK((adamw.lr == 1e-3 && adamw.beta1 == 0.9 && adamw.beta2 == 0.999 && adamw.eps == 1e-8));
  CHECK((adam.weight_decay == 0 && adamw.weight_decay == 1e-2));
  const optim::SgdOptions sgd;
  CHECK(
      (sgd.lr == 1e-3 && sgd.momentum == 0 && sgd.dampening == 0 && sgd.weight_decay == 0 && !sgd.nesterov));
  const optim::PlateauOptions plateau;
  CHECK(
      (plateau.mode == optim::PlateauOptions::Mode::min && plateau.factor == 0.1 && plateau.patience == 10));
  CHECK(plateau.threshold_mode == optim::PlateauOptions::Threshold::relative);
  CHECK((plateau.threshold == 1e-4 && plateau.cooldown == 0 && plateau.min_lr == 0 && plateau.eps == 1e-8));
  const optim::GradScalerOptions scaler;
  CHECK((scaler.init_scale == 65536 && scaler.growth_factor == 2 && scaler.backoff_factor == 0.5));
  CHECK((scaler.growth_interval == 2000 && scaler.min_scale == 1));  // the last is our own
  CHECK(optim::AverageOptions{}.decay == 0.999);                     // and these two
  CHECK_FALSE(optim::AverageOptions{}.warm_up);
  // torch.optim.lr_scheduler.StepLR's gamma.
  optim::SGD optimizer(parameter(), {.lr = 0.5});
  optim::StepLR schedule(optimizer, 1);
  schedule.step();
  CHECK(optimizer.lr() == 0.5 * 0.1);
  // LinearLR has a third; a run begins with a thousandth.
  optim::WarmupCosineLR warm(optimizer, {.warmup_steps = 1, .total_steps = 2});
  CHECK(optimizer.lr() == doctest::Approx(0.5 * 0.1 * 1e-3).epsilon(1e-12));
}

TEST_CASE("optimisers take settings up to their bounds") {
  using optim::Adam, optim::AdamW, optim::SGD;
  for (const double bad : {under(0), std::nan(""), static_cast<double>(INFINITY)}) {
    CAPTURE(bad);
    refused("SGD: the learning rate", [&] { SGD(parameter(), {.lr = bad}); });
    refused("SGD: the weight decay", [&] { SGD(parameter(), {.weight_decay = bad}); });
    refused("SGD: momentum", [&] { SGD(parameter(), {.momentum = bad}); });
    refused("Adam: eps", [&] { Adam(parameter(), {.eps = bad}); });
    refused("AdamW: the learning rate", [&] { AdamW(parameter(), {.lr = bad}); });
    refused("learning rate", [&] { SGD(std::vector<optim::GroupOptions>{{parameter(), bad}}, {}); });
    refused("weight decay", [&] { SGD(std::vector<optim::GroupOptions>{{parameter(), 0.1, bad}}, {}); });
    SGD sgd(parameter(), {.lr = 0.5});
    refused("learning rate", [&] { sgd.set_lr(bad); });
    CHECK(sgd.lr() == 0.5);
  }
  SGD still(std::vector<optim::GroupOptions>{{parameter(), 0, 0}}, {.lr = 0, .weight_decay = 0});
  CHECK(still.lr() == 0);
  CHECK_NOTHROW(Adam(parameter(), {.beta1 = 0, .beta2 = 0, .eps = 0}));
  CHECK_NOTHROW(AdamW(parameter(), {.beta1 = under(1), .beta2 = under(1)}));
  for (const double bad : {1.0, under(0)}) {
    refused("AdamW: the betas", [&] { AdamW(parameter(), {.beta1 = bad}); });
    refused("Adam: the betas", [&] { Adam(parameter(), {.beta2 = bad}); });
  }
  refused("dampening", [&] { SGD(parameter(), {.momentum = 0.5, .dampening = NAN}); });
  CHECK_NOTHROW(SGD(parameter(), {.momentum = 0.5, .nesterov = true}));
  refused("Nesterov", [&] { SGD(parameter(), {.momentum = 0, .nesterov = true}); });
  refused("Nesterov", [&] { SGD(parameter(), {.momentum = 0.5, .dampening = 0.1, .nesterov = true}); });
  refused("Nesterov", [&] { SGD(parameter(), {.momentum = 0.5, .dampening = -0.1, .nesterov = true}); });
}

TEST_CASE("a group has what it is given, and the optimiser's options else") {
  const Variable a(Tensor::full({1}, 1), true), b(Tensor::full({1}, 1), true), c(Tensor::full({1}, 1), true);
  optim::SGD sgd(std::vector<optim::GroupOptions>{{{{"a", a}}}, {{{"b", b}}, 0.25}, {{{"c", c}}, {}, 0.5}},
                 {.lr = 0.125, .weight_decay = 0.0625});
  const std::vector<std::pair<double, double>> expected = {{0.125, 0.0625}, {0.25, 0.0625}, {0.125, 0.5}};
  for (size_t i = 0; i < 3; ++i) {
    CHECK(sgd.groups()[i].lr == expected[i].first);
    CHECK(sgd.groups()[i].weight_decay == expected[i].second);
    Variable(sgd.parameters()[i]).set_grad(Tensor::full({1}, 2));
  }
  sgd.step();
  // w - lr (g + decay w) of each.
  CHECK(a.item() == 1 - 0.125 * 2.0625);
  CHECK(b.item() == 1 - 0.25 * 2.0625);
  CHECK(c.item() == 1 - 0.125 * 2.5);
  sgd.groups()[0].lr = 0;
  CHECK(sgd.lr() == 0);
  sgd.set_lr(0.75);
  for (const optim::ParameterGroup& group : sgd.groups()) CHECK(group.lr == 0.75);
  sgd.zero_grad();
  for (const Variable& p : sgd.parameters()) CHECK_FALSE(p.grad().defined());
}

TEST_CASE("of many parameters without a gradient five are named") {
  for (const int64_t count : {5, 6, 8}) {
    NamedParameters some;
    for (int64_t i = 0; i < count; ++i)
      some.emplace_back(tensor::format("w{}", i), Variable(Tensor::zeros({1}), true));
    optim::SGD sgd(some, {});
    tests::check_error(
        ErrorKind::autograd,
        {tensor::format("{} of its parameters", count), "'w0' (1) f32, 'w1'", "'w4' (1) f32",
         count == 5 ? "'w4' (1) f32. Either" : tensor::format(" and {} more. Either", count - 5)},
        [&] { sgd.expect_gradients(); });
    for (size_t i = 1; i < some.size(); ++i) some[i].second.set_grad(Tensor::zeros({1}));
    tests::check_error(ErrorKind::autograd, {"SGD: 1 of its parameters", ": 'w0' (1) f32. Either"},
                       [&] { sgd.expect_gradients(); });
  }
}

TEST_CASE("schedules take settings up to their bounds") {
  optim::SGD sgd(parameter(), {.lr = 0.5});
  using optim::StepLR, optim::WarmupCosineLR, optim::ReduceLROnPlateau;
  CHECK_NOTHROW(StepLR(sgd, 1, 0));
  refused("StepLR", [&] { StepLR(sgd, 0, 0.5); });
  refused("StepLR", [&] { StepLR(sgd, 1, under(0)); });
  refused("StepLR", [&] { StepLR(sgd, 1, NAN); });
  refused("StepLR", [&] { StepLR(sgd, 1, INFINITY); });
  CHECK_NOTHROW(WarmupCosineLR(sgd, {.warmup_steps = 0, .total_steps = 1, .start_factor = 1, .min_lr = 0}));
  CHECK_NOTHROW(WarmupCosineLR(sgd, {.warmup_steps = 4, .total_steps = 5, .start_factor = 1e-9}));
  refused("WarmupCosineLR: 5 steps", [&] { WarmupCosineLR(sgd, {.warmup_steps = 5, .total_steps = 5}); });
  refused("WarmupCosineLR", [&] { WarmupCosineLR(sgd, {.warmup_steps = -1, .total_steps = 5}); });
  refused("WarmupCosineLR", [&] { WarmupCosineLR(sgd, {.total_steps = 0}); });
  for (const double bad : {0.0, over(1), std::nan("")})
    refused("start factor", [&] { WarmupCosineLR(sgd, {.total_steps = 5, .start_factor = bad}); });
  for (const double bad : {under(0), std::nan("")})
    refused("least rate", [&] { WarmupCosineLR(sgd, {.total_steps = 5, .min_lr = bad}); });
  CHECK_NOTHROW(ReduceLROnPlateau(
      sgd, {.factor = under(1), .patience = 0, .threshold = 0, .cooldown = 0, .min_lr = 0, .eps = 0}));
  CHECK_NOTHROW(ReduceLROnPlateau(sgd, {.factor = over(0)}));
  for (const double bad : {0.0, 1.0, std::nan("")})
    refused("the factor", [&] { ReduceLROnPlateau(sgd, {.factor = bad}); });
  const char* negative = "must not be negative";
  refused(negative, [&] { ReduceLROnPlateau(sgd, {.patience = -1}); });
  refused(negative, [&] { ReduceLROnPlateau(sgd, {.cooldown = -1}); });
  for (const double bad : {under(0), std::nan("")}) {
    refused(negative, [&] { ReduceLROnPlateau(sgd, {.threshold = bad}); });
    refused(negative, [&] { ReduceLROnPlateau(sgd, {.min_lr = bad}); });
    refused(negative, [&] { ReduceLROnPlateau(sgd, {.eps = bad}); });
  }
}

TEST_CASE("a plateau's improvement is more than the threshold") {
  using Options = optim::PlateauOptions;
  struct Case {
    Options::Mode mode;
    Options::Threshold threshold;
    double best, edge;  // the metric that is just no improvement on `best`
  };
  // A quarter of 4, or a quarter.
  for (const Case& c : {Case{Options::Mode::min, Options::Threshold::relative, 4, 3},
                        Case{Options::Mode::max, Options::Threshold::relative, 4, 5},
                        Case{Options::Mode::min, Options::Threshold::relative, -4, -5},
                        Case{Options::Mode::max, Options::Threshold::relative, -4, -3},
                        Case{Options::Mode::min, Options::Threshold::relative, 0, 0},
                        Case{Options::Mode::max, Options::Threshold::relative, -0.0, 0},
                        Case{Options::Mode::min, Options::Threshold::absolute, 4, 3.75},
                        Case{Options::Mode::max, Options::Threshold::absolute, 4, 4.25},
                        Case{Options::Mode::min, Options::Threshold::absolute, -4, -4.25},
                        Case{Options::Mode::max, Options::Threshold::absolute, -4, -3.75}}) {
    CAPTURE(c.edge);
    optim::SGD sgd(parameter(), {.lr = 0.5});
    optim::ReduceLROnPlateau schedule(
        sgd,
        {.mode = c.mode, .factor = 0.5, .patience = 0, .threshold = 0.25, .threshold_mode = c.threshold});
    schedule.step(c.best);
    CHECK(sgd.lr() == 0.5);
    schedule.step(c.edge);
    CHECK(sgd.lr() == 0.25);
    CHECK(schedule.best() == c.best);
    const double better = c.mode == Options::Mode::min ? under(c.edge) : over(c.edge);
    schedule.step(better);
    CHECK(sgd.lr() == 0.25);
    CHECK(schedule.best() == better);
  }
}

TEST_CASE("a plateau's rate falls after patience, not under its least, and not by less than eps") {
  const auto rates = [](const optim::PlateauOptions& options, int steps) {
    optim::SGD sgd(parameter(), {.lr = 0.5});
    optim::ReduceLROnPlateau schedule(sgd, options);
    std::vector<double> all;
    for (int i = 0; i < steps; ++i) {
      schedule.step(1);
      all.push_back(sgd.lr());
    }
    return all;
  };
  using Rates = std::vector<double>;
  CHECK(rates({.factor = 0.5, .patience = 0}, 3) == Rates{0.5, 0.25, 0.125});
  CHECK(rates({.factor = 0.5, .patience = 2}, 7) == Rates{0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125});
  CHECK(rates({.factor = 0.5, .patience = 0, .cooldown = 2}, 8) ==
        Rates{0.5, 0.25, 0.25, 0.25, 0.125, 0.125, 0.125, 0.0625});
  CHECK(rates({.factor = 0.5, .patience = 0, .min_lr = 0.1875}, 4) == Rates{0.5, 0.25, 0.1875, 0.1875});
  // From 1/4 to 1/8 is as much as eps, so it is not made.
  CHECK(rates({.factor = 0.5, .patience = 0, .eps = 0.125}, 4) == Rates{0.5, 0.25, 0.25, 0.25});
}

TEST_CASE("an average takes decays from 0 to under 1") {
  CHECK_NOTHROW(optim::ParameterAverage(parameter(), {.decay = 0.0}));
  CHECK_NOTHROW(optim::ParameterAverage(parameter(), {.decay = under(1)}));
  for (const double bad : {1.0, under(0), std::nan("")})
    refused("average: the decay", [&] { optim::ParameterAverage(parameter(), {.decay = bad}); });
  refused("'p' is undefined", [] { optim::ParameterAverage(NamedParameters{{"p", Variable()}}); });
  refused("no parameters", [] { optim::ParameterAverage(NamedParameters{}); });
}

TEST_CASE("an average's decay warms up, and equal weights need none") {
  for (const bool warm_up : {false, true})
    for (const std::optional<double> decay :
         {std::optional(0.4), std::optional(0.0), std::optional<double>()}) {
      CAPTURE(warm_up);
      CAPTURE(decay.value_or(-1));
      NamedParameters p = parameter();
      optim::ParameterAverage average(p, {.decay = decay, .warm_up = warm_up});
      double expected = 0;
      for (int t = 0; t < 12; ++t) {
        CHECK(average.updates() == t);
        const double value = std::cos(3.0 * t);
        p[0].second.mutable_data().fill_(value);
        average.update();
        double kept = decay.value_or(t / (t + 1.0));
        if (decay && warm_up) kept = std::min(kept, (1.0 + t) / (10.0 + t));
        expected = t == 0 ? value : kept * expected + (1 - kept) * value;
        CHECK(average.state_dict().tensors.at("average.p").to_vector<float>()[1] ==
              doctest::Approx(expected).epsilon(1e-5));
      }
    }
}

TEST_CASE("bounds of clipping: 0 leaves nothing, infinity everything") {
  Variable p(Tensor::zeros({2}), true);
  const auto reset = [&] { p.set_grad(Tensor::from<float>({3, -4}, {2})); };
  const auto gradient = [&] { return p.grad().data().to_vector<float>(); };
  using Values = std::vector<float>;
  reset();
  CHECK(optim::clip_grad_norm_({p}, INFINITY) == 5);
  CHECK(gradient() == Values{3, -4});
  CHECK(optim::clip_grad_norm_({p}, 0) == 5);
  CHECK(gradient() == Values{0, 0});
  reset();
  optim::clip_grad_value_({p}, INFINITY);
  CHECK(gradient() == Values{3, -4});
  optim::clip_grad_value_({p}, 3.5);
  CHECK(gradient() == Values{3, -3.5});
  optim::clip_grad_value_({p}, 0);
  CHECK(gradient() == Values{0, 0});
  refused("clip_grad_value", [&] { optim::clip_grad_value_({p}, NAN); });
  refused("clip_grad_value", [&] { optim::clip_grad_value_({p}, under(0)); });
  refused("clip_grad_norm", [&] { optim::clip_grad_norm_({p}, under(0)); });
  // The coefficient: max / (norm + 1e-6), at most 1.
  CHECK(optim::clip_coefficient(2, 1) == 1 / (2 + 1e-6));
  CHECK(optim::clip_coefficient(1, 1) == 1 / (1 + 1e-6));
  CHECK(optim::clip_coefficient(1, 1 + 2e-6) == 1);
  CHECK(optim::clip_coefficient(0, 0) == 0);
  // Strided gradients by value, too; absent ones stay so.
  Variable s(Tensor::zeros({2, 2}), true), none(Tensor::zeros({1}), true);
  s.set_grad(Tensor::from<float>({2, 0, 1, -2}, {2, 2}).t());
  optim::clip_grad_value_({s, none}, 1.5);
  CHECK(s.grad().data().to_vector<float>() == Values{1.5, 1, 0, -1.5});
  CHECK_FALSE(none.grad().defined());
  p.set_grad(Tensor::from<float>({NAN, 1}, {2}));
  tests::check_error(ErrorKind::data, {"norm of the gradients is nan"},
                     [&] { optim::clip_grad_norm_({p}, 1, true); });
  reset();
  CHECK(optim::clip_grad_norm_({p}, 1, true) == 5);
}

TEST_CASE("a scaler takes settings up to their bounds") {
  using optim::GradScaler;
  CHECK_NOTHROW(GradScaler({.init_scale = 3e38}));
  CHECK_NOTHROW(GradScaler({.init_scale = 1e-30, .min_scale = 0}));
  for (const double bad : {0.0, -1.0, 4e38, std::nan("")})
    refused("the first scale", [&] { GradScaler({.init_scale = bad, .min_scale = 0}); });
  CHECK_NOTHROW(GradScaler({.growth_factor = over(1)}));
  for (const double bad : {1.0, std::nan(""), static_cast<double>(INFINITY)})
    refused("the growth factor", [&] { GradScaler({.growth_factor = bad}); });
  CHECK_NOTHROW(GradScaler({.backoff_factor = under(1)}));
  CHECK_NOTHROW(GradScaler({.backoff_factor = over(0)}));
  for (const double bad : {0.0, 1.0, std::nan("")})
    refused("the backoff factor", [&] { GradScaler({.backoff_factor = bad}); });
  CHECK_NOTHROW(GradScaler({.growth_interval = 1}));
  refused("the growth interval", [] { GradScaler({.growth_interval = 0}); });
  CHECK_NOTHROW(GradScaler({.init_scale = 8, .min_scale = 8}));
  for (const double bad : {over(8), under(0), std::nan("")})
    refused("the least scale", [&] { GradScaler({.init_scale = 8, .min_scale = bad}); });
}
