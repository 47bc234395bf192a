// matmul, linear, the LSTM and additive attention: derivatives against finite
// differences and against the composed versions, awkward layouts and sizes of 1, errors.
#include "autograd/engine.h"
#include "autograd/ops.h"
#include "autograd/testing/gradcheck.h"
#include "tests/tensor/reference.h"

using namespace autograd;
using tests::random;

namespace {

Variable leaf(const Shape& shape, uint64_t seed) {
  return Variable(random(shape, DType::f64, seed, -1, 1), true);
}

void expect_gradients(const std::string& name, const GradcheckFunction& f, const Variables& in) {
  const GradcheckResult result = gradcheck(f, in);
  CHECK_MESSAGE(result.ok, name, ": ", result.message);
}

}  // namespace

TEST_CASE("matmul and linear: derivatives, twice, in layouts and sizes of 1") {
  const auto product = [](const Variables& v) { return Variables{matmul(v[0], v[1])}; };
  const auto affine_map = [](const Variables& v) { return Variables{linear(v[0], v[1], v[2])}; };
  for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{
           {{2, 3}, {3, 4}}, {{1, 1}, {1, 1}}, {{5, 2, 3}, {3, 4}}, {{2, 1, 2, 3}, {3, 3, 2}}}) {
    const Variables in = {leaf(a, 1), leaf(b, 2)};
    expect_gradients("matmul", product, in);
    const GradcheckResult second = gradgradcheck(product, in);
    CHECK_MESSAGE(second.ok, second.message);
  }
  expect_gradients("matmul, transposed", product,
                   {Variable(random({3, 2}, DType::f64, 1).t(), true),
                    Variable(random({8, 6}, DType::f64, 2).slice(0, 1, 7, 2).slice(1, 1, 6), true)});
  for (const Shape& x : {Shape{4, 3}, Shape{3}, Shape{2, 1, 3}}) {
    expect_gradients("linear", affine_map, {leaf(x, 1), leaf({5, 3}, 2), leaf({5}, 3)});
    const GradcheckResult second = gradgradcheck(affine_map, {leaf(x, 1), leaf({5, 3}, 2), leaf({5}, 3)});
    CHECK_MESSAGE(second.ok, second.message);
  }
  CHECK_THROWS_WITH_AS(matmul(leaf({2, 3}, 1), leaf({4, 5}, 2)),
                       "matmul: inner sizes differ: (2, 3) x (4, 5)", tensor::Error);
  CHECK_THROWS_WITH_AS(linear(leaf({2, 3}, 1), leaf({5, 4}, 2)),
                       doctest::Contains("(2, 3) with weight (5, 4)"), tensor::Error);
  CHECK_THROWS_AS(matmul(leaf({2, 3}, 1), Tensor::zeros({3, 2})), tensor::Error);  // f64 with f32
}

TEST_CASE("lstm: cell and sequence against differences and the composed cell") {
  for (const auto& [n, in, h] : std::vector<std::array<int64_t, 3>>{{3, 4, 2}, {1, 1, 1}}) {
    const Variables v = {leaf({n, in}, 1),    leaf({n, h}, 2),  leaf({n, h}, 3), leaf({4 * h, in}, 4),
                         leaf({4 * h, h}, 5), leaf({4 * h}, 6), leaf({4 * h}, 7)};
    const auto fused = [](const Variables& x) {
      const LstmState s = lstm_cell(x[0], {x[1], x[2]}, x[3], x[4], x[5], x[6]);
      return Variables{s.h, s.c};
    };
    const auto composed = [](const Variables& x) {
      const LstmState s = lstm_cell_composed(x[0], {x[1], x[2]}, x[3], x[4], x[5], x[6]);
      return Variables{s.h, s.c};
    };
    expect_gradients("lstm_cell", fused, v);
    CHECK(tests::worst_relative(tests::values(fused(v)[0].data()), tests::values(composed(v)[0].data())) <
          1e-14);
    const GradcheckResult second = gradgradcheck(composed, v);
    CHECK_MESSAGE(second.ok, second.message);
    const Variables g = {Tensor::full({n, h}, 1, DType::f64), Tensor::full({n, h}, 1, DType::f64)};
    CHECK_THROWS_WITH_AS(grad(fused(v), {v[0]}, g, true, true), doctest::Contains("once"), tensor::Error);
  }
  const auto sequence = [](const Variables& x) {
    const LstmSequence s = lstm_sequence(x[0], {x[1], x[2]}, x[3], x[4], x[5], x[6]);
    return Variables{s.outputs, s.last.h, s.last.c};
  };
  expect_gradients("lstm_sequence", sequence,
                   {Variable(random({4, 3, 5}, DType::f64, 1).permute({1, 2, 0}), true), leaf({5, 2}, 2),
                    leaf({5, 2}, 3), leaf({8, 4}, 4), leaf({8, 2}, 5), leaf({8}, 6), leaf({8}, 7)});
  CHECK_THROWS_AS(lstm_cell(leaf({2, 3}, 1), {leaf({2, 2}, 2), leaf({2, 2}, 3)}, leaf({8, 4}, 4),
                            leaf({8, 2}, 5), {}, {}),
                  tensor::Error);
}

TEST_CASE("additive attention against differences and its composed version") {
  const Tensor image = Tensor::from(std::vector<int64_t>{1, 0, 1}, {3});
  const auto fused = [&](const Variables& x) {
    const Attention a = additive_attention(x[0], x[1], x[2], image, x[3], x[4]);
    return Variables{a.context, a.alpha};
  };
  const auto composed = [&](const Variables& x) {
    const Attention a = additive_attention_composed(x[0], x[1], x[2], image, x[3], x[4]);
    return Variables{a.context, a.alpha};
  };
  for (const auto& [p, a, d] : std::vector<std::array<int64_t, 3>>{{4, 5, 3}, {1, 1, 1}, {3, 17, 19}}) {
    const Variables v = {leaf({2, p, a}, 1), leaf({2, p, d}, 2), leaf({3, a}, 3), leaf({a}, 4), leaf({1}, 5)};
    expect_gradients("additive_attention", fused, v);
    for (const size_t k : {0u, 1u})
      CHECK(tests::worst_relative(tests::values(fused(v)[k].data()), tests::values(composed(v)[k].data())) <
            1e-13);
  }
  const Variables v = {leaf({2, 4, 5}, 1), leaf({2, 4, 3}, 2), leaf({3, 5}, 3), leaf({5}, 4), leaf({1}, 5)};
  CHECK_THROWS_AS(
      additive_attention(v[0], v[1], v[2], Tensor::from(std::vector<int64_t>{0, 2, 1}, {3}), v[3], v[4]),
      tensor::Error);
  // A constant on all scores changes nothing, so the bias may be left out.
  for (const auto& attend : {additive_attention, additive_attention_composed}) {
    const Attention with = attend(v[0], v[1], v[2], image, v[3], v[4]),
                    without = attend(v[0], v[1], v[2], image, v[3], {});
    CHECK(tests::worst_relative(tests::values(without.alpha.data()), tests::values(with.alpha.data())) <
          1e-13);
    CHECK(tests::worst_relative(tests::values(without.context.data()), tests::values(with.context.data())) <
          1e-13);
  }
  // One type for all.
  for (size_t k = 0; k < v.size(); ++k) {
    Variables mixed = v;
    mixed[k] = v[k].data().to(DType::f32);
    CAPTURE(k);
    tests::check_error(tensor::ErrorKind::dtype, {"additive_attention", "do not mix"},
                       [&] { additive_attention(mixed[0], mixed[1], mixed[2], image, mixed[3], mixed[4]); });
  }
}

TEST_CASE("lstm_cell: what backward needs may not change, what it does not need may") {
  const auto weight_ih = leaf({12, 2}, 1), weight_hh = leaf({12, 3}, 2), bias = leaf({12}, 3);
  const auto gradient_after = [&](const auto& change) {
    Variable x = leaf({2, 2}, 4), h = leaf({2, 3}, 5), c = leaf({2, 3}, 6);
    const Variable given = x * 1.0;  // no leaf, so that it may change
    LstmState next = lstm_cell(given, {h, c}, weight_ih, weight_hh, bias, bias);
    const Variable loss = sum(next.h) + sum(next.c);
    change(given, next);
    backward({loss});
    return x.grad().data().to_vector<double>();
  };
  const auto expected = gradient_after([](const Variable&, const LstmState&) {});
  CHECK(gradient_after([](const Variable&, LstmState& next) { next.h.mutable_data().fill_(0); }) == expected);
  CHECK_THROWS_WITH_AS(
      gradient_after([](const Variable&, LstmState& next) { next.c.mutable_data().fill_(0); }),
      doctest::Contains("changed in place"), tensor::Error);
  CHECK_THROWS_WITH_AS(
      gradient_after([](Variable given, const LstmState&) { given.mutable_data().fill_(0); }),
      doctest::Contains("a tensor (2, 2) f64 that it saved"), tensor::Error);
}
