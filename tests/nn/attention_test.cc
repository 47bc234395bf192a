#include "nn/attention.h"

#include <doctest/doctest.h>

#include <cmath>

#include "autograd/engine.h"
#include "autograd/ops.h"
#include "tensor/error.h"
#include "tests/nn/golden_case.h"
#include "tests/tensor/reference.h"

using autograd::Variable;
using tensor::DType;
using tensor::Error;
using tensor::ErrorKind;
using tensor::Tensor;
using tests::check_error;
using tests::Named;

TEST_CASE("additive attention with a split weight agrees with PyTorch's concatenation, fused and composed") {
  for (const DType dtype : tests::kBothTypes)
    for (const bool composed : {false, true}) {
      CAPTURE(composed);
      nn::AdditiveAttention attention(7, 4, 5);
      attention.set_composed(composed);
      const auto named = [](const autograd::Attention& a) {
        return Named{{"context", a.context}, {"alpha", a.alpha}};
      };
      tests::run_golden_case("attention", dtype, attention, [&](const Named& in) {
        return named(attention.forward(in.at("features"), in.at("hidden")));
      });
      for (const char* name : {"attention", "attention_shared_images"})
        tests::run_golden_case(name, dtype, attention, [&](const Named& in) {
          return named(attention.forward(attention.prepare(in.at("features")), in.at("hidden"),
                                         in.at("image").data()));
        });
    }
}

TEST_CASE("additive attention has the original's parameters and prints them") {
  nn::AdditiveAttention attention(2048, 1024, 1024);
  CHECK(attention.parameter_count() == 3147777);
  CHECK(nn::to_string(attention) ==
        "AdditiveAttention(\n"
        "  (attention): Linear(in_features=3072, out_features=1024, bias=True)\n"
        "  (attn_weights): Linear(in_features=1024, out_features=1, bias=True)\n"
        ")");
  CHECK(attention.parameter("attention.weight").shape() == tensor::Shape{1024, 3072});
  CHECK(attention.parameter("attn_weights.weight").shape() == tensor::Shape{1, 1024});
}

TEST_CASE("additive attention refuses wrong shapes, and says which") {
  nn::AdditiveAttention attention(7, 4, 5);
  const Tensor features = Tensor::zeros({3, 6, 7});
  for (const tensor::Shape& shape : {tensor::Shape{3, 6, 8}, tensor::Shape{3, 7}, tensor::Shape{3, 6, 7, 1}})
    check_error(ErrorKind::shape, {"features have to be (images, regions, 7), not " + to_string(shape)},
                [&] { attention.prepare(Tensor::zeros(shape)); });
  const auto prepared = attention.prepare(features);
  for (const tensor::Shape& shape : {tensor::Shape{2, 5}, tensor::Shape{4}, tensor::Shape{2, 4, 1}})
    check_error(ErrorKind::shape, {"hidden has to be (queries, 4), not " + to_string(shape)},
                [&] { attention.forward(prepared, Tensor::zeros(shape), Tensor::arange(2)); });
  CHECK_THROWS_AS(attention.forward(prepared, Tensor::zeros({2, 4}), Tensor::arange(3)), Error);
  CHECK_THROWS_AS(attention.forward(prepared, Tensor::zeros({4, 4}), Tensor::arange(4)), Error);
  for (const auto& [a, b] : {std::pair<tensor::Shape, tensor::Shape>{{3, 6, 7}, {2, 4}},
                             {{3, 6, 7}, {6, 4}},
                             {{3, 7}, {3, 4}},
                             {{3, 6, 7}, {3}},
                             {{3, 6, 7}, {3, 4, 1}},
                             {{4, 6, 7}, {3, 4}}})
    check_error(ErrorKind::shape,
                {"features " + to_string(a) + " and hidden " + to_string(b) + " need the same first size"},
                [&] { attention.forward(Tensor::zeros(a), Tensor::zeros(b)); });
  check_error(ErrorKind::argument, {"feature size 0 and hidden size 4 have to be positive"},
              [] { nn::AdditiveAttention bad(0, 4, 5); });
  check_error(ErrorKind::argument, {"feature size 7 and hidden size 0 have to be positive"},
              [] { nn::AdditiveAttention bad(7, 0, 5); });
  check_error(ErrorKind::argument, {"Linear: 11 inputs and 0 outputs"},
              [] { nn::AdditiveAttention bad(7, 4, 0); });
}

TEST_CASE("additive attention is fused, and differentiable once, unless it is composed") {
  nn::AdditiveAttention attention(3, 2, 4);
  attention.to(DType::f64);
  const Tensor features = Tensor::full({1, 5, 3}, 0.5, DType::f64);
  const Variable hidden(Tensor::full({1, 2}, 0.25, DType::f64), true);
  const auto slope = [&] {
    return autograd::grad({autograd::sum(attention.forward(features, hidden).context)}, {hidden}, {}, false,
                          true)[0];
  };
  check_error(ErrorKind::autograd, {"additive_attention", "once"}, [&] { slope(); });
  attention.set_composed(true);
  CHECK(slope().requires_grad());
  attention.set_composed(false);
  CHECK_THROWS_AS(slope(), Error);
}

TEST_CASE("additive attention by hand: one feature, weights that pick, and its sizes") {
  nn::AdditiveAttention attention(1, 1, 1);
  attention.to(DType::f64);
  // Scores 2 tanh(3 f + 5 h + 0.5) + 1; the last constant cancels.
  attention.parameter("attention.weight").mutable_data().copy_(Tensor::from<double>({3, 5}, {1, 2}));
  attention.parameter("attention.bias").mutable_data().fill_(0.5);
  attention.parameter("attn_weights.weight").mutable_data().fill_(2);
  attention.parameter("attn_weights.bias").mutable_data().fill_(1);
  const autograd::Attention a =
      attention.forward(Tensor::from<double>({0.1, -0.2}, {1, 2, 1}), Tensor::from<double>({0.3}, {1, 1}));
  const double first = std::exp(2 * std::tanh(0.3 + 1.5 + 0.5)),
               second = std::exp(2 * std::tanh(-0.6 + 1.5 + 0.5));
  const auto alpha = a.alpha.data().to_vector<double>();
  CHECK(alpha[0] == doctest::Approx(first / (first + second)).epsilon(1e-12));
  CHECK(alpha[1] == doctest::Approx(second / (first + second)).epsilon(1e-12));
  CHECK(a.context.item() == doctest::Approx((0.1 * first - 0.2 * second) / (first + second)).epsilon(1e-12));
  CHECK(nn::AdditiveAttention(7, 4, 5).attention_size() == 5);
}
