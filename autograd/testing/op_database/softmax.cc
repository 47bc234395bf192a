#include "autograd/testing/op_database/common.h"
#include "tensor/format.h"

namespace autograd::testing {
namespace {

Array softmax_of(const Array& x, int dim, bool log) {
  if (dim < 0) dim += x.shape.rank();
  Shape rows = x.shape;
  rows[dim] = 1;
  Array sums(rows);
  const auto row_of = [dim](Index i) {
    i[static_cast<size_t>(dim)] = 0;
    return i;
  };
  for_each_index(x.shape, [&](const Index& i) { sums(row_of(i)) += std::exp(x(i)); });
  return make_array(x.shape, [&](const Index& i) {
    const double sum = sums(row_of(i));
    return log ? x(i) - std::log(sum) : std::exp(x(i)) / sum;
  });
}

OpRecord record_of(const char* name, bool log) {
  OpRecord record{name, "softmax"};
  record.tolerance = {3e-6, 1e-13, "the float kernel's own exponential is within 3e-7"};
  uint64_t seed = 500;
  for (const auto& [shape, dim] : std::vector<std::pair<Shape, int>>{{{3, 4}, -1},
                                                                     {{3, 4}, 0},
                                                                     {{2, 3, 4}, 1},
                                                                     {{1}, 0},
                                                                     {{2, 1}, 1},
                                                                     {{0, 3}, 1},
                                                                     {{16, 1000}, -1},
                                                                     {{3, 0}, 1},
                                                                     {{2, 0, 3}, 0}})
    record.samples.push_back({tensor::format("{} along {}", text(shape), dim),
                              {floating(random_array(shape, seed++, -4, 4))},
                              [dim = dim, log](const Variables& in) {
                                return Variables{log ? log_softmax(in[0], dim) : softmax(in[0], dim)};
                              },
                              [dim = dim, log](const std::vector<Array>& in) {
                                return std::vector<Array>{softmax_of(in[0], dim, log)};
                              },
                              {},
                              shape.numel() > 1000});
  record.errors = {refuses("a dimension that is not there",
                           [log] {
                             log ? log_softmax(zeros({2, 3}), 2) : softmax(zeros({2, 3}), 2);
                           },
                           ErrorKind::index, {name, "2"})};
  return record;
}

}  // namespace

void add_softmax(std::vector<OpRecord>& all) {
  all.push_back(record_of("softmax", false));
  all.push_back(record_of("log_softmax", true));
}

}  // namespace autograd::testing
