#include "nn/module.h"

#include <doctest/doctest.h>

#include <limits>
#include <memory>

#include "autograd/ops.h"
#include "nn/batch_norm.h"
#include "nn/init.h"
#include "nn/linear.h"
#include "tensor/error.h"
#include "tensor/kernels.h"

using autograd::Variable;
using nn::Module;
using tensor::DType;
using tensor::Error;
using tensor::Tensor;

namespace {

class Leaf : public Module {
 public:
  explicit Leaf(int64_t n, bool bias = true)
      : weight_(register_parameter("weight", Tensor::full({n, 2}, 1))),
        bias_(register_parameter("bias", bias ? Tensor::zeros({n}) : Tensor())),
        count_(register_buffer("count", Tensor::zeros({}, DType::i64))) {}
  std::string describe() const override { return tensor::format("Leaf({}, 2)", weight_.size(0)); }
  Variable& weight_;
  Variable& bias_;
  Tensor& count_;
};

class Tree : public Module {
 public:
  Tree() : left_(add<Leaf>("left", 3)) {
    scale_ = register_parameter("scale", Tensor::full({1}, 3));
    for (int i = 0; i < 2; ++i)
      blocks_.push_back(&add<Leaf>("block" + std::to_string(i), int64_t{i + 1}, false));
  }
  std::string describe() const override { return "Tree(depth=2)"; }
  Variable scale_;
  Leaf& left_;
  std::vector<Leaf*> blocks_;
};

std::vector<std::string> names(const Module& module, bool duplicates = false) {
  std::vector<std::string> result;
  for (const auto& [name, variable] : module.named_parameters(duplicates)) result.push_back(name);
  return result;
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

TEST_CASE("SkipInit leaves the generator alone, and only while it lives") {
  tensor::Generator generator(3);
  {
    const nn::SkipInit skip;
    const nn::SkipInit inner;
    const nn::Linear layer(3, 2, true, generator);
    CHECK(layer.weight().shape() == tensor::Shape{2, 3});
  }
  CHECK(generator.offset() == 0);
  const nn::Linear layer(3, 2, true, generator);
  CHECK(generator.offset() > 0);
}

TEST_CASE("parameters have dotted names in the order of registration") {
  Tree tree;
  CHECK(names(tree) ==
        std::vector<std::string>{"scale", "left.weight", "left.bias", "block0.weight", "block1.weight"});
  CHECK(tree.named_buffers().size() == 3);
  CHECK(tree.named_buffers()[0].first == "left.count");
  CHECK(tree.parameter_count() == 1 + 6 + 3 + 2 + 4);
  CHECK(tree.parameter("left.bias").is(tree.left_.bias_));
  CHECK(tree.named_modules().size() == 4);
  CHECK(tree.named_modules()[3].first == "block1");
  CHECK(contains(message([&] { tree.parameter("left.b"); }, tensor::ErrorKind::argument), "'left.b'"));
  CHECK_THROWS_AS(tree.buffer("scale"), Error);
  for (const Variable& p : tree.parameters()) CHECK(p.requires_grad());
}

TEST_CASE("names are unique, not empty and without dots") {
  struct Bad : Module {
    std::string describe() const override { return "Bad"; }
    void parameter_named(const std::string& name) { register_parameter(name, Tensor::zeros({1})); }
    void buffer_named(const std::string& name) { register_buffer(name, Tensor::zeros({1})); }
    void self() { register_module("self", *this); }
  } bad;
  bad.parameter_named("a");
  CHECK_THROWS_AS(bad.parameter_named("a"), Error);
  CHECK_THROWS_AS(bad.buffer_named("a"), Error);
  CHECK_THROWS_AS(bad.parameter_named(""), Error);
  CHECK_THROWS_AS(bad.parameter_named("a.b"), Error);
  CHECK_THROWS_AS(bad.self(), Error);
}

TEST_CASE("train and eval reach all children, frozen ones excepted") {
  Tree tree;
  CHECK(tree.training());
  tree.eval();
  CHECK_FALSE(tree.blocks_[1]->training());
  tree.train();
  CHECK(tree.blocks_[1]->training());

  tree.left_.weight_.set_grad(Tensor::zeros({3, 2}));
  tree.left_.freeze();
  CHECK_FALSE(tree.left_.weight_.grad().defined());
  tree.train();
  tree.left_.train();
  tree.requires_grad_(true);
  tree.left_.requires_grad_(true);
  CHECK(tree.training());
  CHECK_FALSE(tree.left_.training());
  CHECK_FALSE(tree.left_.weight_.requires_grad());
  CHECK(tree.scale_.requires_grad());
  CHECK(tree.parameter_count(true) == 1 + 2 + 4);
  tree.left_.unfreeze();
  CHECK_FALSE(tree.left_.training());
  tree.train();
  CHECK(tree.left_.training());
  CHECK(tree.parameter_count(true) == tree.parameter_count());

  tree.freeze();
  tree.blocks_[0]->train();
  CHECK_FALSE(tree.blocks_[0]->training());
  CHECK(tree.parameter_count(true) == 0);
  tree.unfreeze();
  tree.requires_grad_(false);
  CHECK(tree.parameter_count(true) == 0);
}

TEST_CASE("tied parameters are counted once, and are found under all names in the state dict") {
  Tree tree;
  Leaf other(3);
  tree.replace_parameter("left.weight", other.weight_);
  CHECK(tree.left_.weight_.is(other.weight_));
  tree.blocks_.push_back(nullptr);  // no effect on the registered ones
  struct Pair : Module {
    Leaf &a, &b;
    Pair() : a(add<Leaf>("a", 3)), b(add<Leaf>("b", 3)) { replace_parameter("b.weight", a.weight_); }
    std::string describe() const override { return "Pair"; }
  } pair;
  CHECK(names(pair) == std::vector<std::string>{"a.weight", "a.bias", "b.bias"});
  CHECK(names(pair, true).size() == 4);
  CHECK(pair.parameter_count() == 6 + 3 + 3);
  nn::StateDict state = pair.state_dict();
  CHECK(state.size() == 6);
  CHECK(state.at("a.weight").shares_storage(state.at("b.weight")));
  state.erase("b.weight");
  state["a.weight"] = Tensor::full({3, 2}, 7);
  pair.load_state_dict(state);
  CHECK(pair.b.weight_.data().to_vector<float>()[5] == 7);

  CHECK(contains(
      message([&] { pair.replace_parameter("b.bias", Tensor::zeros({2})); }, tensor::ErrorKind::shape),
      "'b.bias' is (3) f32, the new variable (2) f32"));
  CHECK_THROWS_AS(pair.replace_parameter("b.bias", Tensor::zeros({3}, DType::f64)), Error);
}

TEST_CASE("a state dict goes from one module into another") {
  Tree from, to;
  float value = 0;
  for (Variable& p : from.parameters()) p.mutable_data().fill_(++value);
  from.left_.count_.fill_(17);
  nn::StateDict copy;
  for (auto& [name, t] : from.state_dict()) copy.emplace(name, t.clone());
  CHECK(copy.size() == 8);
  const nn::LoadReport report = to.load_state_dict(copy);
  CHECK(report.missing.empty());
  CHECK(report.unexpected.empty());
  CHECK(to.left_.count_.item() == 17);
  for (const auto& [name, t] : to.state_dict())
    if (t.dtype() == DType::f32) CHECK(t.to_vector<float>() == copy.at(name).to_vector<float>());
  // 16-bit and 64-bit files load into f32.
  copy["scale"] = Tensor::full({1}, 0.5, DType::bf16);
  copy["left.bias"] = Tensor::full({3}, 0.25, DType::f64);
  to.load_state_dict(copy);
  CHECK(to.scale_.dtype() == DType::f32);
  CHECK(to.scale_.item() == 0.5);
  CHECK(to.left_.bias_.data().to_vector<float>() == std::vector<float>(3, 0.25f));
}

TEST_CASE("a state dict's values have to be finite where that is asked for") {
  Tree tree;
  nn::StateDict state;
  for (auto& [name, t] : tree.state_dict()) state.emplace(name, t.clone());
  state["left.bias"].mutable_data<float>()[1] = std::numeric_limits<float>::infinity();
  tree.load_state_dict(state);
  const auto but_for = [&](const std::string& name) {
    return nn::LoadOptions{.finite = [=](const std::string& key) { return key != name; }};
  };
  tree.load_state_dict(state, but_for("left.bias"));
  CHECK(message([&] { tree.load_state_dict(state, but_for("")); }, tensor::ErrorKind::data) ==
        "left.bias: 1 of 3 values NaN or infinite");
}

TEST_CASE("a module may take a state dict's tensors as they are, and refuses the same") {
  Tree tree;
  nn::StateDict state;
  for (auto& [name, t] : tree.state_dict())
    state.emplace(name, tensor::is_floating(t.dtype()) ? t.to(DType::f16) : t.clone());
  nn::LoadOptions adopt{.finite = [](const std::string&) { return true; }, .adopt = true};
  tree.load_state_dict(state, adopt);
  for (const auto& [name, t] : tree.state_dict()) {
    CHECK(t.shares_storage(state.at(name)));
  }
  CHECK(tree.parameter("left.bias").dtype() == DType::f16);
  CHECK(tree.check_state_dict(state).missing.empty());
  state["left.bias"] = Tensor::full({3}, std::numeric_limits<float>::infinity(), DType::f16);
  CHECK(message([&] { tree.load_state_dict(state, adopt); }, tensor::ErrorKind::data) ==
        "left.bias: 3 of 3 values NaN or infinite");
  state.erase("left.bias");
  CHECK(contains(message([&] { tree.check_state_dict(state); }, tensor::ErrorKind::data),
                 "missing: left.bias"));
  CHECK(tree.check_state_dict(state, false).missing == std::vector<std::string>{"left.bias"});
}

TEST_CASE("a batch norm's count of batches may be missing in a file, and then stays") {
  nn::BatchNorm2d norm(2);
  norm.buffer("num_batches_tracked").fill_(5);
  nn::StateDict state = nn::BatchNorm2d(2).state_dict();
  state.erase("num_batches_tracked");
  CHECK(norm.load_state_dict(state).missing.empty());
  CHECK(norm.buffer("num_batches_tracked").item() == 5);
  state.erase("running_mean");
  CHECK(contains(message([&] { norm.load_state_dict(state); }, tensor::ErrorKind::data),
                 "missing: running_mean"));
}

// import torch
// bn = torch.nn.BatchNorm2d(1, momentum=None)
// for k in range(2): bn(torch.arange(4.0).view(1, 1, 2, 2) + k)
// bn.load_state_dict({"weight": torch.tensor([2.0]), "bias": torch.tensor([1.0]),
//                     "running_mean": torch.tensor([10.0]), "running_var": torch.tensor([4.0])})
// bn(torch.arange(4.0).view(1, 1, 2, 2))
// print(bn.num_batches_tracked, bn.running_mean.item(), bn.running_var.item())  # 3 7.1666660 3.2222221
TEST_CASE("a batch norm that was loaded without its count goes on counting where it was, as in PyTorch") {
  const auto batch = [](double k) {
    Tensor x = Tensor::arange(4, DType::f32).view({1, 1, 2, 2});
    tensor::kernels::affine(x, x.clone(), 1, k);
    return x;
  };
  nn::BatchNorm2d norm(1, {.momentum = std::nullopt});
  norm(batch(0)), norm(batch(1));
  const nn::StateDict old = {{"weight", Tensor::full({1}, 2)},
                             {"bias", Tensor::full({1}, 1)},
                             {"running_mean", Tensor::full({1}, 10)},
                             {"running_var", Tensor::full({1}, 4)}};
  norm.load_state_dict(old);
  norm(batch(0));
  CHECK(norm.buffer("num_batches_tracked").item() == 3);
  CHECK(norm.running_mean().item() == doctest::Approx(7.166666030883789).epsilon(1e-6));
  CHECK(norm.running_var().item() == doctest::Approx(3.222222089767456).epsilon(1e-6));
  // The rest is wanted as ever, and a count that is there has to be one.
  for (const auto& [name, value] : old) {
    nn::StateDict less = old;
    less.erase(name);
    CHECK(
        contains(message([&] { norm.load_state_dict(less); }, tensor::ErrorKind::data), "missing: " + name));
    CHECK(norm.load_state_dict(less, false).missing == std::vector<std::string>{name});
  }
  nn::StateDict wrong = old;
  wrong["num_batches_tracked"] = Tensor::zeros({2}, DType::i64);
  CHECK(contains(message([&] { norm.load_state_dict(wrong); }, tensor::ErrorKind::data), "does not fit"));
}

TEST_CASE("a graph notices that its module was loaded or converted before the backward pass") {
  nn::Linear layer(2, 2);
  const auto changed = [&](const char* what, const std::function<void()>& change) {
    const Variable x(Tensor::full({1, 2}, 1), true);
    const Variable loss = autograd::sum(layer(x));
    change();
    const std::string text = message([&] { loss.backward(); }, tensor::ErrorKind::autograd);
    CHECK(contains(text, what));
  };
  changed("in place", [&] { layer.load_state_dict(nn::Linear(2, 2).state_dict()); });
  changed("another", [&] { layer.to(DType::f64); });
  layer.to(DType::f32);
  changed("another", [&] { layer.parameter("weight").mutable_data() = Tensor::zeros({2, 2}); });
  // Another variable in its place: the graph has kept the old one.
  const Variable x(Tensor::full({1, 2}, 1), true);
  const Variable loss = autograd::sum(layer(x));
  layer.replace_parameter("weight", Variable(Tensor::full({2, 2}, 5), true));
  loss.backward();
  CHECK(x.grad().data().to_vector<float>() == std::vector<float>{0, 0});
  // To the type that it has: nothing has changed.
  const Variable again = autograd::sum(layer(x));
  layer.to(DType::f32);
  again.backward();
  CHECK(x.grad().data().to_vector<float>() == std::vector<float>{10, 10});
}

TEST_CASE("a state dict that does not fit changes nothing and says what is wrong") {
  Tree tree;
  nn::StateDict state = tree.state_dict();
  for (auto& [name, t] : state) t = t.clone(), t.fill_(9);
  state.erase("left.bias");
  state["lef.bias"] = Tensor::zeros({3});
  std::string text = message([&] { tree.load_state_dict(state); }, tensor::ErrorKind::data);
  CHECK(contains(text, "load_state_dict: the state dict is not one of this Tree; "));
  CHECK(contains(text, "missing: left.bias"));
  CHECK(contains(text, "unexpected: lef.bias"));
  CHECK(tree.scale_.item() == 3);
  state["left.weight"] = Tensor::zeros({2, 3}, DType::f64);
  state["left.count"] = Tensor::zeros({});
  text = message([&] { tree.load_state_dict(state, false); }, tensor::ErrorKind::data);
  CHECK(contains(text, "left.weight: (3, 2) f32 in the module, (2, 3) f64 in the state dict"));
  CHECK(contains(text, "left.count: () i64 in the module, () f32 in the state dict"));
  CHECK_FALSE(contains(text, "missing"));
  CHECK(tree.scale_.item() == 3);
  state.erase("left.weight"), state.erase("left.count");
  const nn::LoadReport report = tree.load_state_dict(state, false);
  CHECK(report.missing == std::vector<std::string>{"left.weight", "left.bias", "left.count"});
  CHECK(report.unexpected == std::vector<std::string>{"lef.bias"});
  CHECK(tree.scale_.item() == 9);
  for (int i = 0; i < 100; ++i) state[tensor::format("x{:03}", i)] = Tensor::zeros({1});
  CHECK(contains(message([&] { tree.load_state_dict(state); }, tensor::ErrorKind::data), "and 96 more"));
}

TEST_CASE("to() converts floating tensors and keeps integers and ties") {
  Tree tree;
  tree.scale_.set_grad(Tensor::zeros({1}));
  const Variable shared = tree.left_.weight_;
  tree.to(DType::f64);
  CHECK(shared.dtype() == DType::f64);
  CHECK(tree.left_.count_.dtype() == DType::i64);
  CHECK_FALSE(tree.scale_.grad().defined());
  CHECK(tree.scale_.requires_grad());
  CHECK_THROWS_AS(tree.to(DType::i64), Error);
}

TEST_CASE("a module prints as in PyTorch") {
  Tree tree;
  CHECK(nn::to_string(tree) ==
        "Tree(\n  depth=2\n  (left): Leaf(3, 2)\n  (block0): Leaf(1, 2)\n  (block1): Leaf(2, 2)\n)");
  struct Empty : Module {
    std::string describe() const override { return "Empty"; }
  } empty;
  CHECK(nn::to_string(empty) == "Empty()");
}
