// What a module does to those below it: three levels, one module in two places, children that come late.
#include <doctest/doctest.h>

#include <memory>
#include <set>
#include <thread>

#include "autograd/ops.h"
#include "nn/dropout.h"
#include "nn/init.h"
#include "nn/linear.h"
#include "nn/sequential.h"
#include "tensor/error.h"
#include "tests/tensor/reference.h"

using autograd::Variable;
using nn::Module;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Tensor;
using tests::check_error;
using tests::values;
using Values = std::vector<double>;
using Names = std::vector<std::string>;

namespace {

class Node : public Module {
 public:
  explicit Node(std::string name, double value = 1) : name_(std::move(name)) {
    register_parameter("w", Tensor::full({2}, value));
    register_parameter("none", Tensor());
    register_buffer("mean", Tensor::full({2}, 10 * value));
    register_buffer("count", Tensor::full({}, value, DType::i64));
    register_buffer("nothing", Tensor());
  }
  std::string describe() const override { return name_ + "(size=2)"; }
  Variable& w() { return parameter("w"); }
  void add(const std::string& name, Module& child) { register_module(name, child); }
  void add_parameter(const std::string& name, const Variable& v) { register_parameter(name, v); }

 private:
  std::string name_;
};

// top - middle - bottom, and top - side; bottom is a child of side, too.
struct Tree {
  Node top{"Top", 1}, middle{"Middle", 2}, bottom{"Bottom", 3}, side{"Side", 4};
  Tree() {
    top.add("middle", middle);
    top.add("side", side);
    middle.add("bottom", bottom);
    side.add("shared", bottom);
  }
  std::vector<Node*> all() { return {&top, &middle, &bottom, &side}; }
};

template <class List>
Names names_of(const List& list) {
  Names names;
  for (const auto& entry : list) names.push_back(entry.first);
  return names;
}

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const tensor::Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("listings go down to the last level, own entries first, what is shared once") {
  Tree t;
  CHECK(names_of(t.top.named_parameters()) == Names{"w", "middle.w", "middle.bottom.w", "side.w"});
  CHECK(names_of(t.top.named_parameters(true)) ==
        Names{"w", "middle.w", "middle.bottom.w", "side.w", "side.shared.w"});
  CHECK(names_of(t.top.named_buffers()) == Names{"mean", "count", "middle.mean", "middle.count",
                                                 "middle.bottom.mean", "middle.bottom.count", "side.mean",
                                                 "side.count"});
  CHECK(names_of(t.top.named_modules()) == Names{"", "middle", "middle.bottom", "side"});
  CHECK(t.top.named_modules()[2].second == &t.bottom);
  CHECK(t.top.parameters().size() == 4);
  CHECK(t.top.parameters()[2].is(t.bottom.w()));
  CHECK(t.top.parameter_count() == 8);
  CHECK(names_of(t.top.children()) == Names{"middle", "side"});
  // By every name.
  CHECK(t.top.parameter("middle.bottom.w").is(t.bottom.w()));
  CHECK(t.top.parameter("side.shared.w").is(t.bottom.w()));
  CHECK(&t.top.buffer("side.shared.mean") == &t.bottom.buffer("mean"));
  check_error(ErrorKind::argument, {"parameter", "Top(size=2)", "'middle.mean'"},
              [&] { t.top.parameter("middle.mean"); });
  check_error(ErrorKind::argument, {"parameter", "'none'"}, [&] { t.top.parameter("none"); });
  check_error(ErrorKind::argument, {"buffer", "Top(size=2)", "'middle.w'"},
              [&] { t.top.buffer("middle.w"); });
  check_error(ErrorKind::argument, {"buffer", "'nothing'"}, [&] { t.top.buffer("nothing"); });
}

TEST_CASE("a name is taken by whatever has it, and a module keeps the one that it got first") {
  Tree t;
  Node other("Other");
  for (const char* name : {"w", "none", "mean", "nothing", "middle"})
    check_error(ErrorKind::argument, {"already has a '" + std::string(name) + "'"},
                [&] { t.top.add(name, other); });
  check_error(ErrorKind::argument, {"'' is not a name"}, [&] { t.top.add("", other); });
  check_error(ErrorKind::argument, {"'a.b' is not a name"}, [&] { t.top.add("a.b", other); });
  check_error(ErrorKind::argument, {"'me' is the module itself"}, [&] { t.top.add("me", t.top); });
  CHECK(t.top.children().size() == 2);
  CHECK(t.bottom.scope_name() == "bottom");
  CHECK(t.top.scope_name() == "Top");
  CHECK(other.scope_name() == "Other");
  check_error(ErrorKind::argument, {"'y' is a result of an op", "detach"},
              [&] { t.top.add_parameter("y", autograd::square(other.w())); });
  // A variable that exists already stays as it is.
  const Variable fixed(Tensor::zeros({2}));
  t.top.add_parameter("fixed", fixed);
  CHECK(t.top.parameter("fixed").is(fixed));
  CHECK(!t.top.parameter("fixed").requires_grad());
}

TEST_CASE("a module owns the children that it makes, and they go with it") {
  static std::set<std::string> gone;
  struct Part : Node {
    explicit Part(std::string name, int copies = 0) : Node(std::move(name)), copies_(copies) {}
    ~Part() override { gone.insert(describe()); }
    int copies_;
  };
  struct Whole : Module {
    explicit Whole(bool second)
        : first(add<Part>("a", "First", 3)),
          maybe(second ? &add<Part>("b", "Second") : nullptr),
          owned(own("c", std::make_unique<Part>("Third"))) {}
    std::string describe() const override { return "Whole"; }
    Part& first;
    Part* maybe;
    Part& owned;
  };
  {
    Whole whole(true);
    CHECK(names_of(whole.children()) == Names{"a", "b", "c"});
    CHECK(names_of(whole.named_parameters()) == Names{"a.w", "b.w", "c.w"});
    CHECK(whole.first.copies_ == 3);
    CHECK(whole.maybe->scope_name() == "b");
    CHECK(&whole.parameter("c.w") == &whole.owned.w());
    CHECK(gone.empty());
  }
  CHECK(gone == std::set<std::string>{"First(size=2)", "Second(size=2)", "Third(size=2)"});
  gone.clear();
  CHECK(names_of(Whole(false).children()) == Names{"a", "c"});
  gone.clear();
  // A name that is taken: the child is not one, and goes all the same.
  struct Twice : Module {
    Twice() { add<Part>("a", "One"), add<Part>("a", "Two"); }
    std::string describe() const override { return "Twice"; }
  };
  check_error(ErrorKind::argument, {"already has a 'a'"}, [] { Twice twice; });
  CHECK(gone == std::set<std::string>{"One(size=2)", "Two(size=2)"});
}

TEST_CASE("train and eval reach every level") {
  Tree t;
  for (const Node* node : t.all()) CHECK(node->training());
  t.top.eval();
  for (const Node* node : t.all()) CHECK(!node->training());
  t.middle.train();
  CHECK(!t.top.training());
  CHECK(t.middle.training());
  CHECK(t.bottom.training());
  CHECK(!t.side.training());
  t.top.train();
  for (const Node* node : t.all()) CHECK(node->training());
  // Below a frozen module, those that are not frozen still change.
  Node free("Free");
  t.side.freeze();
  t.bottom.unfreeze();
  t.top.eval();
  t.top.train();
  CHECK(!t.side.training());
  CHECK(t.bottom.training());
}

TEST_CASE("freezing reaches every level, drops the gradients, and only unfreeze ends it") {
  Tree t;
  for (Node* node : t.all()) node->w().set_grad(Tensor::zeros({2}));
  t.middle.freeze();
  for (Node* node : {&t.middle, &t.bottom}) {
    CHECK(node->frozen());
    CHECK(!node->training());
    CHECK(!node->w().requires_grad());
    CHECK(!node->w().grad().defined());
  }
  for (Node* node : {&t.top, &t.side}) {
    CHECK(!node->frozen());
    CHECK(node->training());
    CHECK(node->w().requires_grad());
    CHECK(node->w().grad().defined());
  }
  CHECK(t.top.parameter_count(true) == 4);
  CHECK(t.top.parameter_count() == 8);
  for (Node* from : t.all()) {
    from->train();
    from->requires_grad_(true);
  }
  for (Node* node : {&t.middle, &t.bottom}) {
    CHECK(node->frozen());
    CHECK(!node->training());
    CHECK(!node->w().requires_grad());
  }
  t.top.unfreeze();
  for (Node* node : t.all()) {
    CHECK(!node->frozen());
    CHECK(node->w().requires_grad());
  }
  CHECK(!t.middle.training());
  CHECK(!t.bottom.training());
  t.top.train();
  for (const Node* node : t.all()) CHECK(node->training());
}

TEST_CASE("a child that comes to a frozen module is frozen with all below it") {
  Node top("Top"), late("Late"), below("Below");
  late.add("below", below);
  late.w().set_grad(Tensor::zeros({2}));
  top.freeze();
  top.add("late", late);
  for (Node* node : {&late, &below}) {
    CHECK(node->frozen());
    CHECK(!node->training());
    CHECK(!node->w().requires_grad());
    CHECK(!node->w().grad().defined());
  }
  top.train();
  top.requires_grad_(true);
  CHECK(!below.training());
  CHECK(!below.w().requires_grad());
  // To one that is not frozen it comes as it is.
  Node open("Open"), cold("Cold");
  cold.freeze();
  open.add("cold", cold);
  open.add("late", late);
  CHECK(cold.frozen());
  CHECK(!open.frozen());
  // A layer that is pushed onto a frozen Sequential.
  nn::Sequential layers;
  layers.freeze();
  auto& linear = layers.emplace<nn::Linear>(2, 3);
  CHECK(linear.frozen());
  CHECK(!linear.weight().requires_grad());
  CHECK(!linear.bias().requires_grad());
}

TEST_CASE("requires_grad_ and zero_grad reach every level") {
  Tree t;
  t.top.requires_grad_(false);
  for (Node* node : t.all()) CHECK(!node->w().requires_grad());
  CHECK(t.top.parameter_count(true) == 0);
  t.side.requires_grad_(true);
  CHECK(t.top.parameter_count(true) == 4);  // side and bottom
  CHECK(!t.middle.frozen());
  t.top.requires_grad_(true);
  for (Node* node : t.all()) {
    CHECK(node->training());
    node->w().set_grad(Tensor::zeros({2}));
  }
  t.middle.zero_grad();
  CHECK(t.top.w().grad().defined());
  CHECK(!t.middle.w().grad().defined());
  CHECK(!t.bottom.w().grad().defined());
  t.top.zero_grad();
  CHECK(!t.top.w().grad().defined());
  CHECK(!t.side.w().grad().defined());
}

TEST_CASE("apply calls on children first, once a place") {
  Tree t;
  Names order;
  t.top.apply([&](Module& module) { order.push_back(module.describe()); });
  CHECK(order == Names{"Bottom(size=2)", "Middle(size=2)", "Bottom(size=2)", "Side(size=2)", "Top(size=2)"});
}

TEST_CASE("to() converts every level, what is shared once, and drops all gradients") {
  Tree t;
  for (Node* node : t.all()) node->w().set_grad(Tensor::zeros({2}));
  t.top.to(DType::f64);
  for (Node* node : t.all()) {
    CHECK(node->w().dtype() == DType::f64);
    CHECK(node->buffer("mean").dtype() == DType::f64);
    CHECK(node->buffer("count").dtype() == DType::i64);
    CHECK(!node->w().grad().defined());
    CHECK(node->w().requires_grad());
  }
  CHECK(values(t.bottom.w().data()) == Values{3, 3});
  CHECK(values(t.bottom.buffer("mean")) == Values{30, 30});
  t.middle.to(DType::f16);
  CHECK(t.bottom.w().dtype() == DType::f16);
  CHECK(t.side.w().dtype() == DType::f64);
  check_error(ErrorKind::dtype, {"to", "i32"}, [&] { t.top.to(DType::i32); });
  CHECK(t.top.w().dtype() == DType::f64);
  t.top.to(tensor::Device{});
  CHECK(values(t.top.w().data()) == Values{1, 1});
}

TEST_CASE("a state dict has every level under every name, and shares the module's memory") {
  Tree t;
  nn::StateDict state = t.top.state_dict();
  CHECK(names_of(state) == Names{"count", "mean", "middle.bottom.count", "middle.bottom.mean",
                                 "middle.bottom.w", "middle.count", "middle.mean", "middle.w", "side.count",
                                 "side.mean", "side.shared.count", "side.shared.mean", "side.shared.w",
                                 "side.w", "w"});
  CHECK(state.at("side.shared.mean").shares_storage(t.bottom.buffer("mean")));
  state.at("middle.bottom.w").fill_(8);
  CHECK(values(t.bottom.w().data()) == Values{8, 8});

  Tree other;
  for (auto& [name, value] : state) value = value.clone();
  const Variable handle = other.bottom.w();
  const uint64_t version = handle.data().version();
  const nn::LoadReport report = other.top.load_state_dict(state);
  CHECK(report.missing.empty());
  CHECK(report.unexpected.empty());
  CHECK(values(handle.data()) == Values{8, 8});  // into the memory that it had
  CHECK(handle.data().version() > version);
  CHECK(!handle.data().shares_storage(state.at("middle.bottom.w")));
  CHECK(handle.requires_grad());
  // One name of what is shared is enough, for buffers, too; without both it is missing under both.
  for (const char* name : {"middle.bottom.w", "side.shared.mean"}) state.erase(name);
  CHECK(other.top.load_state_dict(state).missing.empty());
  for (const char* name : {"side.shared.w"}) state.erase(name);
  CHECK(other.top.load_state_dict(state, false).missing == Names{"middle.bottom.w", "side.shared.w"});
}

TEST_CASE("a state dict's error names at most five of a kind") {
  Node node("Six");
  for (const size_t extra : {5, 6, 7}) {
    nn::StateDict state = node.state_dict();
    for (size_t i = 0; i < extra; ++i) state[tensor::format("x{}", i)] = Tensor::zeros({1});
    const std::string text = message_of([&] { node.load_state_dict(state); });
    CHECK(text.ends_with(extra == 5   ? "Six; unexpected: x0, x1, x2, x3, x4"
                         : extra == 6 ? "Six; unexpected: x0, x1, x2, x3, x4 and 1 more"
                                      : "Six; unexpected: x0, x1, x2, x3, x4 and 2 more"));
  }
  nn::StateDict state = node.state_dict();
  state["w"] = Tensor();
  CHECK(message_of([&] {
          node.load_state_dict(state, false);
        }).ends_with("; does not fit: w: (2) f32 in the module, undefined in the state dict"));
  state["w"] = Tensor::zeros({2}, DType::i64);
  CHECK(message_of([&] {
          node.load_state_dict(state, false);
        }).ends_with("; does not fit: w: (2) f32 in the module, (2) i64 in the state dict"));
  state["w"] = Tensor::zeros({2, 1});
  CHECK(message_of([&] { node.load_state_dict(state, false); }).ends_with("(2, 1) f32 in the state dict"));
  state = node.state_dict();
  state["count"] = Tensor::zeros({}, DType::i32);
  CHECK(message_of([&] {
          node.load_state_dict(state);
        }).ends_with("; does not fit: count: () i64 in the module, () i32 in the state dict"));
}

TEST_CASE("weights are tied to a leaf of the same shape and type only") {
  Tree t;
  Node other("Other", 7);
  t.top.replace_parameter("middle.bottom.w", other.w());
  CHECK(t.bottom.w().is(other.w()));
  CHECK(t.top.parameter("side.shared.w").is(other.w()));
  check_error(ErrorKind::argument, {"'w'", "leaf"},
              [&] { t.top.replace_parameter("w", autograd::square(other.w())); });
  check_error(ErrorKind::argument, {"'w'", "leaf"}, [&] { t.top.replace_parameter("w", Variable()); });
  check_error(ErrorKind::argument, {"'x'"}, [&] { t.top.replace_parameter("x", other.w()); });
  check_error(ErrorKind::shape, {"(2) f32", "(3) f32"},
              [&] { t.top.replace_parameter("w", Tensor::zeros({3})); });
  check_error(ErrorKind::dtype, {"(2) f32", "(2) f16"},
              [&] { t.top.replace_parameter("w", Tensor::zeros({2}, DType::f16)); });
  CHECK(values(t.top.w().data()) == Values{1, 1});
}

TEST_CASE("a module's printing goes down every level, with the settings of those that have children") {
  Tree t;
  CHECK(nn::to_string(t.top) ==
        "Top(\n"
        "  size=2\n"
        "  (middle): Middle(\n"
        "    size=2\n"
        "    (bottom): Bottom(size=2)\n"
        "  )\n"
        "  (side): Side(\n"
        "    size=2\n"
        "    (shared): Bottom(size=2)\n"
        "  )\n"
        ")");
}

TEST_CASE("a Sequential calls its layers in order, and one without layers changes nothing") {
  nn::Sequential empty, outer;
  const Variable x(Tensor::from<double>({1, 2}, {2}), true);
  CHECK(empty(x).is(x));
  struct Times : nn::Layer {
    double factor, shift;
    Times(double f, double s) : factor(f), shift(s) {}
    Variable forward(const Variable& v) override { return v * factor + shift; }
    std::string describe() const override { return "Times"; }
  };
  outer.emplace<Times>(2, 1);
  auto& inner = outer.emplace<nn::Sequential>();
  inner.emplace<Times>(10, 3);
  CHECK(values(outer(x).data()) == Values{33, 53});  // 10 (2 x + 1) + 3
  CHECK(outer(x).grad_fn()->scope() == "Sequential.1.0");
  CHECK(&outer[1] == &inner);
  CHECK(outer.size() == 2);
  check_error(ErrorKind::index, {"layer 2 of 2"}, [&] { outer[2]; });
  check_error(ErrorKind::argument, {"layer 2 is null"}, [&] { outer.push_back(nullptr); });
}

TEST_CASE("SkipInit is the thread's own, nests, and leaves every kind of draw out") {
  tensor::Generator generator(3);
  Tensor t = Tensor::full({2, 2}, 5);
  {
    const nn::SkipInit skip;
    { const nn::SkipInit inner; }
    nn::init::normal(t, 0, 1, generator);
    nn::init::uniform(t, 0, 1, generator);
    nn::init::xavier_uniform(t, generator);
    nn::init::kaiming_normal_fan_out(t, generator);
    nn::init::default_bias(t, t, generator);
    CHECK(values(t) == Values{5, 5, 5, 5});
    nn::init::constant(t, 6);  // not random
    CHECK(values(t) == Values{6, 6, 6, 6});
    CHECK(generator.offset() == 0);
    std::thread([] {
      tensor::Generator its_own(3);
      Tensor drawn = Tensor::zeros({2, 2});
      nn::init::uniform(drawn, 1, 2, its_own);
      CHECK(values(drawn)[3] >= 1);
    }).join();
  }
  nn::init::uniform(t, 1, 2, generator);
  CHECK(values(t)[0] < 2);
}
