#include "nn/attention.h"

#include <doctest/doctest.h>

#include "tensor/error.h"
#include "tests/nn/golden_case.h"

using autograd::Variable;
using tensor::DType;
using tensor::Error;
using tensor::Tensor;
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

TEST_CASE("additive attention refuses wrong shapes") {
  nn::AdditiveAttention attention(7, 4, 5);
  const Tensor features = Tensor::zeros({3, 6, 7});
  CHECK_THROWS_AS(attention.prepare(Tensor::zeros({3, 6, 8})), Error);
  CHECK_THROWS_AS(attention.prepare(Tensor::zeros({3, 7})), Error);
  const auto prepared = attention.prepare(features);
  CHECK_THROWS_AS(attention.forward(prepared, Tensor::zeros({2, 5}), Tensor::arange(2)), Error);
  CHECK_THROWS_AS(attention.forward(prepared, Tensor::zeros({2, 4}), Tensor::arange(3)), Error);
  CHECK_THROWS_AS(attention.forward(prepared, Tensor::zeros({4, 4}), Tensor::arange(4)), Error);
  CHECK_THROWS_AS(attention.forward(features, Tensor::zeros({2, 4})), Error);
}
