// Modules that are called inside another without being its children: anomaly mode names them, and no others.
#include "nn/left_out.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "autograd/anomaly.h"
#include "autograd/ops.h"
#include "nn/activation.h"
#include "nn/linear.h"
#include "nn/lstm.h"
#include "nn/sequential.h"
#include "tests/tensor/reference.h"

using autograd::DetectAnomaly;
using autograd::Variable;
using tensor::ErrorKind;
using tensor::Tensor;
using tests::check_error;

namespace {

// `inner` is a member that nobody registered, or one that the subclass registers.
class Net : public nn::Layer {
 public:
  Net() : body_(add<nn::Linear>("body", 2, 2)) {}
  Variable forward(const Variable& x) override { return inner(body_(x)); }
  std::string describe() const override { return "Net"; }
  void name_inner() { register_module("inner", inner); }
  void share(const Variable& weight) { register_parameter("shared", weight); }

  nn::Linear inner{2, 2, false};

 private:
  nn::Linear& body_;
};

// Calls a layer that lives elsewhere.
class Caller : public nn::Layer {
 public:
  explicit Caller(nn::Layer& other, bool weights = true) : other_(other) {
    if (weights) add<nn::Linear>("mine", 2, 2);
  }
  Variable forward(const Variable& x) override { return other_(x); }
  std::string describe() const override { return "Caller(of=1)"; }

 private:
  nn::Layer& other_;
};

const Variable& input() {
  static const Variable x = Tensor::full({1, 2}, 1);
  return x;
}

bool same(const autograd::Variables& a, const autograd::Variables& b) {
  return std::ranges::equal(a, b, [](const Variable& x, const Variable& y) { return x.is(y); });
}

// Nothing is reported, whether at once or later.
void check_quiet(nn::Layer& model) {
  {
    const DetectAnomaly detect;
    autograd::sum(model(Variable(input().data(), true))).backward();
  }
  CHECK(nn::left_out_modules().empty());
}

}  // namespace

TEST_CASE("anomaly mode: a layer that is called inside a module, but is not its child") {
  Net net;
  const DetectAnomaly detect;
  check_error(
      ErrorKind::autograd,
      {"Linear(in_features=2, out_features=2, bias=False) is called in Net, but it is no module's child",
       "add()", "register_module()"},
      [&] { net(input()); });
  CHECK(autograd::current_scope().empty());
  nn::Sequential outer;
  outer.emplace<nn::ReLU>();
  outer.emplace<Net>();
  outer.emplace<nn::Linear>(2, 2);
  check_error(ErrorKind::autograd, {"is called in Sequential.1, but"}, [&] { outer(input()); });
  CHECK(nn::left_out_modules().size() == 2);
}

TEST_CASE("a module is left out from its call until it gets a parent or goes") {
  {
    Net net;
    CHECK(nn::left_out_modules().empty());
    net(input());  // no observer: no error
    net(input());
    const auto left_out = nn::left_out_modules();
    REQUIRE(left_out.size() == 1);
    CHECK(left_out[0].module == "Linear(in_features=2, out_features=2, bias=False)");
    CHECK(left_out[0].caller == "Net");
    CHECK(same(left_out[0].parameters, net.inner.parameters()));
    CHECK(same(left_out[0].others, net.parameters()));
    net.name_inner();
    CHECK(nn::left_out_modules().empty());
    check_quiet(net);
    Net other;
    other(input());
    CHECK(nn::left_out_modules().size() == 1);
  }
  CHECK(nn::left_out_modules().empty());
}

TEST_CASE("a module is left out no longer once a later call finds it trained, frozen or known") {
  const std::pair<std::string, std::function<void(Net&)>> mendings[] = {
      {"an optimiser",
       [](Net& net) {
         for (Variable& parameter : net.inner.parameters()) parameter.set_optimised();
       }},
      {"frozen", [](Net& net) { net.inner.freeze(); }},
      {"shared", [](Net& net) { net.share(net.inner.weight()); }}};
  for (const auto& [how, mend] : mendings) {
    CAPTURE(how);
    Net net;
    net(input());
    CHECK(nn::left_out_modules().size() == 1);
    mend(net);
    net(input());
    CHECK(nn::left_out_modules().empty());
  }
}

TEST_CASE("a whole model inside another, and one that is no Layer") {
  Net inner;
  inner.name_inner();
  Caller caller(inner);
  const DetectAnomaly detect;
  check_error(ErrorKind::autograd, {"Net is called in Caller, but"}, [&] { caller(input()); });
  struct Recurrent : nn::Layer {
    nn::LSTM lstm{2, 2};
    Recurrent() { add<nn::Linear>("out", 2, 2); }
    Variable forward(const Variable& x) override { return lstm.step(x).back().h; }
    std::string describe() const override { return "Recurrent"; }
  } recurrent;
  check_error(ErrorKind::autograd, {"LSTM(2, 2) is called in Recurrent, but"}, [&] { recurrent(input()); });
}

TEST_CASE("correct models are not reported") {
  SUBCASE("a module that two others share, owned by neither") {
    nn::Linear shared(2, 2);
    struct Owner : nn::Layer {
      explicit Owner(nn::Linear& s) : shared(s) {
        register_module("shared", s), add<nn::Linear>("own", 2, 2);
      }
      Variable forward(const Variable& x) override { return shared(x); }
      std::string describe() const override { return "Owner"; }
      nn::Linear& shared;
    } a(shared), b(shared);
    check_quiet(a);
    check_quiet(b);
  }
  SUBCASE("a child of another module, which trains it") {
    Net net;
    net.name_inner();
    Caller caller(net.inner);
    check_quiet(caller);
  }
  SUBCASE("layers of a Sequential in a Sequential") {
    nn::Sequential outer;
    auto& inner = outer.emplace<nn::Sequential>();
    inner.emplace<nn::Linear>(2, 2);
    inner.emplace<nn::ReLU>();
    check_quiet(outer);
  }
  SUBCASE("modules without a parent that a plain function calls one after another") {
    nn::Linear first(2, 2), second(2, 2);
    const DetectAnomaly detect;
    autograd::sum(second(autograd::relu(first(input())))).backward();
    CHECK(nn::left_out_modules().empty());
  }
  SUBCASE("without parameters") {
    nn::ReLU relu;
    Caller caller(relu);
    check_quiet(caller);
  }
  SUBCASE("frozen") {
    Net net;
    net.inner.freeze();
    check_quiet(net);
  }
  SUBCASE("evaluation, without a graph") {
    Net net;
    const autograd::NoGrad no_grad;
    const DetectAnomaly detect;
    net(input());
    CHECK(nn::left_out_modules().empty());
  }
  SUBCASE("an optimiser has it: two models with two optimisers") {
    nn::Linear other(2, 2);
    for (Variable& parameter : other.parameters()) parameter.set_optimised();
    Caller caller(other);
    check_quiet(caller);
  }
  SUBCASE("its weights are the caller's, too") {
    Net net;
    net.share(net.inner.weight());
    check_quiet(net);
  }
  SUBCASE("the caller has nothing to train itself: a loss around a model") {
    nn::Linear model(2, 2);
    Caller loss(model, false);
    check_quiet(loss);
  }
  SUBCASE("the outermost, called again from inside") {
    struct Again : nn::Layer {
      Again() : part(add<nn::Linear>("part", 2, 2)) {}
      Variable forward(const Variable& x) override { return ++calls % 2 == 1 ? (*this)(x) : part(x); }
      std::string describe() const override { return "Again"; }
      nn::Linear& part;
      int calls = 0;
    } again;
    check_quiet(again);
  }
}

TEST_CASE("two threads call models of their own, one right and one wrong") {
  Net right, wrong;
  right.name_inner();
  std::thread other([&] {
    for (int i = 0; i < 200; ++i) wrong(input());
  });
  for (int i = 0; i < 200; ++i) {
    const DetectAnomaly detect;
    autograd::sum(right(input())).backward();
    for (const nn::LeftOut& left_out : nn::left_out_modules()) CHECK(left_out.parameters.size() == 1);
  }
  other.join();
  REQUIRE(nn::left_out_modules().size() == 1);
  CHECK(same(nn::left_out_modules()[0].parameters, wrong.inner.parameters()));
}
