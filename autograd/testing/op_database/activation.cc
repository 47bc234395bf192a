#include "autograd/testing/op_database/common.h"

namespace autograd::testing {
namespace {

OpRecord elementwise(Unary u) {
  u.tolerance = {
      .f32 = 3e-6, .f64 = 1e-13, .reason = "the float kernels' own exponential and tanh are within 3e-7"};
  return unary_op(u, {{3, 5}, {}, {1, 1}, {0}, {128, 1024}, {3, 0}, {2, 0, 3}}, 100);
}

OpRecord clamp_op() {
  OpRecord record = elementwise({.name = "clamp",
                                 .op = [](const Variable& x) { return clamp(x, -0.5, 1.25); },
                                 .reference = [](double x) { return std::min(std::max(x, -0.5), 1.25); },
                                 .kinks = {-0.5, 1.25}});
  record.errors = {refuses("bounds in the wrong order", [] { clamp(zeros(2), 1, -1); }, ErrorKind::argument,
                           {"clamp", "1", "-1"})};
  return record;
}

}  // namespace

std::vector<OpRecord> activation_ops() {
  return {
      elementwise(
          {.name = "relu", .op = relu, .reference = [](double x) { return std::max(x, 0.0); }, .kinks = {0}}),
      elementwise({.name = "relu6",
                   .op = relu6,
                   .reference = [](double x) { return std::min(std::max(x, 0.0), 6.0); },
                   .low = -3,
                   .high = 9,
                   .kinks = {0, 6}}),
      elementwise({.name = "tanh",
                   .op = tanh,
                   .reference = [](double x) { return std::tanh(x); },
                   .low = -4,
                   .high = 4}),
      elementwise({.name = "sigmoid",
                   .op = sigmoid,
                   .reference = [](double x) { return 1 / (1 + std::exp(-x)); },
                   .low = -6,
                   .high = 6}),
      clamp_op(),
  };
}

}  // namespace autograd::testing
