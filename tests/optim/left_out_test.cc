// expect_gradients: a module that gets gradients inside another one, but that no optimiser has.
#include <doctest/doctest.h>

#include <thread>

#include "autograd/ops.h"
#include "nn/linear.h"
#include "optim/adam.h"
#include "optim/sgd.h"
#include "tests/tensor/reference.h"

using autograd::Variable;
using tensor::ErrorKind;
using tensor::Tensor;
using tests::check_error;

namespace {

class Net : public nn::Layer {
 public:
  explicit Net(bool detached = false) : detached_(detached), body_(add<nn::Linear>("body", 2, 2)) {}
  Variable forward(const Variable& x) override {
    const Variable y = forgotten(x);
    return body_(x) + (detached_ ? y.detach() : y);
  }
  std::string describe() const override { return "Net"; }
  void name_forgotten() { register_module("forgotten", forgotten); }

  nn::Linear forgotten{2, 2};  // not a child

 private:
  bool detached_;
  nn::Linear& body_;
};

Variable loss(nn::Layer& model) { return autograd::sum(model(Variable(Tensor::full({1, 2}, 1)))); }

void check_left_out(const optim::Optimizer& optimizer) {
  check_error(
      ErrorKind::autograd,
      {"SGD: Linear(in_features=2, out_features=2, bias=True) is called in Net, but it is no module's "
       "child, so that its parameters are not trained: make it with add()"},
      [&] { optimizer.expect_gradients(); });
}

}  // namespace

TEST_CASE("a layer that is called but was never made a child is reported after backward") {
  Net net;
  optim::SGD sgd(net.named_parameters(), {.lr = 0.1});
  const Tensor before = net.forgotten.weight().data().clone();
  loss(net).backward();
  check_left_out(sgd);
  sgd.step();  // says nothing and leaves it as it is, which is why one asks
  CHECK(tests::values(net.forgotten.weight().data()) == tests::values(before));
  sgd.zero_grad();
  loss(net).backward();
  check_left_out(sgd);
}

TEST_CASE("what is right, or is no business of this optimiser, is not reported") {
  SUBCASE("a child") {
    Net net;
    net.name_forgotten();
    optim::SGD sgd(net.named_parameters(), {.lr = 0.1});
    loss(net).backward();
    sgd.expect_gradients();
  }
  SUBCASE("the optimiser has the parameters all the same") {
    Net net;
    optim::NamedParameters all = net.named_parameters();
    for (auto& [name, parameter] : net.forgotten.named_parameters())
      all.emplace_back("more." + name, parameter);
    optim::SGD sgd(all, {.lr = 0.1});
    loss(net).backward();
    sgd.expect_gradients();
  }
  SUBCASE("another optimiser has them") {
    Net net;
    optim::SGD sgd(net.named_parameters(), {.lr = 0.1});
    const optim::AdamW adam(net.forgotten.named_parameters());
    loss(net).backward();
    sgd.expect_gradients();
    adam.expect_gradients();
  }
  SUBCASE("it is made a child, and an optimiser gets it, before the next step") {
    Net net;
    optim::SGD first(net.named_parameters(), {.lr = 0.1});
    loss(net).backward();
    check_left_out(first);
    net.name_forgotten();
    optim::SGD second(net.named_parameters(), {.lr = 0.1});
    second.expect_gradients();
  }
  SUBCASE("it is frozen") {
    Net net;
    net.forgotten.freeze();
    optim::SGD sgd(net.named_parameters(), {.lr = 0.1});
    loss(net).backward();
    sgd.expect_gradients();
  }
  SUBCASE("no gradient gets to it") {
    Net net(true);
    optim::SGD sgd(net.named_parameters(), {.lr = 0.1});
    loss(net).backward();
    sgd.expect_gradients();
  }
  SUBCASE("a plain function calls two models that one optimiser has") {
    nn::Linear first(2, 2), second(2, 2);
    optim::NamedParameters all = first.named_parameters();
    for (auto& [name, parameter] : second.named_parameters()) all.emplace_back("second." + name, parameter);
    optim::SGD sgd(all, {.lr = 0.1});
    autograd::sum(second(first(Variable(Tensor::full({1, 2}, 1))))).backward();
    sgd.expect_gradients();
  }
  SUBCASE("the mistake is in another thread's model") {
    Net wrong;
    std::thread([&] { loss(wrong).backward(); }).join();
    Net right;
    right.name_forgotten();
    optim::SGD sgd(right.named_parameters(), {.lr = 0.1});
    loss(right).backward();
    sgd.expect_gradients();
    optim::SGD others(wrong.named_parameters(), {.lr = 0.1});
    check_left_out(others);
  }
}
