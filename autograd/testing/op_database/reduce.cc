#include <numeric>

#include "autograd/testing/op_database/common.h"

namespace autograd::testing {
namespace {

std::string label_of(const Shape& shape, const std::vector<int>& dims, bool keepdim = false) {
  return tensor::format("{} over ({}){}", text(shape), tensor::join(dims, ", "), keepdim ? ", kept" : "");
}

// --- over any dimensions

// The sum, in `shape`, which broadcasts to x's.
Array summed(const Array& x, const Shape& shape) {
  Array out(shape);
  for_each_index(x.shape, [&](const Index& i) { out(broadcast_index(shape, i)) += x(i); });
  return out;
}

// Over `dims` (none: all).
Array reduced(const Array& x, const std::vector<int>& dims, bool keepdim, bool mean) {
  Shape kept = dims.empty() ? Shape::filled(x.shape.rank(), 1) : x.shape, dropped;
  for (const int d : dims) kept[d < 0 ? d + kept.rank() : d] = 1;
  for (int d = 0; d < kept.rank(); ++d)
    if (!dims.empty() && std::ranges::none_of(dims, [&](int k) { return k == d || k + kept.rank() == d; }))
      dropped.push_back(x.shape[d]);
  Array out = summed(x, kept);
  if (mean) {
    double count = 1;
    for (int d = 0; d < kept.rank(); ++d)
      if (kept[d] != x.shape[d]) count *= static_cast<double>(x.shape[d]);
    for (double& v : out.values) v /= count;
  }
  if (!keepdim) out.shape = dropped;
  return out;
}

OpRecord sum_op(const char* name, Variable (*op)(const Variable&, const std::vector<int>&, bool), bool mean) {
  OpRecord record{
      .name = name,
      .tolerance = {
          .f32 = 2e-6, .f64 = 1e-13, .reason = "sums of up to 12,544 numbers, in lanes and blocks"}};
  struct Case {
    Shape shape;
    std::vector<int> dims;
    bool keepdim;
  };
  Draws draw(200);
  // A sum of nothing is 0, a mean NaN, as in PyTorch: torch.zeros(0, 3).mean(0) is [nan, nan, nan].
  for (const Case& c : {Case{{3, 4}, {}, false},
                        {{2, 3, 4}, {1}, false},
                        {{2, 3, 4}, {0, 2}, true},
                        {{2, 3, 4}, {-1}, true},
                        {{1}, {0}, false},
                        {{5}, {}, true},
                        {{2, 1, 3}, {1}, false},
                        {{49, 16, 16}, {1, 2}, false},
                        {{}, {}, false},
                        {{0, 3}, {0}, false},
                        {{0, 3}, {1}, true},
                        {{3, 0}, {}, false},
                        {{2, 0, 3}, {0, 1}, false},
                        {{0, 0}, {1}, false}})
    record.samples.push_back(
        {.label = label_of(c.shape, c.dims, c.keepdim),
         .inputs = {floating(draw(c.shape))},
         .op = one([=](const Variables& in) { return op(in[0], c.dims, c.keepdim); }),
         .reference = one_array([=](const auto& in) { return reduced(in[0], c.dims, c.keepdim, mean); })});
  record.errors = {refuses("a dimension that is not there", [op] { op(zeros(2, 3), {2}, false); },
                           ErrorKind::index, {name, "2"})};
  return record;
}

OpRecord sum_to_op() {
  OpRecord record{.name = "sum_to"};
  Draws draw(273);
  for (const auto& [from, to] : std::vector<std::pair<Shape, Shape>>{{{2, 3}, {3}},
                                                                     {{2, 3}, {2, 1}},
                                                                     {{2, 3, 1, 4}, {3, 1, 1}},
                                                                     {{2, 3}, {}},
                                                                     {{1}, {}},
                                                                     {{0, 3}, {3}},
                                                                     {{2, 0}, {1, 0}}})
    record.samples.push_back(
        {.label = tensor::format("{} to {}", text(from), text(to)),
         .inputs = {floating(draw(from))},
         .op = one([to = to](const Variables& in) { return sum_to(in[0], to); }),
         .reference = one_array([to = to](const std::vector<Array>& in) { return summed(in[0], to); })});
  record.errors = {refuses("a shape that does not broadcast to it", [] { sum_to(zeros(2, 3), {2}); },
                           ErrorKind::shape, {"sum_to", "(2, 3)", "(2)"}),
                   refuses("a shape of more dimensions",
                           [] {
                             sum_to(zeros(3), Shape{1, 3});
                           },
                           ErrorKind::shape, {"sum_to", "(3)", "(1, 3)"})};
  return record;
}

// --- over one dimension

using Row = std::vector<double>;

// Calls f with the values along `dim`, row by row.
void for_each_row(const Array& x, int dim, const std::function<void(const Row&)>& f) {
  Shape kept = x.shape;
  kept[dim] = 1;
  for_each_index(kept, [&](Index i) {
    Row row;
    for (int64_t& k = i[static_cast<size_t>(dim)]; k < x.shape[dim]; ++k) row.push_back(x(i));
    f(row);
  });
}

Array row_function(const Array& x, int dim, bool keepdim, double (*f)(const Row&)) {
  if (dim < 0) dim += x.shape.rank();
  Shape shape = x.shape;
  shape.erase(dim);
  if (keepdim) shape.insert(dim, 1);
  Array out(shape);
  size_t n = 0;
  for_each_row(x, dim, [&](const Row& row) { out.values[n++] = f(row); });
  return out;
}

double log_sum_exp(const Row& row) {
  return std::log(
      std::accumulate(row.begin(), row.end(), 0.0, [](double s, double v) { return s + std::exp(v); }));
}

double greatest(const Row& row) { return *std::max_element(row.begin(), row.end()); }

double first_greatest(const Row& row) {
  return static_cast<double>(std::max_element(row.begin(), row.end()) - row.begin());
}

struct Along {
  Shape shape;
  int dim;
  bool keepdim;
};

OpRecord row_op(const char* name, Variable (*op)(const Variable&, int, bool), double (*reference)(const Row&),
                const std::vector<Along>& more = {}) {
  OpRecord record{.name = name, .tolerance = kExponential};
  std::vector<Along> cases = {{{3, 4}, 1, false},    {{3, 4}, 0, true},    {{2, 3, 4}, -2, false},
                              {{1}, 0, false},       {{2, 1}, 1, true},    {{0, 3}, 1, false},
                              {{64, 300}, 1, false}, {{2, 0, 3}, -1, true}};
  cases.insert(cases.end(), more.begin(), more.end());
  uint64_t seed = 230;
  for (const Along& c : cases)
    record.samples.push_back({.label = label_of(c.shape, {c.dim}, c.keepdim),
                              .inputs = {floating(random_distinct(c.shape, seed++))},
                              .op = one([=](const Variables& in) { return op(in[0], c.dim, c.keepdim); }),
                              .reference = one_array([=](const auto& in) {
                                return row_function(in[0], c.dim, c.keepdim, reference);
                              })});
  record.errors = {refuses("a dimension that is not there", [op] { op(zeros(2, 3), 5, false); },
                           ErrorKind::index, {name, "5"})};
  return record;
}

OpRecord max_op() {
  OpRecord record = row_op("max", max, greatest);
  record.errors.push_back(
      refuses("nothing to take the greatest of", [] { max(zeros(2, 0), 1); }, ErrorKind::shape, {"(2, 0)"}));
  record.errors.push_back(refuses("nothing to take the greatest of, and no rows", [] { max(zeros(0, 0), 1); },
                                  ErrorKind::shape, {"(0, 0)"}));
  return record;
}

OpRecord argmax_op() {
  OpRecord record{.name = "argmax", .derivatives = OpRecord::Derivatives::none};
  Draws draw(260);
  for (const auto& [shape, dim] : std::vector<std::pair<Shape, int>>{
           {{3, 4}, 1}, {{3, 4}, 0}, {{2, 3, 4}, -2}, {{1}, 0}, {{0, 3}, 1}, {{2, 3, 0}, 1}}) {
    Array x = draw(shape);
    for (double& v : x.values) v = std::round(v);  // equals: the first counts
    record.samples.push_back(
        {.label = label_of(shape, {dim}),
         .inputs = {floating(x)},
         .op = one([dim = dim](const Variables& in) { return argmax(in[0].data(), dim); }),
         .reference = one_array(
             [dim = dim](const auto& in) { return row_function(in[0], dim, false, first_greatest); })});
  }
  record.errors = {refuses("a dimension that is not there", [] { argmax(zeros(2).data(), 1); },
                           ErrorKind::index, {"argmax", "1"}),
                   refuses("nothing to choose from", [] { argmax(zeros(2, 0).data(), 1); }, ErrorKind::shape,
                           {"argmax", "(2, 0)"}),
                   refuses("nothing to choose from, and no rows", [] { argmax(zeros(0, 0).data(), 0); },
                           ErrorKind::shape, {"argmax", "(0, 0)"})};
  return record;
}

std::vector<Array> greatest_of_each(const Array& x, int64_t k) {
  Shape shape = x.shape;
  shape[shape.rank() - 1] = k;
  Array values(shape), places(shape);
  size_t n = 0;
  for_each_row(x, shape.rank() - 1, [&](const Row& row) {
    std::vector<size_t> order(row.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return row[a] > row[b]; });
    for (size_t j = 0; j < static_cast<size_t>(k); ++j, ++n) {
      values.values[n] = row[order[j]];
      places.values[n] = static_cast<double>(order[j]);
    }
  });
  return {values, places};
}

OpRecord topk_op() {
  OpRecord record{.name = "topk", .derivatives = OpRecord::Derivatives::none};
  Draws draw(266);
  for (const auto& [shape, k] : std::vector<std::pair<Shape, int64_t>>{
           {{3, 5}, 2}, {{5}, 5}, {{2, 2, 4}, 1}, {{1}, 1}, {{0, 3}, 2}, {{2, 0}, 0}, {{2, 3}, 0}}) {
    Array x = draw(shape);
    for (double& v : x.values) v = std::round(2 * v);
    record.samples.push_back(
        {.label = tensor::format("{} of {}", k, text(shape)),
         .inputs = {floating(x)},
         .op =
             [k = k](const Variables& in) {
               const TopK found = topk(in[0].data(), k);
               return Variables{found.values, found.indices};
             },
         .reference = [k = k](const std::vector<Array>& in) { return greatest_of_each(in[0], k); }});
  }
  record.errors = {refuses("more than there are", [] { topk(zeros(2, 3).data(), 4); }, ErrorKind::argument,
                           {"topk", "4", "(2, 3)"})};
  return record;
}

}  // namespace

std::vector<OpRecord> reduce_ops() {
  // torch.logsumexp(torch.zeros(2, 0), 1) is [-inf, -inf]: the logarithm of a sum of nothing.
  const std::vector<Along> of_nothing = {{{2, 0}, 1, false}, {{0, 3}, 0, false}, {{0, 0}, 1, false}};
  return {sum_op("sum", sum, false),
          sum_op("mean", mean, true),
          max_op(),
          row_op("logsumexp", logsumexp, log_sum_exp, of_nothing),
          argmax_op(),
          topk_op(),
          sum_to_op()};
}

}  // namespace autograd::testing
