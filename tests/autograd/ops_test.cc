// Every op of arithmetic, activation, reduce, shape, softmax, cross_entropy, embedding and dropout: its
// derivatives, once and twice, in awkward shapes and layouts; values from PyTorch; views; errors.
#include "autograd/ops.h"

#include "autograd/engine.h"
#include "autograd/testing/gradcheck.h"
#include "tests/tensor/reference.h"

using namespace autograd;
using tests::check_error;
using tests::values;
using Values = std::vector<double>;

namespace {

Variable leaf(Values v, const Shape& shape) { return Variable(Tensor::from(v, shape), true); }

void expect_derivatives(const std::string& name, const GradcheckFunction& f, const Variables& in,
                        bool twice = true) {
  for (const bool fast : {false, true}) {
    const GradcheckResult first = gradcheck(f, in, {.fast = fast});
    CHECK_MESSAGE(first.ok, name, ": ", first.message);
    if (!twice) continue;
    const GradcheckResult second = gradgradcheck(f, in, {}, {.fast = fast});
    CHECK_MESSAGE(second.ok, name, " twice: ", second.message);
  }
}

// Tensors of `shape` in every layout that has one place for each index.
std::vector<tests::Layout> leaves(const Shape& shape, uint64_t seed, double low = -2, double high = 2) {
  std::vector<tests::Layout> all;
  for (const tests::Layout& layout : tests::layouts(shape, DType::f64, seed, low, high))
    if (layout.name != "expanded") all.push_back(layout);
  return all;
}

using UnaryFunction = Variable (*)(const Variable&);
struct Unary {
  std::string name;
  UnaryFunction f;
  double low, high;
};

const Unary kUnary[] = {
    {"affine", [](const Variable& x) { return affine(x, -1.5, 2); }, -2, 2},
    {"neg", neg, -2, 2},
    {"pow 2.5", [](const Variable& x) { return pow(x, 2.5); }, 0.5, 2},
    {"pow 3", [](const Variable& x) { return pow(x, 3); }, -2, 2},
    {"pow 2", [](const Variable& x) { return pow(x, 2); }, -2, 2},
    {"pow 1", [](const Variable& x) { return pow(x, 1); }, -2, 2},
    {"pow 0", [](const Variable& x) { return pow(x, 0); }, -2, 2},
    {"pow -1", [](const Variable& x) { return pow(x, -1); }, 0.5, 2},
    {"exp", exp, -2, 2},
    {"log", log, 0.5, 3},
    {"sqrt", sqrt, 0.5, 3},
    {"square", square, -2, 2},
    {"abs", abs, -2, 2},
    {"relu", relu, -2, 2},
    {"relu6", relu6, -3, 9},
    {"tanh", tanh, -2, 2},
    {"sigmoid", sigmoid, -4, 4},
    {"clamp", [](const Variable& x) { return clamp(x, -0.5, 1); }, -2, 2},
    {"x + 2", [](const Variable& x) { return 2 + x + 1; }, -2, 2},
    {"2 - x", [](const Variable& x) { return 2 - (x - 1); }, -2, 2},
    {"x / 2", [](const Variable& x) { return -x / 2; }, -2, 2},
    {"sum", [](const Variable& x) { return sum(x); }, -2, 2},
    {"mean", [](const Variable& x) { return mean(x); }, -2, 2},
    {"flatten", [](const Variable& x) { return flatten(x); }, -2, 2},
    {"reshape",
     [](const Variable& x) {
       return reshape(x, {-1, 1});
     },
     -2, 2},
    {"contiguous", contiguous, -2, 2},
    {"unsqueeze", [](const Variable& x) { return square(unsqueeze(unsqueeze(x, 0), -1)); }, -2, 2},
    {"to", [](const Variable& x) { return to(x, DType::f64); }, -2, 2},
};

// For rank 3: every dimension.
struct Dimension {
  std::string name;
  Variable (*f)(const Variable&, int dim);
};

const Dimension kDimension[] = {
    {"sum", [](const Variable& x, int d) { return square(sum(x, {d})); }},
    {"sum of two",
     [](const Variable& x, int d) {
       return square(sum(x, {d, (d + 2) % 3}, true));
     }},
    {"mean", [](const Variable& x, int d) { return square(mean(x, {d}, true)); }},
    {"mean of two",
     [](const Variable& x, int d) {
       return square(mean(x, {(d + 1) % 3, d}));
     }},
    {"max", [](const Variable& x, int d) { return square(max(x, d)); }},
    {"max keepdim", [](const Variable& x, int d) { return square(max(x, d - 3, true)); }},
    {"logsumexp", [](const Variable& x, int d) { return logsumexp(x, d); }},
    {"logsumexp keepdim", [](const Variable& x, int d) { return logsumexp(x, d - 3, true); }},
    {"softmax", [](const Variable& x, int d) { return softmax(x, d); }},
    {"log_softmax", [](const Variable& x, int d) { return log_softmax(x, d - 3); }},
    {"transpose", [](const Variable& x, int d) { return square(transpose(x, d, -1)); }},
    {"permute",
     [](const Variable& x, int d) {
       return square(permute(x, {d, (d + 1) % 3, (d + 2) % 3}));
     }},
    {"slice", [](const Variable& x, int d) { return square(slice(x, d, 1, x.size(d), 2)); }},
    {"empty slice", [](const Variable& x, int d) { return sum(slice(x, d, 1, 1)) + sum(x); }},
    {"select", [](const Variable& x, int d) { return square(select(x, d, 1)); }},
    {"select last", [](const Variable& x, int d) { return square(select(x, d - 3, -1)); }},
    {"squeeze", [](const Variable& x, int d) { return square(squeeze(slice(x, d, 1, 2), d)); }},
    {"cat",
     [](const Variable& x, int d) {
       return square(cat({x, exp(x), slice(x, d, 0, 1)}, d));
     }},
    {"stack",
     [](const Variable& x, int d) {
       return square(stack({x, exp(x)}, d));
     }},
    {"flatten", [](const Variable& x, int d) { return square(flatten(x, d, 2)); }},
};

}  // namespace

TEST_CASE("derivatives of ops of one input, in every layout and with 1 and no elements") {
  for (const Unary& op : kUnary) {
    for (const Shape& shape : {Shape{3, 4}, Shape{1}, Shape{}}) {
      for (const auto& [layout, x] : leaves(shape, 3, op.low, op.high))
        expect_derivatives(op.name + " " + layout + " " + to_string(shape),
                           [&](const Variables& v) { return Variables{op.f(v[0])}; }, {Variable(x, true)});
    }
    const Variable none(Tensor::empty({0, 3}, DType::f64), true);
    sum(op.f(none)).backward();
    CHECK_MESSAGE((none.grad().shape() == Shape{0, 3}), op.name);
  }
}

TEST_CASE("derivatives of ops along a dimension, in every layout") {
  for (const Dimension& op : kDimension)
    for (int d = 0; d < 3; ++d)
      for (const auto& [layout, x] : leaves({3, 2, 4}, 5))
        expect_derivatives(op.name + " " + layout + " dim " + std::to_string(d),
                           [&](const Variables& v) { return Variables{op.f(v[0], d)}; }, {Variable(x, true)});
}

TEST_CASE("derivatives of ops of two inputs, broadcast in every way") {
  using BinaryFunction = Variable (*)(const Variable&, const Variable&);
  const std::pair<std::string, BinaryFunction> ops[] = {
      {"add", add}, {"sub", sub}, {"mul", mul}, {"div", div}, {"maximum", maximum}, {"minimum", minimum}};
  const std::pair<Shape, Shape> shapes[] = {{{2, 3}, {2, 3}}, {{2, 3}, {3}}, {{2, 1}, {3}},      {{}, {2, 2}},
                                            {{2, 3}, {}},     {{1}, {1}},    {{3, 1, 2}, {2, 1}}};
  for (const auto& [name, f] : ops) {
    for (const auto& [left, right] : shapes) {
      const auto as = leaves(left, 7, 0.5, 2), bs = leaves(right, 70, 0.5, 2);
      for (size_t i = 0; i < std::max(as.size(), bs.size()); ++i) {
        const Variables in{Variable(as[i % as.size()].x, true), Variable(bs[(i + 1) % bs.size()].x, true)};
        const auto call = [&, g = f](const Variables& v) { return Variables{g(v[0], v[1])}; };
        expect_derivatives(name + " " + to_string(left) + " " + to_string(right), call, in);
      }
      // Only one of the two needs a gradient.
      const Tensor constant = bs[0].x;
      expect_derivatives(name,
                         [&, g = f](const Variables& v) {
                           return Variables{g(v[0], constant), g(constant, v[0])};
                         },
                         {Variable(as[0].x, true)});
    }
    const Variable x(leaves({2, 2}, 9, 0.5, 2)[1].x, true);
    expect_derivatives(name, [g = f](const Variables& v) { return Variables{g(v[0], square(v[0]))}; }, {x});
  }
  Tensor condition = Tensor::empty({2, 1}, DType::boolean);
  condition.mutable_data<bool>()[0] = true;
  condition.mutable_data<bool>()[1] = false;
  for (const auto& [left, right] : shapes) {
    if (left.rank() == 3) continue;
    expect_derivatives(
        "where", [&](const Variables& v) { return Variables{where(condition, square(v[0]), exp(v[1]))}; },
        {Variable(leaves(left, 7)[0].x, true), Variable(leaves(right, 8)[0].x, true)});
  }
}

TEST_CASE("derivatives of expand, cross_entropy, embedding and dropout") {
  for (const auto& [layout, x] : leaves({2, 1, 3}, 11)) {
    expect_derivatives(layout,
                       [](const Variables& v) {
                         return Variables{square(expand(v[0], {4, 2, 5, 3}))};
                       },
                       {Variable(x, true)});
  }
  const Tensor targets = Tensor::from(std::vector<int64_t>{2, -100, 0, 4}, {4});
  for (const auto& [layout, x] : leaves({4, 5}, 12))
    for (const Reduction reduction : {Reduction::mean, Reduction::sum, Reduction::none})
      for (const double smoothing : {0.0, 0.2})
        for (const Tensor& weight : {Tensor(), Tensor::from<double>({0.5, 2, 1, 0, 3}, {5})})
          expect_derivatives(
              layout,
              [&](const Variables& v) {
                return Variables{square(cross_entropy(v[0], targets, -100, smoothing, reduction, weight))};
              },
              {Variable(x, true)}, false);
  const Tensor ids = Tensor::from(std::vector<int64_t>{2, 0, 2, 1, 2, 2}, {2, 3});
  for (const auto& [layout, x] : leaves({4, 3}, 13))
    for (const Tensor& index : {ids, ids.t()})
      expect_derivatives(
          layout, [&](const Variables& v) { return Variables{square(embedding(v[0], index))}; },
          {Variable(x, true)}, false);
  for (const auto& [layout, x] : leaves({4, 5}, 14))
    for (const double p : {0.4, 1.0})
      expect_derivatives(layout,
                         [&](const Variables& v) {
                           tensor::Generator generator(7);
                           return Variables{square(dropout(v[0], p, true, generator))};
                         },
                         {Variable(x, true)});
}

// Made with PyTorch 2.11, float64:
//   x = torch.tensor([[0.5, -1, 2], [1.5, .25, -.75]], requires_grad=True)
//   w = torch.tensor([[1, -2, .5], [.25, 3, -1]])
//   y = f(x); (y * w).sum().backward()       # or y.sum() where the shapes differ
TEST_CASE("values and gradients equal PyTorch's") {
  const Tensor w = Tensor::from(Values{1, -2, 0.5, 0.25, 3, -1}, {2, 3});
  const Tensor one = Tensor::from(std::vector<int64_t>{2, -100}, {2});
  const Tensor both = Tensor::from(std::vector<int64_t>{2, 0}, {2});
  const auto expect = [&](const std::string& name, const std::function<Variable(const Variable&)>& f,
                          const Values& y, const Values& dx) {
    const Variable x = leaf({0.5, -1, 2, 1.5, 0.25, -0.75}, {2, 3});
    const Variable out = f(x);
    sum(out.shape() == w.shape() ? out * w : out).backward();
    CHECK_MESSAGE(tests::worst_relative(values(out.data()), y, 1) < 1e-11, name);
    CHECK_MESSAGE(tests::worst_relative(values(x.grad().data()), dx, 1) < 1e-11, name);
  };
  expect("softmax", [](const Variable& x) { return softmax(x); },
         {0.17529039214, 0.039112573271, 0.785597034589, 0.718440341151, 0.205836603998, 0.075723054851},
         {0.089421981047, -0.09738497886, 0.007962997813, -0.338670508293, 0.469019935813, -0.13034942752});
  expect("softmax, dim 0", [](const Variable& x) { return softmax(x, 0); },
         {0.26894142137, 0.222700138825, 0.939913349826, 0.73105857863, 0.777299861175, 0.060086650174},
         {0.147458949931, -0.865523934962, 0.084714366967, -0.147458949931, 0.865523934962, -0.084714366967});
  expect(
      "log_softmax", [](const Variable& x) { return log_softmax(x); },
      {-1.741311296657, -3.241311296657, -0.241311296657, -0.330672609407, -1.580672609407, -2.580672609407},
      {1.08764519607, -1.980443713365, 0.892798517295, -1.36649076759, 2.536867641005, -1.170376873415});
  expect("logsumexp", [](const Variable& x) { return logsumexp(x, 1); }, {2.241311296657, 1.830672609407},
         {0.17529039214, 0.039112573271, 0.785597034589, 0.718440341151, 0.205836603998, 0.075723054851});
  expect("tanh", [](const Variable& x) { return tanh(x); },
         {0.46211715726, -0.761594155956, 0.964027580076, 0.905148253645, 0.244918662404, -0.635148952387},
         {0.786447732966, -0.839948683228, 0.035325412427, 0.045176659731, 2.820044546419, -0.596585808281});
  expect("sigmoid", [](const Variable& x) { return sigmoid(x); },
         {0.622459331202, 0.26894142137, 0.880797077978, 0.817574476194, 0.562176500886, 0.320821300825},
         {0.235003712202, -0.393223866483, 0.052496792702, 0.037286613018, 0.738402248213, -0.217894993762});
  expect("relu6 of 4x: 0 at the bounds", [](const Variable& x) { return relu6(4 * x); }, {2, 0, 6, 6, 1, 0},
         {4, 0, 0, 0, 12, 0});
  expect("(x + 2)^2.5", [](const Variable& x) { return pow(x + 2, 2.5); },
         {9.882117688026, 1, 32, 22.91765149399, 7.59375, 1.746928107422},
         {9.882117688026, -5, 10, 4.092437766784, 25.3125, -3.493856214843});
  expect("max", [](const Variable& x) { return max(x, 1); }, {2, 1.5}, {0, 0, 1, 1, 0, 0});
  expect("maximum: half to each of equals",
         [](const Variable& x) { return maximum(x, Tensor::scalar(0.5, DType::f64)); },
         {0.5, 0.5, 2, 1.5, 0.5, 0.5}, {0.5, 0, 0.5, 0.25, 0, 0});
  expect("cross_entropy", [&](const Variable& x) { return cross_entropy(x, one); }, {0.241311296657},
         {0.17529039214, 0.039112573271, -0.214402965411, 0, 0, 0});
  expect("cross_entropy, smoothed", [&](const Variable& x) { return cross_entropy(x, both, -100, 0.1); },
         {0.419325286366},
         {0.070978529403, 0.002889619969, -0.073868149372, -0.107446496091, 0.086251635332, 0.021194860759});
  expect("cross_entropy, summed",
         [&](const Variable& x) { return cross_entropy(x, both, -100, 0.3, Reduction::sum); },
         {1.371983906064},
         {0.07529039214, -0.060887426729, -0.014402965411, -0.081559658849, 0.105836603998, -0.024276945149});
  // E = [[1, 2], [3, 4], [5, 6]]; F.embedding([2, 0, 2], E) * E
  const Variable table(Tensor::from(Values{1, 2, 3, 4, 5, 6}, {3, 2}), true);
  sum(embedding(table, Tensor::from(std::vector<int64_t>{2, 0, 2}, {3})) * table.detach()).backward();
  CHECK(values(table.grad().data()) == Values{3, 4, 0, 0, 6, 8});
}

TEST_CASE("max and argmax choose the first of equals; argmax over any dimension; topk") {
  const Variable x = leaf({3, 1, 3, 2, 2, 2}, {2, 3});
  sum(max(x, 1)).backward();
  CHECK(values(x.grad().data()) == Values{1, 0, 0, 1, 0, 0});
  CHECK(values(argmax(x.data())) == Values{0, 0});
  const Tensor t = tests::random({3, 4, 5}, DType::f64, 17);
  for (int d = 0; d < 3; ++d) {
    const Tensor got = argmax(t, d - 3), best = max(t, d).data();
    REQUIRE(got.shape() == best.shape());
    for (int64_t i = 0; i < got.size(0); ++i)
      for (int64_t j = 0; j < got.size(1); ++j) {
        const int64_t k = *got.select(0, i).select(0, j).data<int64_t>();
        const Tensor place = d == 0   ? t.select(0, k).select(0, i).select(0, j)
                             : d == 1 ? t.select(0, i).select(0, k).select(0, j)
                                      : t.select(0, i).select(0, j).select(0, k);
        CHECK(place.item() == best.select(0, i).select(0, j).item());
      }
  }
  const TopK two = topk(Tensor::from(Values{1, 5, 5, 2}, {1, 4}), 3);
  CHECK(values(two.values) == Values{5, 5, 2});
  CHECK(values(two.indices) == Values{1, 2, 3});
}

TEST_CASE("logsumexp: masked entries and rows of nothing but -inf give 0, not NaN") {
  const Variable x = leaf({-INFINITY, 1, -INFINITY, -INFINITY}, {2, 2});
  const Variable y = logsumexp(x, 1);
  CHECK(values(y.data()) == Values{1, -INFINITY});
  sum(y).backward();
  CHECK(values(x.grad().data()) == Values{0, 1, 0, 0});
}

TEST_CASE("cross_entropy of nothing but ignored rows is 0 with gradient 0") {
  const Variable x = leaf({1, 2, 3, 4}, {2, 2});
  const Variable y = cross_entropy(x, Tensor::from(std::vector<int64_t>{7, 7}, {2}), 7);
  y.backward();
  CHECK(y.item() == 0);
  CHECK(values(x.grad().data()) == Values{0, 0, 0, 0});
}

TEST_CASE("views share their input's memory") {
  const Variable x = leaf({1, 2, 3, 4, 5, 6}, {2, 3});
  const Tensor& data = x.data();
  for (const Variable& view : {reshape(x, {3, 2}), flatten(x), permute(x, {1, 0}), transpose(x, 0, 1),
                               expand(x, {4, 2, 3}), unsqueeze(x, 1), squeeze(unsqueeze(x, 1), 1),
                               slice(x, 1, 0, 2), select(x, 0, 1), contiguous(x), to(x, DType::f64)}) {
    CHECK(view.data().shares_storage(data));
    CHECK(view.requires_grad());
  }
  CHECK(!contiguous(transpose(x, 0, 1)).data().shares_storage(data));
  CHECK(values(select(x, 1, -1).data()) == Values{3, 6});
  CHECK(values(slice(x, 1, 0, 3, 2).data()) == Values{1, 3, 4, 6});
  CHECK(values(cat({x, slice(x, 1, 0, 1)}, 1).data()) == Values{1, 2, 3, 1, 4, 5, 6, 4});
  CHECK(stack({x, x}, 0).shape() == Shape{2, 2, 3});
  CHECK(stack({x, x}, -1).shape() == Shape{2, 3, 2});
}

TEST_CASE("to converts the gradient back") {
  const Variable x(Tensor::from(std::vector<float>{1, 2}, {2}), true);
  sum(square(to(x, DType::f64))).backward();
  CHECK(x.grad().dtype() == DType::f32);
  CHECK(values(x.grad().data()) == Values{2, 4});
}

TEST_CASE("dropout: identity when evaluating, one mask forward and backward, a new one each call") {
  tensor::Generator generator(3);
  const Variable x(Tensor::full({1000}, 1, DType::f64), true);
  CHECK(dropout(x, 0.5, false, generator).is(x));
  CHECK(dropout(x, 0, true, generator).is(x));
  CHECK(generator.offset() == 0);
  const Variable y = dropout(x, 0.5, true, generator), z = dropout(x, 0.5, true, generator);
  CHECK(generator.offset() == 500);
  CHECK(values(y.data()) != values(z.data()));
  sum(y).backward();
  CHECK(values(x.grad().data()) == values(y.data()));  // x is 1, so both are the mask times 2
}

TEST_CASE("float32 runs through every op of one input") {
  for (const Unary& op : kUnary) {
    const Tensor data = tests::random({3, 4}, DType::f64, 3, op.low, op.high);
    const Variable x(data, true), single(data.to(DType::f32), true);
    sum(op.f(x)).backward();
    sum(op.f(single)).backward();
    CHECK(single.grad().dtype() == DType::f32);
    CHECK_MESSAGE(tests::worst_relative(values(single.grad().data()), values(x.grad().data()), 1) < 2e-6,
                  op.name);
  }
}

TEST_CASE("errors name the op, both shapes and both types") {
  const Variable a(Tensor::zeros({2, 3})), b(Tensor::zeros({4})), d(Tensor::zeros({2, 3}, DType::f64));
  const Tensor ids = Tensor::arange(3);
  check_error(ErrorKind::shape, {"add", "(2, 3)", "(4)"}, [&] { add(a, b); });
  check_error(ErrorKind::shape, {"maximum", "(2, 3)", "(4)"}, [&] { maximum(a, b); });
  check_error(ErrorKind::dtype, {"mul", "(2, 3) f32", "(2, 3) f64"}, [&] { mul(a, d); });
  check_error(ErrorKind::dtype, {"exp", "i64"}, [&] { exp(Variable(ids)); });
  check_error(ErrorKind::dtype, {"where", "bool"}, [&] { where(ids, a, a); });
  check_error(ErrorKind::index, {"sum", "2"}, [&] { sum(a, {2}); });
  check_error(ErrorKind::index, {"softmax", "-3"}, [&] { softmax(a, -3); });
  check_error(ErrorKind::shape, {"reshape", "(2, 3)", "(4)"}, [&] { reshape(a, {4}); });
  check_error(ErrorKind::index, {"select", "2", "(2, 3)"}, [&] { select(a, 0, 2); });
  check_error(ErrorKind::index, {"slice", "(2, 3)"}, [&] { slice(a, 1, 2, 4); });
  check_error(ErrorKind::shape, {"expand", "(2, 3)", "(3, 3)"}, [&] { expand(a, {3, 3}); });
  check_error(ErrorKind::shape, {"cat", "(2, 3)", "(4)"}, [&] { cat({a, b}, 0); });
  check_error(ErrorKind::dtype, {"cat", "f32", "f64"}, [&] { cat({a, d}, 0); });
  check_error(ErrorKind::argument, {"cat"}, [&] { cat({}, 0); });
  check_error(ErrorKind::shape, {"stack", "(2, 3)", "(4)"}, [&] { stack({a, b}, 0); });
  check_error(ErrorKind::dtype, {"to", "i64"}, [&] { to(Variable(ids), DType::f32); });
  check_error(ErrorKind::shape, {"cross_entropy", "(2, 3)", "(3)"}, [&] { cross_entropy(a, ids); });
  check_error(ErrorKind::argument, {"smoothing", "2"}, [&] { cross_entropy(a, Tensor::arange(2), -100, 2); });
  check_error(ErrorKind::index, {"embedding", "id 2", "(2, 3)"}, [&] { embedding(a, ids); });
  check_error(ErrorKind::argument, {"dropout", "-1"}, [&] { dropout(a, -1, true); });
  check_error(ErrorKind::argument, {"topk", "4", "(2, 3)"}, [&] { topk(a.data(), 4); });
  check_error(ErrorKind::argument, {"clamp"}, [&] { clamp(a, 1, 0); });
  check_error(ErrorKind::argument, {"undefined"}, [&] { add(a, Variable()); });
}
