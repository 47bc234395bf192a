// Modules whose parameters are 16-bit floats, and modules in f32 under autocast.
#include <doctest/doctest.h>

#include "autograd/autocast.h"
#include "autograd/engine.h"
#include "autograd/ops.h"
#include "nn/attention.h"
#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/lstm.h"
#include "tests/golden.h"

using autograd::Variable;
using tensor::DType;
using tensor::Tensor;

namespace {

// An encoder, attention and an LSTM: all layers that have parameters.
class Net : public nn::Module {
 public:
  explicit Net(tensor::Generator& generator)
      : conv_(add<nn::Conv2d>("conv", 3, 8, 3, nn::conv2d_options(1), true, generator)),
        norm_(add<nn::BatchNorm2d>("norm", 8)),
        embedding_(add<nn::Embedding>("embedding", 10, 6, generator)),
        attention_(add<nn::AdditiveAttention>("attention", 8, 5, 4, generator)),
        lstm_(add<nn::LSTM>("lstm", 14, 5, nn::LstmOptions{.num_layers = 2}, generator)),
        out_(add<nn::Linear>("out", 5, 10, true, generator)) {}
  Variable loss(const Variable& photos) {
    const Variable map = autograd::relu(norm_(conv_(photos)));
    const Variable places = autograd::permute(autograd::reshape(map, {2, 8, 9}), {0, 2, 1});
    const Variable hidden = Tensor::zeros({2, 5}, photos.dtype());
    const autograd::Attention seen = attention_.forward(places, hidden);
    const Tensor words = Tensor::from(std::vector<int64_t>{3, 7}, {2});
    const Variable x = autograd::cat({embedding_(words), seen.context}, 1);
    const auto result = lstm_.forward(autograd::stack({x, x}, 0));
    return autograd::cross_entropy(out_(autograd::reshape(result.outputs, {4, 5})),
                                   Tensor::from(std::vector<int64_t>{1, 2, 3, 4}, {4}));
  }
  std::string describe() const override { return "Net"; }

 private:
  nn::Conv2d& conv_;
  nn::BatchNorm2d& norm_;
  nn::Embedding& embedding_;
  nn::AdditiveAttention& attention_;
  nn::LSTM& lstm_;
  nn::Linear& out_;
};

Tensor photos() {
  tensor::Generator generator(5);
  Tensor x = Tensor::empty({2, 3, 5, 5});
  tensor::fill_normal(x, 0, 1, generator);
  return x;
}

}  // namespace

TEST_CASE("modules in 16-bit floats: to(), forward, backward, buffers, state dict") {
  tensor::Generator generator(1);
  Net exact(generator);
  const double expected = exact.loss(photos()).item();
  for (const DType dtype : {DType::f16, DType::bf16}) {
    tensor::Generator again(1);
    Net net(again);
    net.to(dtype);
    for (const auto& [name, value] : net.state_dict())
      CHECK((value.dtype() == dtype || name == "norm.num_batches_tracked"));
    const Variable loss = net.loss(photos().to(dtype));
    CHECK(loss.dtype() == dtype);
    CHECK(loss.item() == doctest::Approx(expected).epsilon(0.02));
    loss.backward();
    for (const auto& [name, parameter] : net.named_parameters()) {
      CAPTURE(name);
      REQUIRE(parameter.grad().defined());
      CHECK(parameter.grad().dtype() == dtype);
    }
    CHECK(net.buffer("norm.running_mean").dtype() == dtype);
    CHECK(tests::relative_error(net.buffer("norm.running_var"), exact.buffer("norm.running_var")) < 0x1p-6);
    // Evaluation by the running statistics; and the weights go back into a 32-bit module.
    net.eval();
    CHECK(std::isfinite(net.loss(photos().to(dtype)).item()));
    Net wide(again);
    wide.load_state_dict(net.state_dict());
    CHECK(wide.parameter("out.weight").dtype() == DType::f32);
    CHECK(tests::relative_error(wide.parameter("out.weight").data(), net.parameter("out.weight").data()) ==
          0);
  }
}

TEST_CASE("modules in f32 under autocast: gradients and buffers stay f32") {
  tensor::Generator generator(1);
  Net exact(generator);
  exact.loss(photos()).backward();
  for (const DType dtype : {DType::f16, DType::bf16}) {
    tensor::Generator again(1);
    Net net(again);
    Variable loss;
    {
      const autograd::AutocastGuard autocast(dtype);
      loss = net.loss(photos());
    }
    CHECK(loss.dtype() == DType::f32);
    loss.backward();
    // Twenty roundings on the longest way; the loss's gradients are sums of both signs.
    const double bound = (dtype == DType::f16 ? 0x1p-11 : 0x1p-8) * 20;
    const auto expected = exact.named_parameters();
    const auto parameters = net.named_parameters();
    for (size_t i = 0; i < parameters.size(); ++i) {
      const auto& [name, parameter] = parameters[i];
      CAPTURE(name);
      REQUIRE(parameter.grad().defined());
      CHECK(parameter.grad().dtype() == DType::f32);
      // What the softmax and the batch norm take out again has a gradient of 0 but for rounding.
      if (name == "attention.attn_weights.bias" || name == "conv.bias") continue;
      CHECK(tests::relative_error(parameter.grad().data(), expected[i].second.grad().data()) < bound);
    }
    CHECK(net.buffer("norm.running_mean").dtype() == DType::f32);
  }
}
