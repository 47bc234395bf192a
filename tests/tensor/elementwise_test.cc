#include <limits>

#include "tests/tensor/reference.h"

using namespace tests;
using tensor::BinaryOp;
using tensor::UnaryOp;

namespace {

struct Unary {
  std::string name;
  UnaryOp op;
  double (*exact)(double);
  double low, high;
};

const Unary kUnary[] = {
    {"neg", UnaryOp::neg, [](double x) { return -x; }, -2, 2},
    {"abs", UnaryOp::abs, [](double x) { return std::abs(x); }, -2, 2},
    {"exp", UnaryOp::exp, [](double x) { return std::exp(x); }, -80, 80},
    {"log", UnaryOp::log, [](double x) { return std::log(x); }, 1.1, 90},
    {"sqrt", UnaryOp::sqrt, [](double x) { return std::sqrt(x); }, 0, 9},
    {"rsqrt", UnaryOp::rsqrt, [](double x) { return 1 / std::sqrt(x); }, 0.1, 9},
    {"reciprocal", UnaryOp::reciprocal, [](double x) { return 1 / x; }, 0.1, 9},
    {"relu", UnaryOp::relu, [](double x) { return x > 0 ? x : 0; }, -2, 2},
    {"relu6", UnaryOp::relu6, [](double x) { return x < 0   ? 0
                                                    : x > 6 ? 6
                                                            : x; }, -9, 9},
    {"tanh", UnaryOp::tanh, [](double x) { return std::tanh(x); }, -12, 12},
    {"sigmoid", UnaryOp::sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, -60, 60},
    {"square", UnaryOp::square, [](double x) { return x * x; }, -2, 2},
    {"sign", UnaryOp::sign, [](double x) { return x > 0   ? 1.0
                                                  : x < 0 ? -1.0
                                                          : 0.0; }, -2, 2},
};

struct Binary {
  std::string name;
  BinaryOp op;
  double (*exact)(double, double);
};

const Binary kBinary[] = {
    {"add", BinaryOp::add, [](double a, double b) { return a + b; }},
    {"sub", BinaryOp::sub, [](double a, double b) { return a - b; }},
    {"mul", BinaryOp::mul, [](double a, double b) { return a * b; }},
    {"div", BinaryOp::div, [](double a, double b) { return a / b; }},
    {"pow", BinaryOp::pow, [](double a, double b) { return std::pow(a, b); }},
    {"maximum", BinaryOp::maximum, [](double a, double b) { return a > b ? a : b; }},
    {"minimum", BinaryOp::minimum, [](double a, double b) { return a < b ? a : b; }},
    {"eq", BinaryOp::eq, [](double a, double b) { return a == b ? 1.0 : 0.0; }},
    {"ne", BinaryOp::ne, [](double a, double b) { return a != b ? 1.0 : 0.0; }},
    {"lt", BinaryOp::lt, [](double a, double b) { return a < b ? 1.0 : 0.0; }},
    {"le", BinaryOp::le, [](double a, double b) { return a <= b ? 1.0 : 0.0; }},
    {"gt", BinaryOp::gt, [](double a, double b) { return a > b ? 1.0 : 0.0; }},
    {"ge", BinaryOp::ge, [](double a, double b) { return a >= b ? 1.0 : 0.0; }},
};

double tolerance(DType dtype) { return dtype == DType::f32 ? 3e-7 : 1e-15; }

const Shape kShapes[] = {{}, {1}, {0}, {7}, {3, 5}, {4, 1, 3}, {2, 0, 3}, {2, 3, 4, 5}, {130, 257}};

std::vector<double> apply2(const Tensor& a, const Tensor& b, const Shape& shape,
                           double (*f)(double, double)) {
  const std::vector<double> x = values(a.expand(shape)), y = values(b.expand(shape));
  std::vector<double> out(x.size());
  for (size_t i = 0; i < x.size(); ++i) out[i] = f(x[i], y[i]);
  return out;
}

}  // namespace

TEST_CASE("unary equals a loop over <cmath> for every op, type, shape and layout") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Unary& u : kUnary) {
      for (const Shape& shape : kShapes) {
        for (const auto& [name, x] : layouts(shape, dtype, 1, u.low, u.high)) {
          Tensor out = Tensor::empty(shape, dtype);
          tensor::kernels::unary(out, x, u.op);
          std::vector<double> want = values(x);
          for (double& v : want) v = u.exact(v);
          const double error = worst_relative(values(out), want);
          CHECK_MESSAGE(error <= tolerance(dtype), u.name, " ", describe(x), " ", name, ": ", error);
        }
      }
    }
  }
}

TEST_CASE("unary keeps NaN and infinity") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = Tensor::from(std::vector<float>{nan, inf, -inf, 0, -0.0f}, {5});
  const auto apply = [&](UnaryOp op) {
    Tensor out = Tensor::empty({5});
    tensor::kernels::unary(out, x, op);
    return out.to_vector<float>();
  };
  for (const UnaryOp op : {UnaryOp::relu, UnaryOp::relu6, UnaryOp::exp, UnaryOp::tanh, UnaryOp::sigmoid,
                           UnaryOp::neg, UnaryOp::abs, UnaryOp::sqrt, UnaryOp::log})
    CHECK(std::isnan(apply(op)[0]));
  CHECK(apply(UnaryOp::relu)[1] == inf);
  CHECK(apply(UnaryOp::relu)[2] == 0);
  CHECK(apply(UnaryOp::relu6)[1] == 6);
  CHECK(apply(UnaryOp::exp)[2] == 0);
  CHECK(apply(UnaryOp::log)[3] == -inf);
  CHECK(apply(UnaryOp::reciprocal)[4] == -inf);
  CHECK(std::signbit(apply(UnaryOp::sqrt)[4]));
}

TEST_CASE("binary equals a loop for every op, type, layout and broadcast") {
  const std::pair<Shape, Shape> pairs[] = {{{}, {}},
                                           {{7}, {7}},
                                           {{3, 5}, {5}},
                                           {{3, 5}, {3, 1}},
                                           {{1, 5}, {3, 1}},
                                           {{2, 3, 4}, {3, 1}},
                                           {{4, 1, 6}, {5, 1}},
                                           {{}, {3, 4}},
                                           {{3, 4}, {1}},
                                           {{0, 3}, {1, 3}},
                                           {{2, 3, 4, 5}, {3, 1, 1}},
                                           {{70, 300}, {300}}};
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Binary& op : kBinary) {
      const bool is_comparison = op.op >= BinaryOp::eq;
      for (const auto& [left, right] : pairs) {
        const Shape shape = tensor::broadcast(left, right, "test");
        const double low = op.op == BinaryOp::pow ? 0.5 : -2;
        const auto as = layouts(left, dtype, 3, low), bs = layouts(right, dtype, 30, low);
        for (const auto& [a_name, a] : as) {
          for (const auto& [b_name, b] : bs) {
            Tensor out = Tensor::empty(shape, is_comparison ? DType::boolean : dtype);
            tensor::kernels::binary(out, a, b, op.op);
            const double error = worst_relative(values(out), apply2(a, b, shape, op.exact));
            CHECK_MESSAGE(error <= tolerance(dtype), op.name, " ", describe(a), " ", a_name, ", ",
                          describe(b), " ", b_name, ": ", error);
          }
        }
      }
    }
  }
}

TEST_CASE("binary on whole numbers") {
  const Tensor a = Tensor::from(std::vector<int64_t>{1, -5, int64_t{1} << 60}, {3});
  const Tensor b = Tensor::from(std::vector<int64_t>{3, -5, 1}, {3});
  Tensor out = Tensor::empty({3}, DType::i64), flag = Tensor::empty({3}, DType::boolean);
  tensor::kernels::binary(out, a, b, BinaryOp::add);
  CHECK(out.to_vector<int64_t>() == std::vector<int64_t>{4, -10, (int64_t{1} << 60) + 1});
  tensor::kernels::binary(out, a, b, BinaryOp::sub);
  CHECK(out.to_vector<int64_t>() == std::vector<int64_t>{-2, 0, (int64_t{1} << 60) - 1});
  tensor::kernels::binary(out, a, b, BinaryOp::mul);
  CHECK(out.to_vector<int64_t>() == std::vector<int64_t>{3, 25, int64_t{1} << 60});
  tensor::kernels::binary(flag, a, b, BinaryOp::gt);
  CHECK(values(flag) == std::vector<double>{0, 0, 1});
  check_error(ErrorKind::dtype, {"div", "i64"}, [&] { tensor::kernels::binary(out, a, b, BinaryOp::div); });
}

TEST_CASE("maximum and minimum pass NaN on from either side") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor a = Tensor::from(std::vector<float>{nan, 1}, {2}),
               b = Tensor::from(std::vector<float>{1, nan}, {2});
  for (const BinaryOp op : {BinaryOp::maximum, BinaryOp::minimum}) {
    Tensor out = Tensor::empty({2});
    tensor::kernels::binary(out, a, b, op);
    CHECK(std::isnan(values(out)[0]));
    CHECK(std::isnan(values(out)[1]));
  }
}

TEST_CASE("affine, clamp, where and add_inplace equal loops in every layout") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Shape& shape : kShapes) {
      const auto all = layouts(shape, dtype, 5);
      for (const auto& [name, x] : all) {
        CAPTURE(name);
        CAPTURE(describe(x));
        Tensor out = Tensor::empty(shape, dtype);
        const std::vector<double> v = values(x);
        std::vector<double> want(v.size());
        tensor::kernels::affine(out, x, 1.5, -0.25);
        for (size_t i = 0; i < v.size(); ++i) want[i] = 1.5 * v[i] - 0.25;
        CHECK(worst_relative(values(out), want, 0.25) <= tolerance(dtype));
        tensor::kernels::affine(out, x, -3, 0);
        for (size_t i = 0; i < v.size(); ++i) want[i] = -3 * v[i];
        CHECK(worst_relative(values(out), want) <= tolerance(dtype));
        tensor::kernels::clamp(out, x, -0.5, 1);
        for (size_t i = 0; i < v.size(); ++i) want[i] = std::min(std::max(v[i], -0.5), 1.0);
        CHECK(values(out) == want);

        Tensor condition = Tensor::empty(shape, DType::boolean);
        tensor::kernels::binary(condition, x, Tensor::scalar(0, dtype), BinaryOp::gt);
        for (const auto& [other_name, y] : layouts(shape, dtype, 50)) {
          const std::vector<double> w = values(y);
          tensor::kernels::where(out, condition, x, y);
          for (size_t i = 0; i < v.size(); ++i) want[i] = v[i] > 0 ? v[i] : w[i];
          CHECK_MESSAGE(values(out) == want, other_name);
          tensor::kernels::where(out, condition, x, Tensor::scalar(7, dtype));
          for (size_t i = 0; i < v.size(); ++i) want[i] = v[i] > 0 ? v[i] : 7;
          CHECK(values(out) == want);
          if (other_name == "expanded") continue;  // an output needs an element an index
          Tensor target = y;
          tensor::kernels::add_inplace(target, x, 0.5);
          for (size_t i = 0; i < v.size(); ++i) want[i] = w[i] + 0.5 * v[i];
          CHECK(worst_relative(values(target), want, 0.1) <= 2 * tolerance(dtype));
        }
      }
    }
  }
}

TEST_CASE("outputs may be their inputs, and overlapping views are not overwritten while they are read") {
  Tensor x = random({50, 40}, DType::f32, 9);
  std::vector<double> want = values(x);
  for (double& v : want) v = 2 * v + 1;
  tensor::kernels::affine(x, x, 2, 1);
  CHECK(worst_relative(values(x), want, 0.1) <= 3e-7);

  Tensor y = Tensor::arange(1000, DType::f64);
  Tensor tail = y.slice(0, 1, 1000);
  tensor::kernels::binary(tail, tail, y.slice(0, 0, 999),
                          BinaryOp::add);  // y[i] + y[i - 1], not a running sum
  for (int64_t i = 1; i < 1000; ++i) REQUIRE(y.data<double>()[i] == 2.0 * static_cast<double>(i) - 1);
  Tensor z = Tensor::arange(10, DType::f64), most = z.slice(0, 0, 9);
  tensor::kernels::add_inplace(most, z.slice(0, 1, 10), 1);
  CHECK(values(z) == std::vector<double>{1, 3, 5, 7, 9, 11, 13, 15, 17, 9});
}

TEST_CASE("elementwise results do not depend on the number of threads") {
  const Tensor a = random({301, 401}, DType::f32, 11), b = random({401}, DType::f32, 12);
  const Tensor t = random({401, 301}, DType::f32, 13).t();
  check_threads([&] {
    Tensor out = Tensor::empty({301, 401});
    tensor::kernels::unary(out, t, UnaryOp::tanh);
    return out;
  });
  check_threads([&] {
    Tensor out = Tensor::empty({301, 401});
    tensor::kernels::binary(out, a, b, BinaryOp::div);
    return out;
  });
  check_threads([&] {
    Tensor out = a.clone();
    tensor::kernels::add_inplace(out, t, 0.1);
    return out;
  });
}

TEST_CASE("elementwise errors name the op and both shapes or types") {
  Tensor out = Tensor::empty({2, 3});
  const Tensor x = Tensor::zeros({2, 3}), wide = Tensor::zeros({4}), d = Tensor::zeros({2, 3}, DType::f64);
  check_error(ErrorKind::shape, {"mul", "(4)", "(2, 3)"},
              [&] { tensor::kernels::binary(out, x, wide, BinaryOp::mul); });
  check_error(ErrorKind::dtype, {"add", "f32", "f64"},
              [&] { tensor::kernels::binary(out, x, d, BinaryOp::add); });
  check_error(ErrorKind::shape, {"exp", "(4)", "(2, 3)"},
              [&] { tensor::kernels::unary(out, wide, UnaryOp::exp); });
  check_error(ErrorKind::dtype, {"affine"}, [&] { tensor::kernels::affine(out, d, 1, 0); });
  check_error(ErrorKind::argument, {"clamp"}, [&] { tensor::kernels::clamp(out, x, 1, 0); });
  check_error(ErrorKind::dtype, {"where", "bool"}, [&] { tensor::kernels::where(out, x, x, x); });
  check_error(ErrorKind::shape, {"add_inplace", "(4)", "(2, 3)"},
              [&] { tensor::kernels::add_inplace(out, wide, 1); });
  Tensor ids = Tensor::empty({2}, DType::i64);
  check_error(ErrorKind::dtype, {"neg", "i64"},
              [&] { tensor::kernels::unary(ids, Tensor::arange(2), UnaryOp::neg); });
}
