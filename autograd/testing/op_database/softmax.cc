#include "autograd/testing/op_database/common.h"

namespace autograd::testing {
namespace {

Array softmax_of(const Array& x, int dim, bool log) {
  Shape rows = x.shape;
  rows[dim < 0 ? dim + rows.rank() : dim] = 1;
  Array sums(rows);
  for_each_index(x.shape, [&](const Index& i) { sums(broadcast_index(rows, i)) += std::exp(x(i)); });
  return make_array(x.shape, [&](const Index& i) {
    const double sum = broadcast_at(sums, i);
    return log ? x(i) - std::log(sum) : std::exp(x(i)) / sum;
  });
}

OpRecord softmax_op(const char* name, Variable (*op)(const Variable&, int), bool log) {
  OpRecord record{.name = name, .tolerance = kExponential};
  Draws draw(500);
  for (const auto& [shape, dim] : std::vector<std::pair<Shape, int>>{{{3, 4}, -1},
                                                                     {{3, 4}, 0},
                                                                     {{2, 3, 4}, 1},
                                                                     {{1}, 0},
                                                                     {{2, 1}, 1},
                                                                     {{0, 3}, 1},
                                                                     {{16, 1000}, -1},
                                                                     {{3, 0}, 1},
                                                                     {{2, 0, 3}, 0}})
    record.samples.push_back(
        {.label = tensor::format("{} along {}", text(shape), dim),
         .inputs = {floating(draw(shape, -4, 4))},
         .op = one([=, dim = dim](const Variables& in) { return op(in[0], dim); }),
         .reference = one_array([=, dim = dim](const auto& in) { return softmax_of(in[0], dim, log); })});
  record.errors = {
      refuses("a dimension that is not there", [op] { op(zeros(2, 3), 2); }, ErrorKind::index, {name, "2"})};
  return record;
}

}  // namespace

std::vector<OpRecord> softmax_ops() {
  return {softmax_op("softmax", softmax, false), softmax_op("log_softmax", log_softmax, true)};
}

}  // namespace autograd::testing
