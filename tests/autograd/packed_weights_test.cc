#include "autograd/packed_weights.h"

#include <doctest/doctest.h>

#include <cstring>
#include <utility>

#include "autograd/ops.h"
#include "tests/tensor/reference.h"

using autograd::LstmState;
using autograd::NoGrad;
using autograd::PackedGuard;
using autograd::PackedWeights;
using autograd::Variable;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;

namespace {

Tensor random(const Shape& shape, uint64_t seed) { return tests::random(shape, DType::f32, seed, -1, 1); }

bool same_bits(const Tensor& a, const Tensor& b) {
  const auto x = a.to_vector<float>(), y = b.to_vector<float>();
  return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
}

double distance(const Tensor& a, const Tensor& b) {
  const auto x = a.to_vector<float>(), y = b.to_vector<float>();
  double most = 0;
  for (size_t i = 0; i < x.size(); ++i) most = std::max(most, std::abs(double{x[i]} - double{y[i]}));
  return most;
}

}  // namespace

TEST_CASE("packed weights: a row's bits do not depend on the other rows") {
  const Tensor x = random({37, 130}, 1), weight = random({70, 130}, 2), bias = random({70}, 3);
  const Tensor h = random({37, 24}, 4), c = random({37, 24}, 5);
  const Tensor ih = random({96, 130}, 6), hh = random({96, 24}, 7), bias_ih = random({96}, 8),
               bias_hh = random({96}, 9);
  const NoGrad no_grad;
  const Tensor plain = autograd::linear(x, weight, bias).data();
  const LstmState plain_state = autograd::lstm_cell(x, {h, c}, ih, hh, bias_ih, bias_hh);
  PackedWeights weights;
  const PackedGuard guard(weights);
  const Tensor all = autograd::linear(x, weight, bias).data();
  const LstmState state = autograd::lstm_cell(x, {h, c}, ih, hh, bias_ih, bias_hh);
  CHECK(distance(all, plain) < 1e-4);
  CHECK(distance(state.h.data(), plain_state.h.data()) < 1e-5);
  CHECK(distance(state.c.data(), plain_state.c.data()) < 1e-4);
  for (const int64_t n : {1, 2, 5, 16})
    for (int64_t first = 0; first + n <= 37; first += n) {
      const auto rows = [&](const Tensor& t) { return t.slice(0, first, first + n); };
      CHECK(same_bits(autograd::linear(rows(x), weight, bias).data(), rows(all)));
      const LstmState some = autograd::lstm_cell(rows(x), {rows(h), rows(c)}, ih, hh, bias_ih, bias_hh);
      CHECK(same_bits(some.h.data(), rows(state.h.data())));
      CHECK(same_bits(some.c.data(), rows(state.c.data())));
    }
}

TEST_CASE("packed weights: parts of a weight, rows with strides, leading dimensions, no bias") {
  const Tensor weight = random({40, 64}, 1), x = random({3, 5, 24}, 2), columns = random({24, 7}, 3).t();
  const Tensor part = weight.slice(1, 40, 64), other = weight.slice(1, 0, 24);
  const NoGrad no_grad;
  const Tensor plain = autograd::linear(x, part).data(), others = autograd::linear(columns, other).data();
  PackedWeights weights;
  const PackedGuard guard(weights);
  for (int i = 0; i < 2; ++i) {
    CHECK(distance(autograd::linear(x, part).data(), plain) < 1e-4);
    CHECK(distance(autograd::linear(columns, other).data(), others) < 1e-4);
  }
}

TEST_CASE("packed weights: two views of one place in memory are two weights") {
  const Tensor square = random({16, 16}, 1), x = random({3, 16}, 2);
  const NoGrad no_grad;
  const Tensor straight = autograd::linear(x, square).data(), turned = autograd::linear(x, square.t()).data();
  PackedWeights weights;
  const PackedGuard guard(weights);
  for (int i = 0; i < 2; ++i) {
    CHECK(distance(autograd::linear(x, square).data(), straight) < 1e-4);
    CHECK(distance(autograd::linear(x, square.t()).data(), turned) < 1e-4);
  }
}

TEST_CASE("packed weights: a weight that has changed is laid out anew") {
  const Tensor x = random({4, 32}, 1), before = random({24, 32}, 2);
  PackedWeights weights;
  const PackedGuard guard(weights);
  const NoGrad no_grad;
  Tensor weight = before.clone();
  const Tensor first = autograd::linear(x, weight).data();
  weight.fill_(2);
  CHECK(distance(autograd::linear(x, weight).data(), first) > 0.1);
  weight.copy_(before);
  CHECK(same_bits(autograd::linear(x, weight).data(), first));
}

TEST_CASE("packed weights: a weight that takes the place of another in memory is laid out anew") {
  const Tensor x = random({4, 32}, 1);
  PackedWeights weights;
  const PackedGuard guard(weights);
  const NoGrad no_grad;
  std::pair<const void*, uint64_t> last;  // place and version
  int in_place = 0;
  for (uint64_t seed = 2; seed < 10; ++seed) {
    const Tensor weight = random({24, 32}, seed);
    const std::pair<const void*, uint64_t> now{weight.raw(), weight.version()};
    if (std::exchange(last, now) == now) ++in_place;
    const Tensor product = autograd::linear(x, weight).data();
    PackedWeights others;
    const PackedGuard inner(others);
    CHECK(same_bits(autograd::linear(x, weight).data(), product));
  }
  REQUIRE(in_place > 0);  // else nothing was asked
}

TEST_CASE("packed weights: a graph's products are the ordinary ones, and so are other types'") {
  const Tensor x = random({9, 300}, 1), weight = random({50, 300}, 2);
  const Variable leaf(weight, true);
  const Tensor graph = autograd::linear(x, leaf).data();
  const Tensor wide = autograd::linear(x.to(DType::f64), weight.to(DType::f64)).data();
  PackedWeights weights;
  {
    const PackedGuard guard(weights);
    const Variable y = autograd::linear(x, leaf);
    CHECK(y.requires_grad());
    CHECK(same_bits(y.data(), graph));
    const NoGrad no_grad;
    CHECK(autograd::linear(x.to(DType::f64), weight.to(DType::f64)).data().to_vector<double>() ==
          wide.to_vector<double>());
  }
}
