#include "autograd/testing/op_database/common.h"

namespace autograd::testing {

OpRecord unary_op(const Unary& u, const std::vector<Shape>& shapes, uint64_t seed) {
  OpRecord record{.name = u.name, .tolerance = u.tolerance};
  for (const Shape& shape : shapes)
    record.samples.push_back({.label = text(shape),
                              .inputs = {floating(random_away_from(shape, seed++, u.kinks, u.low, u.high))},
                              .op = one([op = u.op](const Variables& in) { return op(in[0]); }),
                              .reference = one_array([f = u.reference](const std::vector<Array>& in) {
                                return make_array(in[0].shape, [&](const Index& i) { return f(in[0](i)); });
                              })});
  return record;
}

namespace {

using V = const Variable&;

OpRecord unary(const Unary& u) {
  return unary_op(u, {{3, 4}, {}, {1}, {0, 3}, {3, 0}, {2, 1, 5}, {64, 512}}, 1);
}

struct Binary {
  const char* name;
  Variable (*op)(V, V);
  double (*reference)(double, double);
  bool chooses = false;  // one of the two: where they are equal is a kink
};

OpRecord binary(const Binary& b) {
  OpRecord record{.name = b.name};
  const auto reference = one_array([f = b.reference](const std::vector<Array>& in) {
    const Array &x = in[0], &y = in.back();
    return make_array(tensor::broadcast(x.shape, y.shape, "reference"),
                      [&](const Index& i) { return f(broadcast_at(x, i), broadcast_at(y, i)); });
  });
  uint64_t seed = 20;
  for (const auto& [left, right] : std::vector<std::pair<Shape, Shape>>{{{3, 4}, {3, 4}},
                                                                        {{3, 1}, {2, 1, 4}},
                                                                        {{}, {2, 3}},
                                                                        {{1}, {1}},
                                                                        {{0, 3}, {1, 3}},
                                                                        {{2, 3}, {2, 3}},
                                                                        {{49, 256}, {32, 1, 256}},
                                                                        {{3, 0}, {3, 1}},
                                                                        {{}, {2, 0, 3}},
                                                                        {{0, 0}, {0, 0}}}) {
    Array x = random_away_from(left, seed++, {0}, -2, 2, 0.3);
    Array y = random_away_from(right, seed++, {0}, -2, 2, 0.3);
    if (b.chooses) {
      for (double& v : x.values) v = std::round(v * 4) / 4;
      for (double& v : y.values) v = std::round(v * 4) / 4 + 0.125;
    }
    record.samples.push_back({.label = text(left) + " and " + text(right),
                              .inputs = {floating(x), floating(y)},
                              .op = one([op = b.op](const Variables& in) { return op(in[0], in[1]); }),
                              .reference = reference});
  }
  if (!b.chooses)
    record.samples.push_back({.label = "(3, 4) with itself",
                              .inputs = {record.samples[0].inputs[0]},
                              .op = one([op = b.op](const Variables& in) { return op(in[0], in[0]); }),
                              .reference = reference});
  record.errors = {refuses("shapes that do not broadcast", [op = b.op] { op(zeros(2, 3), zeros(2, 4)); },
                           ErrorKind::shape, {b.name, "(2, 3)", "(2, 4)"}),
                   refuses("two types", [op = b.op] { op(zeros(2), to(zeros(3), DType::f64)); },
                           ErrorKind::dtype, {b.name, "(2) f32", "(3) f64", "to()"})};
  return record;
}

OpRecord pow_op() {
  OpRecord record = unary({.name = "pow",
                           .op = [](V x) { return pow(x, 2.5); },
                           .reference = [](double x) { return std::pow(x, 2.5); },
                           .low = 0.3});
  OpRecord cube = unary(
      {.name = "pow", .op = [](V x) { return pow(x, 3); }, .reference = [](double x) { return x * x * x; }});
  for (Sample& sample : cube.samples) {
    sample.label += " to the third";
    record.samples.push_back(std::move(sample));
  }
  return record;
}

OpRecord where_op() {
  OpRecord record{.name = "where"};
  Draws draw(60);
  for (const auto& [c, a, b] : std::vector<std::array<Shape, 3>>{{{{3, 4}, {3, 4}, {3, 4}}},
                                                                 {{{3, 1}, {2, 1, 4}, {1, 4}}},
                                                                 {{{}, {2, 2}, {2, 2}}},
                                                                 {{{0}, {0}, {1}}},
                                                                 {{{3, 1}, {3, 0}, {}}},
                                                                 {{{1}, {2, 1}, {0, 2, 0}}}}) {
    const Shape shape = tensor::broadcast(tensor::broadcast(c, a, "where"), b, "where");
    Array bits = draw(c, 0, 2);
    for (double& v : bits.values) v = std::floor(v);
    record.samples.push_back(
        {.label = text(c) + ", " + text(a) + " and " + text(b),
         .inputs = {condition(bits), floating(draw(a)), floating(draw(b))},
         .op = one([](const Variables& in) { return where(in[0].data(), in[1], in[2]); }),
         .reference = one_array([shape](const std::vector<Array>& in) {
           return make_array(shape, [&](const Index& i) {
             return broadcast_at(in[0], i) != 0 ? broadcast_at(in[1], i) : broadcast_at(in[2], i);
           });
         })});
  }
  record.errors = {refuses("a condition that is no bool", [] { where(zeros(2).data(), zeros(2), zeros(2)); },
                           ErrorKind::dtype, {"where", "f32"}),
                   refuses("shapes that do not broadcast",
                           [] { where(Tensor::zeros({2}, DType::boolean), zeros(2), zeros(3)); },
                           ErrorKind::shape, {"where", "(2)", "(3)"})};
  return record;
}

}  // namespace

std::vector<OpRecord> arithmetic_ops() {
  return {
      binary({.name = "add", .op = add, .reference = [](double a, double b) { return a + b; }}),
      binary({.name = "sub", .op = sub, .reference = [](double a, double b) { return a - b; }}),
      binary({.name = "mul", .op = mul, .reference = [](double a, double b) { return a * b; }}),
      binary({.name = "div", .op = div, .reference = [](double a, double b) { return a / b; }}),
      unary({.name = "div_by",
             .op = [](V x) { return div_by(x, 3); },
             .reference = [](double x) { return x / 3; }}),
      unary({.name = "affine",
             .op = [](V x) { return affine(x, 1.5, -0.25); },
             .reference = [](double x) { return 1.5 * x - 0.25; }}),
      unary({.name = "neg", .op = neg, .reference = [](double x) { return -x; }}),
      pow_op(),
      unary({.name = "exp",
             .op = exp,
             .reference = [](double x) { return std::exp(x); },
             .tolerance = kExponential}),
      unary({.name = "log",
             .op = log,
             .reference = [](double x) { return std::log(x); },
             .low = 0.2,
             .high = 3}),
      unary({.name = "sqrt",
             .op = sqrt,
             .reference = [](double x) { return std::sqrt(x); },
             .low = 0.2,
             .high = 3}),
      unary({.name = "square", .op = square, .reference = [](double x) { return x * x; }}),
      unary({.name = "abs", .op = abs, .reference = [](double x) { return std::abs(x); }, .kinks = {0}}),
      binary({.name = "maximum",
              .op = maximum,
              .reference = [](double a, double b) { return std::max(a, b); },
              .chooses = true}),
      binary({.name = "minimum",
              .op = minimum,
              .reference = [](double a, double b) { return std::min(a, b); },
              .chooses = true}),
      where_op(),
  };
}

}  // namespace autograd::testing
