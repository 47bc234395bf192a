#include "autograd/testing/op_database/common.h"

namespace autograd::testing {
namespace {

using Unary = Variable (*)(const Variable&);
using Binary = Variable (*)(const Variable&, const Variable&);

const std::vector<Shape> kShapes = {{3, 4}, {}, {1}, {0, 3}, {3, 0}, {2, 1, 5}};

OpRecord unary(const char* name, Unary op, double (*f)(double), const std::vector<double>& kinks, double low,
               double high, Tolerance tolerance = {}) {
  OpRecord record{name, "arithmetic"};
  record.tolerance = tolerance;
  uint64_t seed = 1;
  for (const Shape& shape : kShapes)
    record.samples.push_back({text(shape),
                              {floating(random_away_from(shape, seed++, kinks, low, high))},
                              [op](const Variables& in) { return Variables{op(in[0])}; },
                              [f](const std::vector<Array>& in) {
                                return std::vector<Array>{
                                    make_array(in[0].shape, [&](const Index& i) { return f(in[0](i)); })};
                              },
                              {}});
  record.samples.push_back(record.samples.front());
  record.samples.back().label = "(64, 512)";
  record.samples.back().large = true;
  record.samples.back().inputs = {floating(random_away_from({64, 512}, 9, kinks, low, high))};
  return record;
}

OpRecord binary(const char* name, Binary op, double (*f)(double, double), double low, double high,
                bool distinct = false) {
  OpRecord record{name, "arithmetic"};
  uint64_t seed = 20;
  const auto add = [&](const Shape& a, const Shape& b, bool large) {
    Array x = random_away_from(a, seed, {0}, low, high, 0.3),
          y = random_away_from(b, seed + 1, {0}, low, high, 0.3);
    seed += 2;
    // Where the two are equal, a maximum has a kink.
    if (distinct)
      for (double& v : y.values) v = std::round(v * 4) / 4 + 0.125;
    if (distinct)
      for (double& v : x.values) v = std::round(v * 4) / 4;
    const Shape shape = tensor::broadcast(a, b, name);
    record.samples.push_back({text(a) + " and " + text(b),
                              {floating(x), floating(y)},
                              [op](const Variables& in) { return Variables{op(in[0], in[1])}; },
                              [f, shape](const std::vector<Array>& in) {
                                return std::vector<Array>{make_array(shape, [&](const Index& i) {
                                  return f(broadcast_at(in[0], i), broadcast_at(in[1], i));
                                })};
                              },
                              {},
                              large});
  };
  add({3, 4}, {3, 4}, false);
  add({3, 1}, {2, 1, 4}, false);
  add({}, {2, 3}, false);
  add({1}, {1}, false);
  add({0, 3}, {1, 3}, false);
  add({2, 3}, {2, 3}, false);
  add({49, 256}, {32, 1, 256}, true);
  add({3, 0}, {3, 1}, false);
  add({}, {2, 0, 3}, false);
  add({0, 0}, {0, 0}, false);
  // One variable on both sides.
  Sample twice = record.samples.front();
  twice.label = "(3, 4) with itself";
  twice.inputs.resize(1);
  if (!distinct) {
    twice.op = [op](const Variables& in) { return Variables{op(in[0], in[0])}; };
    twice.reference = [f](const std::vector<Array>& in) {
      return std::vector<Array>{
          make_array(in[0].shape, [&](const Index& i) { return f(in[0](i), in[0](i)); })};
    };
    record.samples.push_back(twice);
  }
  record.errors = {refuses("shapes that do not broadcast",
                           [op] {
                             op(zeros({2, 3}), zeros({2, 4}));
                           },
                           ErrorKind::shape, {name, "(2, 3)", "(2, 4)"}),
                   refuses("two types", [op] { op(zeros({2}), zeros({3}, DType::f64)); }, ErrorKind::dtype,
                           {name, "(2) f32", "(3) f64", "to()"})};
  return record;
}

double identity_if(double c, double a, double b) { return c != 0 ? a : b; }

}  // namespace

void add_arithmetic(std::vector<OpRecord>& all) {
  all.push_back(binary(
      "add", add, [](double a, double b) { return a + b; }, -2, 2));
  all.push_back(binary(
      "sub", sub, [](double a, double b) { return a - b; }, -2, 2));
  all.push_back(binary(
      "mul", mul, [](double a, double b) { return a * b; }, -2, 2));
  all.push_back(binary(
      "div", div, [](double a, double b) { return a / b; }, -2, 2));
  all.push_back(unary(
      "div_by", [](const Variable& x) { return div_by(x, 3); }, [](double x) { return x / 3; }, {}, -2, 2));
  all.push_back(unary(
      "affine", [](const Variable& x) { return affine(x, 1.5, -0.25); },
      [](double x) { return 1.5 * x - 0.25; }, {}, -2, 2));
  all.push_back(unary(
      "neg", neg, [](double x) { return -x; }, {}, -2, 2));
  all.push_back(unary(
      "pow", [](const Variable& x) { return pow(x, 2.5); }, [](double x) { return std::pow(x, 2.5); }, {},
      0.3, 2));
  const OpRecord cube = unary(
      "pow", [](const Variable& x) { return pow(x, 3); }, [](double x) { return x * x * x; }, {}, -2, 2);
  for (Sample sample : cube.samples) {
    sample.label += " to the third";
    all.back().samples.push_back(std::move(sample));
  }
  const Tolerance vector_math{3e-6, 1e-13, "the float kernel's own exponential is within 3e-7"};
  all.push_back(unary(
      "exp", exp, [](double x) { return std::exp(x); }, {}, -2, 2, vector_math));
  all.push_back(unary(
      "log", log, [](double x) { return std::log(x); }, {}, 0.2, 3));
  all.push_back(unary(
      "sqrt", sqrt, [](double x) { return std::sqrt(x); }, {}, 0.2, 3));
  all.push_back(unary(
      "square", square, [](double x) { return x * x; }, {}, -2, 2));
  all.push_back(unary(
      "abs", abs, [](double x) { return std::abs(x); }, {0}, -2, 2));
  all.push_back(binary(
      "maximum", maximum, [](double a, double b) { return std::max(a, b); }, -2, 2, true));
  all.push_back(binary(
      "minimum", minimum, [](double a, double b) { return std::min(a, b); }, -2, 2, true));

  OpRecord where_record{"where", "arithmetic"};
  uint64_t seed = 60;
  for (const auto& [c, a, b] : std::vector<std::array<Shape, 3>>{{{{3, 4}, {3, 4}, {3, 4}}},
                                                                 {{{3, 1}, {2, 1, 4}, {1, 4}}},
                                                                 {{{}, {2, 2}, {2, 2}}},
                                                                 {{{0}, {0}, {1}}},
                                                                 {{{3, 1}, {3, 0}, {}}},
                                                                 {{{1}, {2, 1}, {0, 2, 0}}}}) {
    const Shape shape = tensor::broadcast(tensor::broadcast(c, a, "where"), b, "where");
    Array bits = random_array(c, seed, 0, 2);
    for (double& v : bits.values) v = std::floor(v);
    where_record.samples.push_back(
        {text(c) + ", " + text(a) + " and " + text(b),
         {condition(bits), floating(random_array(a, seed + 1)), floating(random_array(b, seed + 2))},
         [](const Variables& in) { return Variables{where(in[0].data(), in[1], in[2])}; },
         [shape](const std::vector<Array>& in) {
           return std::vector<Array>{make_array(shape, [&](const Index& i) {
             return identity_if(broadcast_at(in[0], i), broadcast_at(in[1], i), broadcast_at(in[2], i));
           })};
         },
         {}});
    seed += 3;
  }
  where_record.errors = {
      refuses("a condition that is no bool", [] { where(Tensor::zeros({2}), zeros({2}), zeros({2})); },
              ErrorKind::dtype, {"where", "f32"}),
      refuses("shapes that do not broadcast",
              [] { where(Tensor::zeros({2}, DType::boolean), zeros({2}), zeros({3})); }, ErrorKind::shape,
              {"where", "(2)", "(3)"})};
  all.push_back(std::move(where_record));
}

}  // namespace autograd::testing
