// Gradients of choices: what was not chosen gets 0, whatever comes from above; a mask that multiplies would
// give 0 * inf = NaN. And true divisions. Values from PyTorch 2.11, by
//   def g(f, *xs, seed):
//     vs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in xs]
//     y = f(*vs); y.backward(torch.full_like(y, seed)); return [v.grad.tolist() for v in vs]
// with the call in a comment beside them.
#include <functional>
#include <limits>

#include "autograd/engine.h"
#include "autograd/ops.h"
#include "autograd/testing/gradcheck.h"
#include "tests/tensor/reference.h"

using namespace autograd;
using tests::values;
using Values = std::vector<double>;

namespace {

const double kInf = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();

Variable leaf(const Values& v) { return Variable(Tensor::from(v, {static_cast<int64_t>(v.size())}), true); }

void expect_equal(const Variable& got, const Values& expected) {
  const Values v = values(got.data());
  REQUIRE(v.size() == expected.size());
  for (size_t i = 0; i < v.size(); ++i) {
    CAPTURE(i);
    CHECK((v[i] == expected[i] || (std::isnan(v[i]) && std::isnan(expected[i]))));
  }
}

Values gradient(const std::function<Variable(const Variable&)>& f, const Values& x, double seed) {
  const Variable v = leaf(x);
  const Variable y = f(v);
  backward({y}, {Variable(Tensor::full(y.shape(), seed, y.dtype()))});
  return values(v.grad().data());
}

void expect_gradient(const std::function<Variable(const Variable&)>& f, const Values& x, double seed,
                     const Values& expected) {
  expect_equal(Variable(Tensor::from(gradient(f, x, seed), {static_cast<int64_t>(x.size())})), expected);
}

using Binary = Variable (*)(const Variable&, const Variable&);

void expect_gradients(Binary f, const Values& a, const Values& b, double seed, const Values& da,
                      const Values& db) {
  const Variable x = leaf(a), y = leaf(b);
  const Variable out = f(x, y);
  backward({out}, {Variable(Tensor::full(out.shape(), seed, out.dtype()))});
  expect_equal(x.grad(), da);
  expect_equal(y.grad(), db);
}

}  // namespace

TEST_CASE("maximum and minimum: the loser gets 0 even of inf, NaN wins") {
  const Values a = {kNan, 1, kNan, 2, 3, 1}, b = {1, kNan, kNan, 2, 1, 3};
  // g(torch.maximum, a, b, seed=2.)
  expect_gradients(maximum, a, b, 2, {2, 2, 2, 1, 2, 0}, {2, 2, 2, 1, 0, 2});
  // g(torch.minimum, a, b, seed=2.)
  expect_gradients(minimum, a, b, 2, {2, 2, 2, 1, 0, 2}, {2, 2, 2, 1, 2, 0});
  // g(torch.maximum, [1., 2, 2], [2., 1, 2], seed=inf), and minimum
  expect_gradients(maximum, {1, 2, 2}, {2, 1, 2}, kInf, {0, kInf, kInf}, {kInf, 0, kInf});
  expect_gradients(minimum, {1, 2, 2}, {2, 1, 2}, kInf, {kInf, 0, kInf}, {0, kInf, kInf});
  // Through a graph: log(2 - maximum(1, 2)) is -inf, its slope infinite.
  const Variable one = leaf({1}), two = leaf({2});
  log(2.0 - maximum(one, two)).backward();
  expect_equal(one.grad(), {0});
  expect_equal(two.grad(), {-kInf});
}

TEST_CASE("maximum: twice, and with shapes that broadcast") {
  const Variable a(Tensor::from(Values{1, -2, 3, 0.5, 7, -1}, {2, 3}), true), b = leaf({0.9, 2, 2.5});
  const GradcheckResult result = gradgradcheck(
      [](const Variables& in) { return Variables{square(maximum(in[0], in[1])) + minimum(in[0], in[1])}; },
      {a, b}, {}, {});
  CHECK_MESSAGE(result.ok, result.message);
}

TEST_CASE("relu, relu6, clamp, max, max pool, where and dropout choose") {
  const Values x = {kNan, -1, 0, 0.5, 6, 7};
  // g(torch.relu, x, seed=inf): a NaN lets the gradient through, as it is what comes out
  expect_gradient(relu, x, kInf, {kInf, 0, 0, kInf, kInf, kInf});
  // g(torch.nn.functional.relu6, x, seed=inf)
  expect_gradient(relu6, x, kInf, {0, 0, 0, kInf, 0, 0});
  // g(lambda x: torch.clamp(x, -1, 2), x, seed=inf)
  expect_gradient([](const Variable& v) { return clamp(v, -1, 2); }, x, kInf, {0, kInf, kInf, kInf, 0, 0});
  // g(torch.abs, [nan, -1, 0, 2.], seed=1.)
  expect_gradient([](const Variable& v) { return abs(v); }, {kNan, -1, 0, 2}, 1, {0, -1, 0, 1});
  // g(lambda x: x.max(0).values, [1., nan, 2.], seed=inf)
  expect_gradient([](const Variable& v) { return max(v, 0); }, {1, kNan, 2}, kInf, {0, kInf, 0});
  // g(lambda x: torch.nn.functional.max_pool2d(x, 2), [[[[1., nan], [2, 3]]]], seed=inf)
  expect_gradient(
      [](const Variable& v) {
        return max_pool2d(reshape(v, {1, 1, 2, 2}), {});
      },
      {1, kNan, 2, 3}, kInf, {0, kInf, 0, 0});
  // g(lambda a, b: torch.where(torch.tensor([True, False]), a, b), [1., 2], [3., 4], seed=inf)
  expect_gradients(
      [](const Variable& a, const Variable& b) {
        Tensor condition = Tensor::zeros({2}, DType::boolean);
        condition.select(0, 0).fill_(1);
        return where(condition, a, b);
      },
      {1, 2}, {3, 4}, kInf, {kInf, 0}, {0, kInf});
  // What is dropped gets 0 of inf, both ways; PyTorch, which multiplies, NaN.
  tensor::Generator generator(3);
  const Variable v = leaf(Values(64, kInf));
  const Variable y = dropout(v, 0.5, true, generator);
  backward({y}, {Variable(Tensor::full({64}, kInf, DType::f64))});
  for (size_t i = 0; i < 64; ++i) {
    CHECK((values(y.data())[i] == 0 || values(y.data())[i] == kInf));
    CHECK(values(v.grad().data())[i] == values(y.data())[i]);
  }
}

TEST_CASE("x / c is a true division") {
  for (int k = 1; k <= 1000; ++k) {
    CHECK((Variable(Tensor::scalar(k, DType::f64)) / double(k)).item() == 1);
    CHECK((Variable(Tensor::scalar(k)) / double(k)).item() == 1);
  }
  CHECK((Variable(Tensor::scalar(169)) / 13.0).item() == 13);
  expect_gradient([](const Variable& v) { return v / 49; }, {49, 1}, 49, {1, 1});
  expect_gradient([](const Variable& v) { return mean(v); }, Values(49, 1), 49, Values(49, 1));
  // A divisor that f32 holds as a subnormal number, or f16 not at all:
  // torch.tensor(1e-30) / 1e-39, torch.tensor([1., 2, 3], dtype=torch.float16) / 70000
  CHECK((Variable(Tensor::scalar(1e-30)) / 1e-39).item() == doctest::Approx(1e9).epsilon(1e-6));
  CHECK((Variable(Tensor::scalar(1e-300, DType::f64)) / 1e-310).item() ==
        doctest::Approx(1e10).epsilon(1e-6));
  CHECK((Variable(Tensor::scalar(1, DType::f64)) / 5e-324).item() == kInf);
  CHECK((Variable(Tensor::scalar(2, DType::f16)) / 70000).data().item() ==
        doctest::Approx(2.8551e-05).epsilon(1e-4));
  CHECK((Variable(Tensor::scalar(-1)) / 0.0).item() == -kInf);
  CHECK(std::isnan((Variable(Tensor::scalar(0)) / 0.0).item()));
  const GradcheckResult result = gradgradcheck(
      [](const Variables& in) { return Variables{square(in[0] / 3)}; }, {leaf({1, -2, 3})}, {}, {});
  CHECK_MESSAGE(result.ok, result.message);
}

TEST_CASE("the mean of a cross-entropy is divided, and so is its gradient") {
  // 49 rows alike: the mean is one row's loss.
  //   x = torch.tensor([[0.3, -1.2]] * 49, requires_grad=True)
  //   torch.nn.functional.cross_entropy(x, torch.zeros(49, dtype=torch.long)).backward(torch.tensor(49.))
  const auto of = [](int64_t rows, double seed, Variable& x) {
    std::vector<float> v;
    for (int64_t i = 0; i < rows; ++i) v.insert(v.end(), {0.3f, -1.2f});
    x = Variable(Tensor::from(v, {rows, 2}), true);
    const Variable loss = cross_entropy(x, Tensor::zeros({rows}, DType::i64));
    backward({loss}, {Variable(Tensor::scalar(seed))});
    return loss.item();
  };
  Variable one, many;
  const double loss = of(1, 1, one);
  CHECK(of(49, 49, many) == doctest::Approx(loss).epsilon(1e-7));
  CHECK(values(many.grad().data())[96] == values(one.grad().data())[0]);
}

TEST_CASE("a maximum that wins thousands of windows gets the sum of their gradients") {
  std::vector<float> v(4095, 0.0f);
  v[2047] = 1;  // in all 2048 windows
  const Variable x(Tensor::from(v, {1, 1, 1, 4095}), true);
  tensor::Pool2dOptions options;
  options.kernel_h = options.stride_h = options.stride_w = 1;
  options.kernel_w = 2048;
  const Variable y = max_pool2d(x, options);
  const float c = 100.3f;
  backward({y}, {Variable(Tensor::full(y.shape(), static_cast<double>(c)))});
  CHECK(values(x.grad().data())[2047] == static_cast<double>(c) * 2048);
  CHECK(values(x.grad().data())[2046] == 0);
}

TEST_CASE("gradients of what broadcasts are sums right to a unit in the last place") {
  const int64_t n = int64_t{1} << 22;
  const float c = 100.3f;
  const Variable bias(Tensor::zeros({1}), true), x(Tensor::zeros({n, 1})), row(Tensor::zeros({1, 2}), true);
  const Variable g(Tensor::full({n, 1}, static_cast<double>(c)));
  backward({x + bias}, {g});
  CHECK(bias.grad().item() == static_cast<double>(c) * static_cast<double>(n));  // a power of two times c
  const Variable weight(Tensor::zeros({1, 1}), true), b(Tensor::zeros({1}), true);
  backward({linear(x, weight, b)}, {g});
  CHECK(b.grad().item() == static_cast<double>(c) * static_cast<double>(n));
  backward({expand(row, {n / 2, 2})}, {reshape(g, {n / 2, 2})});
  CHECK(values(row.grad().data()) == Values(2, static_cast<double>(c) * static_cast<double>(n / 2)));
}

TEST_CASE("dropout of a step that is over has no backward") {
  tensor::Generator generator(1);
  Tensor origin = Tensor::from(std::vector<int64_t>{1, 0}, {2});
  generator.set_origin(origin);
  const Variable x = leaf({1, 2, 3, 4, 5, 6, 7, 8});
  const Variable kept = sum(dropout(x, 0.5, true, generator)), late = sum(dropout(x, 0.5, true, generator));
  kept.backward();
  Tensor block = Tensor::zeros({tensor::StepPlace::count}, tensor::DType::f64);
  const Tensor number = Tensor::full({1}, 1, tensor::DType::f64);
  tensor::kernels::finish_step(
      {.block = block, .loss = number, .squares = number, .bad = {}, .origin = origin, .drawn = 4});
  tests::check_error(tensor::ErrorKind::autograd, {"dropout", "after the end of the step"},
                     [&] { late.backward(); });
}
