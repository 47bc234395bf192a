#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tensor/kernels.h"

using tensor::DType;
using tensor::Error;
using tensor::StepPlace;
using tensor::Tensor;
namespace kernels = tensor::kernels;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

std::vector<double> first_bad(const std::vector<Tensor>& tensors) {
  Tensor out = Tensor::full({3}, 7, DType::f64);
  kernels::first_not_finite(out, tensors);
  return out.to_vector<double>();
}

Tensor new_block() {
  Tensor block = Tensor::zeros({StepPlace::count}, DType::f64);
  block.mutable_data<double>()[StepPlace::skip] = 1;
  block.mutable_data<double>()[StepPlace::loss_scale] = 8;
  return block;
}

void finish(Tensor& block, double loss, double squares, bool overflowed, double clip_norm = 0) {
  kernels::finish_step({.block = block,
                        .loss = Tensor::full({1}, loss, DType::f64),
                        .squares = Tensor::full({1}, squares, DType::f64),
                        .bad = Tensor::from<double>({overflowed ? 2.0 : -1.0, 5, kInf}, {3}),
                        .tokens = 19,
                        .clip_norm = clip_norm,
                        .growth_interval = 2});
}

double at(const Tensor& block, int64_t place) { return block.data<double>()[place]; }

}  // namespace

TEST_CASE("first_not_finite: tensor, element and value of the first one") {
  for (const DType type : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
    CAPTURE(tensor::name_of(type));
    const Tensor good = Tensor::full({40000}, 1, type), none = Tensor::empty({0}, type);
    Tensor bad = Tensor::full({3, 4}, 1, type), far = Tensor::full({40000}, 1, type);
    CHECK(first_bad({}) == std::vector<double>{-1, 0, 0});
    CHECK(first_bad({none, good, bad}) == std::vector<double>{-1, 0, 0});
    bad.select(0, 2).slice(0, 1, 2).fill_(-kInf);
    far.slice(0, 39999, 40000).fill_(kInf);
    CHECK(first_bad({none, bad, far}) == std::vector<double>{1, 9, -kInf});
    CHECK(first_bad({good, far, bad}) == std::vector<double>{1, 39999, kInf});
    CHECK(first_bad({bad.t()}) == std::vector<double>{0, 5, -kInf});
    bad.select(0, 0).slice(0, 3, 4).fill_(NAN);
    const auto found = first_bad({bad});
    CHECK(found[1] == 3);
    CHECK(std::isnan(found[2]));
  }
  // Their squares are not finite, they are.
  CHECK(first_bad({Tensor::full({2}, 1e300, DType::f64)})[0] == -1);
}

TEST_CASE("finish_step: counts, skips, clips and scales") {
  Tensor block = new_block();
  finish(block, 2, 16, false, 1);
  CHECK(at(block, StepPlace::skip) == 0);
  CHECK(at(block, StepPlace::good) == 0);
  CHECK(at(block, StepPlace::loss) == 2);
  CHECK(at(block, StepPlace::tokens) == 19);
  CHECK(at(block, StepPlace::squares) == 16);
  CHECK(at(block, StepPlace::gradient_scale) == 1 / (4 + 1e-6));
  CHECK(at(block, StepPlace::bad_tensor) == -1);
  CHECK(at(block, StepPlace::loss_scale) == 8);
  finish(block, 2, 16, false, 100);  // the second in a row
  CHECK(at(block, StepPlace::good) == 1);
  CHECK(at(block, StepPlace::gradient_scale) == 1);
  CHECK(at(block, StepPlace::loss_scale) == 16);
  finish(block, 2, kInf, true);
  CHECK(at(block, StepPlace::skip) == 1);
  CHECK(at(block, StepPlace::good) == 2);
  CHECK(at(block, StepPlace::bad_tensor) == 2);
  CHECK(at(block, StepPlace::bad_element) == 5);
  CHECK(at(block, StepPlace::bad_value) == kInf);
  CHECK(at(block, StepPlace::loss_scale) == 8);
  finish(block, NAN, 1, false);
  CHECK(at(block, StepPlace::skip) == 1);
  CHECK(at(block, StepPlace::good) == 2);  // the one before was not made
  // Without a loss scale what overflowed is not looked for, and the scale stays.
  kernels::finish_step({.block = block,
                        .loss = Tensor::full({1}, 1, DType::f64),
                        .squares = Tensor::full({1}, kInf, DType::f64),
                        .bad = {}});
  CHECK(at(block, StepPlace::skip) == 0);
  CHECK(at(block, StepPlace::loss_scale) == 8);
  Tensor short_block = Tensor::zeros({3}, DType::f64);
  CHECK_THROWS_AS(finish(short_block, 1, 1, false), Error);
}

TEST_CASE("an optimiser's step takes rate, count and clipping from a block") {
  const auto weights = [] {
    return std::vector<Tensor>{Tensor::full({3}, 1), Tensor::full({2}, 2, DType::f64)};
  };
  const auto state = [] {
    return std::vector<Tensor>{Tensor::full({3}, 0.5), Tensor::full({2}, 0.5, DType::f64)};
  };
  const Tensor rates = Tensor::from<double>({0.1, 0.2, 0.3}, {3});
  for (const bool adam : {true, false})
    for (const double good : {0.0, 1.0, 9.0})
      for (const bool skip : {false, true}) {
        CAPTURE(good);
        Tensor block = new_block();
        double* numbers = block.mutable_data<double>();
        numbers[StepPlace::skip] = skip ? 1 : 0;
        numbers[StepPlace::good] = good;
        numbers[StepPlace::gradient_scale] = 0.25;
        const double lr = good == 0 ? 0.1 : good == 1 ? 0.2 : 0.3;
        const auto step = [&](bool from_block) {
          std::vector<Tensor> w = weights(), m = state(), v = state();
          const tensor::FromBlock from = from_block ? tensor::FromBlock{block, rates} : tensor::FromBlock{};
          const int64_t count = from_block ? 1 : 1 + static_cast<int64_t>(good);
          if (!from_block && skip) return std::pair(w, m);
          if (adam)
            kernels::adamw({.weights = w,
                            .m = m,
                            .v = v,
                            .gradients = weights(),
                            .from = from,
                            .lr = from_block ? 77 : lr,
                            .step = count,
                            .gradient_scale = from_block ? 77 : 0.25});
          else
            kernels::sgd({.weights = w,
                          .buffers = m,
                          .gradients = weights(),
                          .from = from,
                          .lr = from_block ? 77 : lr,
                          .momentum = 0.9,
                          .step = count,
                          .gradient_scale = from_block ? 77 : 0.25});
          return std::pair(w, m);
        };
        const auto told = step(false), found = step(true);
        for (size_t i = 0; i < 2; ++i) {
          CHECK(told.first[i].to(DType::f64).to_vector<double>() ==
                found.first[i].to(DType::f64).to_vector<double>());
          CHECK(told.second[i].to(DType::f64).to_vector<double>() ==
                found.second[i].to(DType::f64).to_vector<double>());
        }
      }
  CHECK_THROWS_AS(
      kernels::sgd({.weights = weights(), .buffers = {}, .gradients = weights(), .from = {new_block(), {}}}),
      Error);
  CHECK_THROWS_AS(
      kernels::sgd({.weights = weights(), .buffers = {}, .gradients = weights(), .from = {{}, rates}}),
      Error);
}

TEST_CASE("average: by a decay, with a warm-up, or all alike; nothing in a step that is skipped") {
  const auto after = [](std::optional<double> decay, bool warm_up, int64_t t, double skip = -1) {
    Tensor average = Tensor::full({2}, t == 0 ? NAN : 1, DType::f64), block;
    if (skip >= 0) {
      block = new_block();
      block.mutable_data<double>()[StepPlace::skip] = skip;
      block.mutable_data<double>()[StepPlace::good] = 1;
      --t;  // which the block counts
    }
    kernels::average({.averages = {average},
                      .parameters = {Tensor::full({2}, 3, DType::f64)},
                      .block = block,
                      .decay = decay,
                      .warm_up = warm_up,
                      .t = t});
    return average.to_vector<double>()[1];
  };
  CHECK(after(0.5, false, 0) == 3);
  CHECK(after(0.5, false, 1) == 2);
  CHECK(after(0.999, true, 1) == doctest::Approx(2.0 / 11 + 3 * 9.0 / 11));
  CHECK(after({}, false, 3) == 1.5);
  CHECK(after({}, false, 3, 0) == 1.5);
  CHECK(after(0.5, false, 1, 0) == 2);
  CHECK(after(0.5, false, 1, 1) == 1);
}

TEST_CASE("average: of 16 bits, too, what it was counts") {
  for (const DType type : {DType::f16, DType::bf16}) {
    Tensor average = Tensor::full({3}, 1, type);
    kernels::average(
        {.averages = {average}, .parameters = {Tensor::full({3}, 3, type)}, .decay = 0.5, .t = 1});
    CHECK(average.to(DType::f64).to_vector<double>() == std::vector<double>{2, 2, 2});
  }
}
