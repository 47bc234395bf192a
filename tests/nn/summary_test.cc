#include "nn/summary.h"

#include "autograd/node.h"
#include "autograd/ops.h"
#include "nn/activation.h"
#include "nn/conv2d.h"
#include "nn/dropout.h"
#include "nn/linear.h"
#include "nn/lstm.h"
#include "nn/sequential.h"
#include "tests/tensor/reference.h"

using namespace nn;
using tests::check_error;

namespace {

class Net : public Layer {
 public:
  Net()
      : hidden_(add<Sequential>("hidden")),
        out_(add<Linear>("out", 4, 2, false)),
        spare_(add<Linear>("spare", 3, 3)) {
    hidden_.emplace<Linear>(6, 4);
    hidden_.emplace<ReLU>();
    hidden_.emplace<Dropout>(0.5);
  }
  Variable forward(const Variable& x) override { return out_(hidden_(hidden_.size() > 0 ? x : x)); }
  std::string describe() const override { return "Net"; }

  Sequential& hidden_;
  Linear &out_, &spare_;
};

}  // namespace

TEST_CASE("modules push their names: nodes and errors say where") {
  Net net;
  const Variable y = net(Tensor::zeros({5, 6}));
  CHECK(y.grad_fn()->scope() == "Net.out");
  check_error(ErrorKind::shape, {"linear", "(5, 7)", "(in Net.hidden.0)"}, [&] {
    net(Tensor::zeros({5, 7}));
  });
  LSTM lstm(3, 4, {});
  check_error(ErrorKind::shape, {"LSTM", "(2, 3)", "(in LSTM)"}, [&] { lstm(Tensor::zeros({2, 3})); });
  check_error(ErrorKind::shape, {"(in decoder.LSTM)"}, [&] {
    const autograd::Scope scope("decoder");
    lstm(Tensor::zeros({2, 3}));
  });
}

TEST_CASE("a summary has each layer's shapes and parameters, and the totals") {
  Net net;
  net.eval();
  net.spare_.freeze();
  const std::vector<LayerSummary> layers = layer_summaries(net, [&] {
    static_cast<void>(net(Tensor::zeros({5, 6})));
  });
  REQUIRE(layers.size() == 7);
  CHECK(layers[0].name.empty());
  CHECK(layers[0].outputs == std::vector<Shape>{{5, 2}});
  CHECK(layers[1].name == "hidden");
  CHECK(layers[1].describe == "Sequential");
  CHECK(layers[1].outputs == std::vector<Shape>{{5, 4}});
  CHECK(layers[2].name == "hidden.0");
  CHECK(layers[2].depth == 2);
  CHECK(layers[2].outputs == std::vector<Shape>{{5, 4}});
  CHECK(layers[2].parameters == 28);
  CHECK(layers[4].describe == "Dropout(p=0.5)");
  CHECK(layers[4].outputs == std::vector<Shape>{{5, 4}});  // passes on what it was given
  CHECK(layers[5].parameters == 8);
  CHECK(layers[6].outputs.empty());  // never called
  CHECK(layers[6].parameters == 12);
  CHECK(layers[6].trainable == 0);
  const std::string text = summary(net, Variable(Tensor::zeros({5, 6})));
  CHECK(text.find("48 parameters, 36 of them trainable") != std::string::npos);
  CHECK(text.find("\n    0: Linear(in_features=6, out_features=4, bias=True) ") != std::string::npos);
  // Inside another scope, and of a module that is called twice.
  const autograd::Scope scope("outer");
  CHECK(summary(net, Variable(Tensor::zeros({5, 6}))) == text);
  const auto twice = layer_summaries(net, [&] {
    net(Tensor::zeros({5, 6}));
    net(Tensor::zeros({1, 6}));
  });
  CHECK(twice[2].outputs == std::vector<Shape>{{5, 4}, {1, 4}});
}

TEST_CASE("a tied parameter is counted once") {
  class Tied : public Layer {
   public:
    Tied() : a_(add<Linear>("a", 3, 3, false)), b_(add<Linear>("b", 3, 3, false)) {
      replace_parameter("b.weight", parameter("a.weight"));
    }
    Variable forward(const Variable& x) override { return b_(a_(x)); }
    std::string describe() const override { return "Tied"; }
    Linear &a_, &b_;
  } tied;
  CHECK(summary(tied, Variable(Tensor::zeros({1, 3}))).find("9 parameters, 9 of them") != std::string::npos);
}

TEST_CASE(
    "a summary's table: columns as wide as they need to be, commas, repeated calls, what is shared once") {
  class Wide : public Layer {
   public:
    Wide()
        : first_(add<Linear>("first", 999, 3)),
          two_(add<Linear>("two", 3, 3, false)),
          odd_(add<Linear>("odd", 3, 1, false)),
          never_(add<Linear>("never", 1000, 1000, false)) {
      register_module("same", first_);
      never_.freeze();
    }
    Variable forward(const Variable& x) override {
      static_cast<void>(odd_(Tensor::zeros({1, 3})));
      static_cast<void>(odd_(Tensor::zeros({2, 3})));
      static_cast<void>(odd_(Tensor::zeros({3, 3})));
      return two_(two_(first_(x)));
    }
    std::string describe() const override { return "Wide"; }
    Linear &first_, &two_, &odd_, &never_;
  } wide;
  const auto row = [](std::string name, std::string output, const std::string& parameters) {
    name.resize(std::string("  never: Linear(in_features=1000, out_features=1000, bias=False)").size(), ' ');
    output.resize(std::string("(1, 1) ... (3, 1), 3 calls").size(), ' ');
    return name + "  " + output + "  " + std::string(12 - parameters.size(), ' ') + parameters + "\n";
  };
  CHECK(
      summary(wide, Variable(Tensor::zeros({4, 999}))) ==
      row("layer", "output", "parameters") + row("Wide", "(4, 3)", "-") +
          row("  first: Linear(in_features=999, out_features=3, bias=True)", "(4, 3)", "3,000") +
          row("  two: Linear(in_features=3, out_features=3, bias=False)", "(4, 3) x 2", "9") +
          row("  odd: Linear(in_features=3, out_features=1, bias=False)", "(1, 1) ... (3, 1), 3 calls", "3") +
          row("  never: Linear(in_features=1000, out_features=1000, bias=False)", "-", "1,000,000") +
          "1,003,012 parameters, 3,012 of them trainable\n");
}

TEST_CASE("a summary records no graph, and sees what runs inside it alone") {
  Net net;
  Variable y;
  const auto layers = layer_summaries(net, [&] { y = net(Variable(Tensor::zeros({5, 6}), true)); });
  CHECK(!y.requires_grad());
  CHECK(autograd::grad_enabled());
  CHECK(layers[3].name == "hidden.1");
  CHECK(layers[3].depth == 2);
  CHECK(layers[1].depth == 1);
  CHECK(layers[0].depth == 0);
  CHECK(layers[0].parameters == 0);
  CHECK(layers[2].trainable == 28);
  for (const LayerSummary& layer : layer_summaries(net, [] {})) CHECK(layer.outputs.empty());
  CHECK(summary(net, [] {}).find("hidden: Sequential") != std::string::npos);
}
