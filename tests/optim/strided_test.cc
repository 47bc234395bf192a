// Parameters that are views with strides of their own: as torch.optim does, they are trained like others, and
// stay what they are views of.
#include <doctest/doctest.h>

#include <functional>
#include <memory>

#include "autograd/ops.h"
#include "optim/adam.h"
#include "optim/average.h"
#include "optim/clip.h"
#include "optim/grad_scaler.h"
#include "optim/sgd.h"
#include "tests/tensor/reference.h"

using autograd::Variable;
using optim::NamedParameters;
using optim::Optimizer;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;

namespace {

// A tensor (6, 5) whose elements lie elsewhere than in a row, over `base`.
struct View {
  const char* name;
  Shape base;
  std::function<Tensor(const Tensor&)> of;
};

const std::vector<View>& views() {
  static const std::vector<View> all = {
      {"transposed", {5, 6}, [](const Tensor& b) { return b.t(); }},
      {"columns", {6, 9}, [](const Tensor& b) { return b.slice(1, 2, 7); }},
      {"every other row", {12, 5}, [](const Tensor& b) { return b.slice(0, 1, 12, 2); }},
      {"one of a stack", {6, 3, 5}, [](const Tensor& b) { return b.select(1, 1); }},
      {"rows of a flat buffer", {7, 5}, [](const Tensor& b) { return b.slice(0, 1, 7); }}};  // contiguous
  return all;
}

struct Make {
  const char* name;
  std::function<std::unique_ptr<Optimizer>(const NamedParameters&)> of;
};

const std::vector<Make>& optimizers() {
  static const std::vector<Make> all = {
      {"sgd", [](const auto& p) { return std::make_unique<optim::SGD>(p, optim::SgdOptions{.lr = 0.1}); }},
      {"momentum",
       [](const auto& p) {
         return std::make_unique<optim::SGD>(
             p, optim::SgdOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.05, .nesterov = true});
       }},
      {"adam",
       [](const auto& p) { return std::make_unique<optim::Adam>(p, optim::AdamOptions{.lr = 0.01}); }},
      {"adamw",
       [](const auto& p) { return std::make_unique<optim::AdamW>(p, optim::AdamWOptions{.lr = 0.01}); }}};
  return all;
}

// One parameter and what goes with it: a step is all that a training step does.
struct Run {
  Variable parameter;
  std::unique_ptr<Optimizer> optimizer;
  optim::ParameterAverage average;
  optim::GradScaler scaler;

  Run(const Tensor& data, const Make& make)
      : parameter(data, true),
        optimizer(make.of({{"w", parameter}})),
        average({{"w", parameter}}, {.decay = 0.75}) {}

  void step(const Tensor& gradient) {
    Tensor scaled = gradient.clone();
    tensor::kernels::affine(scaled, gradient, scaler.scale(), 0);
    // Its strides are those of the parameter, or others.
    parameter.set_grad(gradient.is_contiguous() ? scaled : scaled.t().contiguous().t());
    scaler.unscale_(*optimizer);
    optim::clip_grad_norm_(optimizer->parameters(), 1.5);
    optim::clip_grad_value_(optimizer->parameters(), 0.25);
    scaler.step(*optimizer, 0.5);
    scaler.update();
    average.update();
  }
};

bool same(const Tensor& a, const Tensor& b) { return tests::values(a) == tests::values(b); }

}  // namespace

TEST_CASE("parameters with strides are trained to the bit like contiguous ones") {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const View& view : views())
      for (const Make& make : optimizers()) {
        CAPTURE(view.name);
        CAPTURE(make.name);
        Tensor base = tests::random(view.base, dtype, 1);
        const Tensor before = base.clone();
        Run strided(view.of(base), make), plain(view.of(base).clone(), make);
        const Tensor seen = strided.parameter.data();
        for (int step = 0; step < 6; ++step) {
          const Tensor g = tests::random({6, 5}, dtype, 7 + static_cast<uint64_t>(step));
          const uint64_t version = seen.version();
          strided.step(step % 2 == 0 ? g : g.t().contiguous().t());
          plain.step(g);
          CHECK(seen.version() > version);  // a graph notices
          REQUIRE(same(strided.parameter.data(), plain.parameter.data()));
        }
        CHECK(strided.parameter.data().shares_storage(base));
        CHECK(strided.parameter.data().strides() == view.of(base).strides());
        // The base has changed where the parameter lies, and only there.
        Tensor expected = before.clone();
        view.of(expected).copy_(plain.parameter.data());
        CHECK(same(base, expected));
        {
          const optim::UseAverage use_strided(strided.average), use_plain(plain.average);
          CHECK(same(strided.parameter.data(), plain.parameter.data()));
        }
        CHECK(strided.parameter.data().shares_storage(base));

        // A state with strides, of the optimiser and of the average, goes into a new run of each.
        optim::State state = strided.optimizer->state_dict(), averages = strided.average.state_dict();
        for (auto* tensors : {&state.tensors, &averages.tensors})
          for (auto& [name, value] : *tensors) value = value.t().contiguous().t();
        Tensor other = base.clone();
        Run resumed(view.of(other), make);
        resumed.optimizer->load_state_dict(state);
        resumed.average.load_state_dict(averages);
        const Tensor g = tests::random({6, 5}, dtype, 99);
        resumed.step(g), plain.step(g);
        CHECK(same(resumed.parameter.data(), plain.parameter.data()));
        CHECK(same(resumed.average.state_dict().tensors.at("average.w"),
                   plain.average.state_dict().tensors.at("average.w")));
      }
}

TEST_CASE("two halves of one buffer are trained side by side") {
  Tensor base = tests::random({4, 6}, DType::f32, 3);
  Variable left(base.slice(1, 0, 3), true), right(base.slice(1, 3, 6), true);
  Variable a(left.data().clone(), true), b(right.data().clone(), true);
  optim::AdamW strided(optim::number({left, right})), plain(optim::number({a, b}));
  for (int step = 0; step < 3; ++step) {
    strided.zero_grad(), plain.zero_grad();
    sum(left * left * 2.0).backward(), sum(a * a * 2.0).backward();
    if (step != 1) sum(right * left).backward(), sum(b * a).backward();
    strided.step(), plain.step();
  }
  CHECK(same(left.data(), a.data()));
  CHECK(same(right.data(), b.data()));
}
