#include "optim/optimizer.h"

#include <doctest/doctest.h>

#include <functional>
#include <memory>

#include "autograd/ops.h"
#include "nn/linear.h"
#include "optim/adam.h"
#include "optim/sgd.h"
#include "tensor/error.h"
#include "tests/golden.h"
#include "tests/tensor/reference.h"

using autograd::Variable;
using optim::NamedParameters;
using optim::Optimizer;
using tensor::DType;
using tensor::Error;
using tensor::Tensor;

namespace {

constexpr int kSteps = 10;

const std::map<std::string, Tensor>& golden() {
  static const std::map<std::string, Tensor> tensors = tests::golden("optim");
  return tensors;
}

// The parameters and gradients of tests/golden/make_optim.py.
struct Problem {
  NamedParameters parameters;
  DType dtype;

  explicit Problem(DType type) : dtype(type) {
    for (int i = 0; i < 3; ++i)
      parameters.emplace_back(tensor::format("w{}", i),
                              Variable(golden().at("weight." + std::to_string(i)).to(dtype).clone(), true));
  }
  // Parameter 1 has no gradient in steps 0, 1 and 5.
  void set_gradients(int step, double factor = 1) {
    for (int i = 0; i < 3; ++i) {
      Variable& p = parameters[static_cast<size_t>(i)].second;
      p.zero_grad();
      if (i == 1 && (step == 0 || step == 1 || step == 5)) continue;
      Tensor g = golden().at("gradient." + std::to_string(i)).select(0, step).to(dtype).clone();
      tensor::kernels::affine(g, g.clone(), factor, 0);
      p.set_grad(g);
    }
  }
  std::vector<std::vector<double>> values() const {
    std::vector<std::vector<double>> all;
    for (const auto& [name, p] : parameters) all.push_back(p.data().to(DType::f64).to_vector<double>());
    return all;
  }
  // One group, or the first parameter in a group with lr 0.003 and weight decay 0.2.
  std::vector<optim::GroupOptions> groups(bool two) const {
    if (!two) return {{parameters}};
    return {{{parameters[0]}, 0.003, 0.2}, {{parameters[1], parameters[2]}}};
  }
};

using Make = std::function<std::unique_ptr<Optimizer>(const Problem&)>;

struct Variant {
  const char* name;
  Make make;
};

template <class O, class Options>
Make make(const Options& options, bool two_groups = false) {
  return [=](const Problem& problem) { return std::make_unique<O>(problem.groups(two_groups), options); };
}

using optim::Adam, optim::AdamOptions, optim::AdamW, optim::AdamWOptions, optim::SGD, optim::SgdOptions;

const std::vector<Variant>& variants() {
  static const std::vector<Variant> all = {
      {"adamw", make<AdamW>(AdamWOptions{})},
      {"adamw_options",
       make<AdamW>(AdamWOptions{.lr = 0.02, .beta1 = 0.8, .beta2 = 0.99, .eps = 1e-4, .weight_decay = 0.3})},
      {"adamw_beta1_small", make<AdamW>(AdamWOptions{.lr = 0.02, .beta1 = 0.3, .beta2 = 0.9})},
      {"adamw_no_decay", make<AdamW>(AdamWOptions{.lr = 0.02, .weight_decay = 0})},
      {"adamw_groups", make<AdamW>(AdamWOptions{.lr = 0.02}, true)},
      {"adam", make<Adam>(AdamOptions{})},
      {"adam_decay", make<Adam>(AdamOptions{.lr = 0.01, .weight_decay = 0.1})},
      {"sgd", make<SGD>(SgdOptions{.lr = 0.1})},
      {"sgd_decay", make<SGD>(SgdOptions{.lr = 0.1, .weight_decay = 0.05})},
      {"sgd_momentum", make<SGD>(SgdOptions{.lr = 0.1, .momentum = 0.9})},
      {"sgd_dampening",
       make<SGD>(SgdOptions{.lr = 0.1, .momentum = 0.8, .dampening = 0.3, .weight_decay = 0.05})},
      {"sgd_nesterov",
       make<SGD>(SgdOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.05, .nesterov = true})},
      {"sgd_groups", make<SGD>(SgdOptions{.lr = 0.1, .momentum = 0.9}, true)},
  };
  return all;
}

std::string message(const std::function<void()>& f, tensor::ErrorKind kind) {
  try {
    f();
  } catch (const Error& e) {
    CHECK(e.kind() == kind);
    return e.what();
  }
  FAIL("nothing was thrown");
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("ten steps of each optimiser agree with PyTorch") {
  for (const DType dtype : {DType::f64, DType::f32})
    for (const Variant& variant : variants()) {
      CAPTURE(variant.name);
      CAPTURE(tensor::name_of(dtype));
      Problem problem(dtype);
      const auto optimizer = variant.make(problem);
      for (int step = 0; step < kSteps; ++step) {
        CAPTURE(step);
        problem.set_gradients(step);
        optimizer->step();
        for (int i = 0; i < 3; ++i) {
          const Tensor expected = golden().at(tensor::format("{}/{}", variant.name, i)).select(0, step);
          CHECK(tests::relative_error(problem.parameters[static_cast<size_t>(i)].second.data(), expected) <=
                (dtype == DType::f64 ? 1e-12 : 1e-5));
        }
      }
    }
}

TEST_CASE("a step that scales the gradients is a step with scaled gradients") {
  for (const Variant& variant : variants()) {
    Problem a(DType::f64), b(DType::f64);
    const auto first = variant.make(a), second = variant.make(b);
    for (int step = 0; step < 3; ++step) {
      a.set_gradients(step, 0.25);
      b.set_gradients(step);
      first->step();
      second->step(0.25);
    }
    CAPTURE(variant.name);
    CHECK(a.values() == b.values());
  }
}

TEST_CASE("an optimiser that loads a state continues bit by bit") {
  for (const Variant& variant : variants())
    for (const int saved_after : {1, 4}) {
      CAPTURE(variant.name);
      Problem whole(DType::f32);
      const auto optimizer = variant.make(whole);
      optim::State state;
      std::vector<Tensor> weights;
      for (int step = 0; step < kSteps; ++step) {
        if (step == saved_after) {
          optimizer->set_lr(0.07);
          state = optimizer->state_dict();
          for (auto& [name, t] : state.tensors) t = t.clone();
          for (const auto& [name, p] : whole.parameters) weights.push_back(p.data().clone());
        }
        whole.set_gradients(step);
        optimizer->step();
      }
      Problem resumed(DType::f32);
      for (size_t i = 0; i < 3; ++i) resumed.parameters[i].second.mutable_data().copy_(weights[i]);
      const auto second = variant.make(resumed);
      second->load_state_dict(state);
      CHECK(second->lr() == 0.07);
      for (auto& [name, t] : state.tensors) t.fill_(1e9);  // the optimiser has its own copies
      for (int step = saved_after; step < kSteps; ++step) {
        resumed.set_gradients(step);
        second->step();
      }
      CHECK(resumed.values() == whole.values());
    }
}

TEST_CASE("a state that does not fit changes nothing and says why") {
  Problem problem(DType::f32);
  AdamW optimizer(problem.parameters);
  problem.set_gradients(2);
  optimizer.step();
  const optim::State good = optimizer.state_dict();
  CHECK(good.scalars.at("step.w1") == 1);
  CHECK(good.tensors.size() == 6);
  const auto fails = [&](const char* part, const std::function<void(optim::State&)>& change) {
    optim::State state = good;
    state.scalars["group.0.lr"] = 0.5;
    change(state);
    const std::string text = message([&] { optimizer.load_state_dict(state); }, tensor::ErrorKind::data);
    CHECK_MESSAGE(contains(text, part), text);
    CHECK(contains(text, "AdamW"));
    CHECK(optimizer.lr() == 1e-3);
  };
  fails("exp_avg.w2 is missing", [](auto& s) { s.tensors.erase("exp_avg.w2"); });
  fails("exp_avg.w0 is (4, 3) f32, its parameter (3, 4) f32", [](auto& s) {
    s.tensors["exp_avg.w0"] = Tensor::zeros({4, 3});
  });
  fails("exp_avg.w0 is (3, 4) i64", [](auto& s) {
    s.tensors["exp_avg.w0"] = Tensor::zeros({3, 4}, DType::i64);
  });
  fails("momentum.w0 is unexpected", [](auto& s) { s.tensors["momentum.w0"] = Tensor::zeros({1}); });
  fails("group.1.lr is unexpected", [](auto& s) { s.scalars["group.1.lr"] = 1; });
  fails("group.0.weight_decay is missing", [](auto& s) { s.scalars.erase("group.0.weight_decay"); });
  fails("group.0.lr is nan", [](auto& s) { s.scalars["group.0.lr"] = NAN; });
  fails("step.w0 is 1.5", [](auto& s) { s.scalars["step.w0"] = 1.5; });
  SGD sgd(problem.parameters);
  CHECK_THROWS_AS(sgd.load_state_dict(good), Error);
}

TEST_CASE("an optimiser trains a layer and leaves frozen parameters alone") {
  tensor::Generator generator(1);
  nn::Linear linear(3, 1, true, generator), frozen(3, 1, true, generator);
  frozen.freeze();
  NamedParameters all = linear.named_parameters();
  for (auto& [name, p] : frozen.named_parameters()) all.emplace_back("frozen." + name, p);
  SGD optimizer(all, {.lr = 0.1});
  CHECK(optimizer.parameters().size() == 4);
  const auto before = frozen.weight().data().to_vector<float>();
  Tensor x = Tensor::empty({32, 3});
  tensor::fill_normal(x, 0, 1, generator);
  const Variable target =
      autograd::linear(x, Tensor::from<float>({1, -2, 3}, {1, 3}), Tensor::full({1}, 0.5));
  double loss = 0;
  for (int step = 0; step < 200; ++step) {
    optimizer.zero_grad();
    const Variable error = autograd::mean(autograd::square(linear(x) + frozen(x) * 0.0 - target));
    error.backward();
    optimizer.step();
    loss = error.item();
  }
  CHECK(loss < 1e-6);
  CHECK(linear.bias().item() == doctest::Approx(0.5).epsilon(1e-2));
  CHECK(frozen.weight().data().to_vector<float>() == before);
  optimizer.zero_grad();
  CHECK_FALSE(linear.weight().grad().defined());
}

TEST_CASE("optimisers refuse impossible parameters and options") {
  const Variable p(Tensor::zeros({2}), true), q(Tensor::zeros({2}), true);
  CHECK_THROWS_AS(SGD(NamedParameters{}), Error);
  CHECK_THROWS_AS(SGD(NamedParameters{{"p", Variable()}}), Error);
  CHECK_THROWS_AS(SGD(NamedParameters{{"p", p * 2.0}}), Error);
  CHECK(contains(message(
                     [&] {
                       SGD(NamedParameters{{"p", p}, {"q", p}});
                     },
                     tensor::ErrorKind::argument),
                 "'q' is listed twice"));
  CHECK_THROWS_AS(SGD(NamedParameters{{"p", p}, {"p", q}}), Error);
  const NamedParameters both = optim::number({p, q});
  CHECK(both[1].first == "1");
  CHECK_THROWS_AS(SGD(both, {.lr = -1}), Error);
  CHECK_THROWS_AS(SGD(both, {.lr = NAN}), Error);
  CHECK_THROWS_AS(SGD(both, {.momentum = -0.1}), Error);
  CHECK_THROWS_AS(SGD(both, {.nesterov = true}), Error);
  CHECK_THROWS_AS(SGD(both, {.momentum = 0.9, .dampening = 0.1, .nesterov = true}), Error);
  CHECK_THROWS_AS(SGD(both, {.weight_decay = -0.1}), Error);
  CHECK_THROWS_AS(Adam(both, {.beta1 = 1}), Error);
  CHECK_THROWS_AS(Adam(both, {.beta2 = -0.1}), Error);
  CHECK_THROWS_AS(AdamW(both, {.eps = -1}), Error);
  AdamW optimizer(both);
  CHECK_THROWS_AS(optimizer.set_lr(INFINITY), Error);
  optimizer.step();  // no gradients: nothing to do
  CHECK(optimizer.state_dict().tensors.empty());
}

TEST_CASE("parameters that got no gradient are named on demand") {
  nn::Linear used(2, 1), unused(3, 1);
  optim::NamedParameters all = used.named_parameters();
  for (auto& [name, parameter] : unused.named_parameters()) all.emplace_back("unused." + name, parameter);
  optim::SGD sgd(std::vector<optim::GroupOptions>{{all}}, {.lr = 0.1});
  autograd::sum(used(Tensor::zeros({1, 2}))).backward();
  sgd.step();  // says nothing, as in PyTorch
  tests::check_error(tensor::ErrorKind::autograd,
                     {"SGD", "2 of its parameters", "'unused.weight' (1, 3) f32", "'unused.bias' (1) f32",
                      "left out of the optimiser"},
                     [&] { sgd.expect_gradients(); });
  autograd::sum(unused(Tensor::zeros({1, 3}))).backward();
  sgd.expect_gradients();
}
