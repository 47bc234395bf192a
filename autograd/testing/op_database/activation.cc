#include "autograd/testing/op_database/common.h"

namespace autograd::testing {
namespace {

OpRecord elementwise(const char* name, Variable (*op)(const Variable&), double (*f)(double),
                     const std::vector<double>& kinks, double low, double high) {
  OpRecord record{name, "activation"};
  record.tolerance = {3e-6, 1e-13, "the float kernels' own exponential and tanh are within 3e-7"};
  uint64_t seed = 100;
  for (const Shape& shape : std::vector<Shape>{{3, 5}, {}, {1, 1}, {0}, {128, 1024}, {3, 0}, {2, 0, 3}})
    record.samples.push_back({text(shape),
                              {floating(random_away_from(shape, seed++, kinks, low, high))},
                              [op](const Variables& in) { return Variables{op(in[0])}; },
                              [f](const std::vector<Array>& in) {
                                return std::vector<Array>{
                                    make_array(in[0].shape, [&](const Index& i) { return f(in[0](i)); })};
                              },
                              {},
                              shape.numel() > 1000});
  return record;
}

}  // namespace

void add_activation(std::vector<OpRecord>& all) {
  all.push_back(elementwise(
      "relu", relu, [](double x) { return x > 0 ? x : 0; }, {0}, -2, 2));
  all.push_back(elementwise(
      "relu6", relu6, [](double x) { return x > 6   ? 6
                                            : x > 0 ? x
                                                    : 0; }, {0, 6}, -3, 9));
  all.push_back(elementwise(
      "tanh", tanh, [](double x) { return std::tanh(x); }, {}, -4, 4));
  all.push_back(elementwise(
      "sigmoid", sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, {}, -6, 6));
  all.push_back(elementwise(
      "clamp", [](const Variable& x) { return clamp(x, -0.5, 1.25); },
      [](double x) { return std::min(std::max(x, -0.5), 1.25); }, {-0.5, 1.25}, -2, 2));
  all.back().errors = {refuses("bounds in the wrong order", [] { clamp(zeros({2}), 1, -1); },
                               ErrorKind::argument, {"clamp", "1", "-1"})};
}

}  // namespace autograd::testing
