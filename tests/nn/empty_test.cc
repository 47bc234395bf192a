// Layers on batches of nothing, as PyTorch's nn has them.
#include "autograd/ops.h"
#include "nn/attention.h"
#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/dropout.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/loss.h"
#include "nn/lstm.h"
#include "nn/pool.h"
#include "tests/tensor/reference.h"

using autograd::Variable;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Tensor;
using tests::check_error;
using tests::Shape;
using tests::values;

namespace {

// The output has the shape, and every parameter gets a gradient of zeros.
void check_layer(nn::Module& module, const Variable& y, const Shape& shape) {
  CHECK(y.shape() == shape);
  sum(y).backward();
  for (const auto& [name, parameter] : module.named_parameters()) {
    CAPTURE(name);
    REQUIRE(parameter.grad().defined());
    CHECK(parameter.grad().shape() == parameter.shape());
    for (const double v : values(parameter.grad().data())) CHECK(v == 0);
  }
}

}  // namespace

//   m = nn.LSTM(3, 2, 2); y, _ = m(torch.zeros(4, 0, 3)); y.sum().backward(): y (4, 0, 2), all gradients 0;
//   and so on
TEST_CASE("layers: a batch of nothing gives nothing, and gradients of 0") {
  for (const bool composed : {false, true}) {
    nn::LSTM lstm(3, 2, {.num_layers = 2, .dropout = 0.5});
    lstm.set_composed(composed);
    const auto result = lstm(Tensor::zeros({4, 0, 3}));
    CHECK(result.last.at(1).c.shape() == Shape{0, 2});
    check_layer(lstm, result.outputs, {4, 0, 2});
    // torch: "Expected sequence length to be larger than 0 in RNN"
    check_error(ErrorKind::shape, {"LSTM", "(0, 2, 3)"}, [&] { lstm(Tensor::zeros({0, 2, 3})); });
  }
  nn::LSTMCell cell(3, 2);
  check_layer(cell, cell(Tensor::zeros({0, 3})).h, {0, 2});
  nn::Conv2d conv(2, 3, 3);
  check_layer(conv, conv(Tensor::zeros({0, 2, 4, 4})), {0, 3, 2, 2});
  nn::Linear linear(3, 2);
  check_layer(linear, linear(Tensor::zeros({2, 0, 3})), {2, 0, 2});
  nn::Embedding embedding(3, 2);
  check_layer(embedding, embedding.forward(Tensor::zeros({2, 0}, DType::i64)), {2, 0, 2});
  nn::AdditiveAttention attention(3, 4, 5);
  check_layer(attention, attention.forward(Tensor::zeros({0, 6, 3}), Tensor::zeros({0, 4})).context, {0, 3});
  CHECK(nn::Dropout(0.5)(Tensor::zeros({0, 3})).shape() == Shape{0, 3});
  CHECK(nn::MaxPool2d(2, 2)(Tensor::zeros({0, 2, 4, 4})).shape() == Shape{0, 2, 2, 2});
  CHECK(nn::AdaptiveAvgPool2d(2, 3)(Tensor::zeros({0, 2, 4, 4})).shape() == Shape{0, 2, 2, 3});
}

//   bn = nn.BatchNorm2d(3); bn.running_mean.fill_(0.5); bn(torch.zeros(0, 3, 2, 2))
//   bn.running_mean, bn.running_var, bn.num_batches_tracked  ->  [0.5, 0.5, 0.5], [1, 1, 1], 1
//   bn = nn.BatchNorm2d(3, momentum=None); bn(torch.zeros(0, 3, 2, 2)); bn(torch.arange(24.).reshape(2, 3, 2,
//   2)) the same three  ->  [3.75, 5.75, 7.75], [21.785715103149414, ...], 2
TEST_CASE("BatchNorm2d: a batch of nothing counts and leaves the running statistics") {
  for (const Shape& shape : {Shape{0, 3, 2, 2}, Shape{2, 3, 0, 2}}) {
    nn::BatchNorm2d norm(3);
    Tensor mean = norm.state_dict().at("running_mean");
    mean.fill_(0.5);
    check_layer(norm, norm(Tensor::zeros(shape)), shape);
    const auto state = norm.state_dict();
    CHECK(values(state.at("running_mean")) == std::vector<double>(3, 0.5));
    CHECK(values(state.at("running_var")) == std::vector<double>(3, 1));
    CHECK(state.at("num_batches_tracked").item() == 1);
  }
  nn::BatchNorm2d norm(3, {.momentum = std::nullopt});
  norm(Tensor::zeros({0, 3, 2, 2}));
  norm(Tensor::arange(24, DType::f32).view({2, 3, 2, 2}));
  const auto state = norm.state_dict();
  CHECK(values(state.at("running_mean")) == std::vector<double>{3.75, 5.75, 7.75});
  for (const double v : values(state.at("running_var")))
    CHECK(v == doctest::Approx(21.785715103149414).epsilon(1e-6));
  CHECK(state.at("num_batches_tracked").item() == 2);
}

//   nn.CrossEntropyLoss(reduction=r, label_smoothing=s)(torch.zeros(0, 5), torch.zeros(0).long())
//   mean: nan, sum: 0, none: []
TEST_CASE("CrossEntropyLoss: the mean over no rows is NaN, the sum 0") {
  for (const double smoothing : {0.0, 0.1})
    for (const Shape& rows : {Shape{0}, Shape{2, 0}}) {
      const auto loss_of = [&](autograd::Reduction reduction) {
        Shape shape = rows;
        shape.push_back(5);
        Variable logits(Tensor::zeros(shape), true);
        const Variable loss = nn::CrossEntropyLoss({.label_smoothing = smoothing, .reduction = reduction})(
            logits, Tensor::zeros(rows, DType::i64));
        sum(loss).backward();
        CHECK(logits.grad().shape() == shape);
        return loss.data();
      };
      CHECK(std::isnan(loss_of(autograd::Reduction::mean).item()));
      CHECK(loss_of(autograd::Reduction::sum).item() == 0);
      CHECK(loss_of(autograd::Reduction::none).shape() == rows);
    }
}
