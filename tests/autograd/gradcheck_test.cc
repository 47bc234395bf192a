#include "autograd/testing/gradcheck.h"

#include "autograd/engine.h"
#include "autograd/ops.h"
#include "tests/tensor/reference.h"

using namespace autograd;
using tests::check_error;

namespace {

Variable input(const Shape& shape, uint64_t seed) {
  return Variable(tests::random(shape, DType::f64, seed), true);
}

// x^2 with the derivative `slope` x; the right one is 2.
class WrongSquareBackward final : public Node {
 public:
  WrongSquareBackward(const Variable& x, double slope, bool first_only)
      : Node("wrong_square"), slope_(slope), first_only_(first_only) {
    save(x);
  }
  Variables apply(const Variables& g) override {
    Variable factor = affine(saved(0), slope_, 0);
    if (first_only_) {  // wrong at element (0, 1) alone
      Tensor t = affine(saved(0), 2, 0).data().clone();
      t.mutable_data<double>()[1] += 0.5;
      factor = t;
    }
    return {mul(g[0], factor)};
  }

 private:
  double slope_;
  bool first_only_;
};

Variable wrong_square(const Variable& x, double slope, bool first_only = false) {
  return record<WrongSquareBackward>(square(x.detach()).data(), {x}, x, slope, first_only);
}

// Its first derivative is right; it hides x from the second one.
class HiddenSquareBackward final : public Node {
 public:
  explicit HiddenSquareBackward(const Variable& x) : Node("hidden_square") { save(x); }
  Variables apply(const Variables& g) override { return {mul(g[0], affine(saved(0).detach(), 2, 0))}; }
};

Variable hidden_square(const Variable& x) {
  return record<HiddenSquareBackward>(square(x.detach()).data(), {x}, x);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("gradcheck accepts a right backward pass, in both modes") {
  const Variables in{input({2, 3}, 1), input({3}, 2)};
  const auto f = [](const Variables& v) { return Variables{v[0] * v[1], sum(exp(v[0]))}; };
  for (const bool fast : {false, true}) {
    const GradcheckResult result = gradcheck(f, in, {.fast = fast});
    CHECK_MESSAGE(result.ok, result.message);
    CHECK(result.message.empty());
    CHECK(result.worst_error < 1e-7);
    CHECK(result.worst_error > 0);
  }
  const GradcheckResult second = gradgradcheck(f, in);
  CHECK_MESSAGE(second.ok, second.message);
}

TEST_CASE("gradcheck catches a wrong backward pass and says where") {
  const Variable x(Tensor::from(std::vector<double>{1, 2, 3, 4}, {2, 2}), true);
  for (const bool fast : {false, true}) {
    const GradcheckResult result = gradcheck(
        [](const Variables& v) {
          return Variables{v[0] * 1.0, wrong_square(v[1], 2.01)};
        },
        {input({1}, 1), x}, {.fast = fast});
    CHECK(!result.ok);
    CHECK_MESSAGE(contains(result.message, "output 1, input 1"), result.message);
    CHECK_MESSAGE(contains(result.message, "4 of 16 derivatives"), result.message);
    CHECK(result.worst_error > 0.005);
    const GradcheckResult single = gradcheck(
        [](const Variables& v) { return Variables{wrong_square(v[0], 2, true)}; }, {x}, {.fast = fast});
    CHECK(!single.ok);
    CHECK_MESSAGE(contains(single.message, "1 of 16 derivatives"), single.message);
    CHECK_MESSAGE(contains(single.message, "output(0, 1) / d input(0, 1): analytic 4.5, numeric 4"),
                  single.message);
    CHECK(single.worst_error == doctest::Approx(0.5).epsilon(1e-6));
  }
  CHECK(gradcheck([](const Variables& v) { return Variables{wrong_square(v[0], 2)}; }, {x}).ok);
}

TEST_CASE("gradcheck catches a lost gradient and a NaN") {
  const Variable x = input({3}, 1);
  const GradcheckResult lost =
      gradcheck([](const Variables& v) { return Variables{square(v[0].detach())}; }, {x});
  CHECK(!lost.ok);
  CHECK_MESSAGE(contains(lost.message, "analytic 0"), lost.message);
  const GradcheckResult nan =
      gradcheck([](const Variables& v) { return Variables{wrong_square(v[0], NAN)}; }, {x});
  CHECK(!nan.ok);
  CHECK_MESSAGE(contains(nan.message, "nan"), nan.message);
}

TEST_CASE("gradgradcheck catches a derivative that is right once only") {
  const Variable x = input({3}, 1);
  const auto f = [](const Variables& v) { return Variables{hidden_square(v[0])}; };
  CHECK(gradcheck(f, {x}).ok);
  CHECK(!gradgradcheck(f, {x}).ok);
  CHECK(!gradgradcheck(f, {x}, {}, {.fast = true}).ok);
  CHECK(gradgradcheck([](const Variables& v) { return Variables{square(v[0])}; }, {x}).ok);
  check_error(ErrorKind::autograd, {"cross_entropy", "once"}, [] {
    const Tensor targets = Tensor::zeros({2}, DType::i64);
    gradgradcheck([&](const Variables& v) { return Variables{cross_entropy(v[0], targets)}; },
                  {input({2, 3}, 1)});
  });
}

TEST_CASE("gradcheck notices functions that are not deterministic") {
  tensor::Generator generator(1);
  const Variable x = input({40}, 1);
  const GradcheckResult result =
      gradcheck([&](const Variables& v) { return Variables{dropout(v[0], 0.5, true, generator)}; }, {x});
  CHECK(!result.ok);
  CHECK_MESSAGE(contains(result.message, "differs between two calls"), result.message);
}

TEST_CASE("gradcheck works on captured inputs and on views, and puts the inputs back") {
  Variable w = input({3, 2}, 1);
  const Variable x(tests::random({2, 3}, DType::f64, 2).t(), true);
  const std::vector<double> before = tests::values(w.data());
  CHECK(gradcheck([&](const Variables& v) { return Variables{tanh(w * v[1])}; }, {w, x}).ok);
  CHECK(tests::values(w.data()) == before);
  CHECK(!w.grad().defined());
  // An input that needs no gradient may have any type.
  const Variable plain(Tensor::full({3, 2}, 2, DType::f64));
  CHECK(gradcheck([](const Variables& v) { return Variables{v[0] * v[1]}; }, {plain, w}).ok);
}

TEST_CASE("gradcheck refuses what it cannot check") {
  const auto f = [](const Variables& v) { return Variables{square(v[0])}; };
  check_error(ErrorKind::dtype, {"input 0", "(3) f32", "f64"},
              [&] { gradcheck(f, {Variable(Tensor::zeros({3}), true)}); });
  check_error(ErrorKind::argument, {"none", "requires a gradient"},
              [&] { gradcheck(f, {Variable(Tensor::zeros({3}, DType::f64))}); });
  check_error(ErrorKind::argument, {"expand"},
              [&] { gradcheck(f, {Variable(Tensor::zeros({1}, DType::f64).expand({3}), true)}); });
  check_error(ErrorKind::dtype, {"output 0", "f32"}, [&] {
    gradcheck([](const Variables& v) { return Variables{to(v[0], DType::f32)}; }, {input({3}, 1)});
  });
}
