#include "autograd/testing/op_database/common.h"
#include "tensor/format.h"

namespace autograd::testing {
namespace {

// Sum, mean: over `dims` (none: all).
Array reduced(const Array& x, std::vector<int> dims, bool keepdim, bool mean) {
  if (dims.empty())
    for (int d = 0; d < x.shape.rank(); ++d) dims.push_back(d);
  std::vector<bool> gone(static_cast<size_t>(x.shape.rank()), false);
  for (const int d : dims) gone[static_cast<size_t>(d < 0 ? d + x.shape.rank() : d)] = true;
  Shape kept, dropped;
  double count = 1;
  for (int d = 0; d < x.shape.rank(); ++d) {
    kept.push_back(gone[static_cast<size_t>(d)] ? 1 : x.shape[d]);
    if (gone[static_cast<size_t>(d)])
      count *= static_cast<double>(x.shape[d]);
    else
      dropped.push_back(x.shape[d]);
  }
  Array out(kept);
  for_each_index(x.shape, [&](const Index& i) {
    Index to = i;
    for (size_t d = 0; d < to.size(); ++d)
      if (gone[d]) to[d] = 0;
    out(to) += x(i);
  });
  if (mean)
    for (double& v : out.values) v /= count;
  if (!keepdim) out.shape = dropped;
  return out;
}

// Calls f with the values along `dim` and the index of each row that is left (dim 0 there).
template <class F>
void for_each_row(const Array& x, int dim, F f) {
  Shape kept = x.shape;
  kept[dim] = 1;
  for_each_index(kept, [&](Index i) {
    std::vector<double> row;
    for (int64_t k = 0; k < x.shape[dim]; ++k) {
      i[static_cast<size_t>(dim)] = k;
      row.push_back(x(i));
    }
    f(row);
  });
}

Array row_function(const Array& x, int dim, bool keepdim, double (*f)(const std::vector<double>&)) {
  if (dim < 0) dim += x.shape.rank();
  Shape shape = x.shape;
  if (keepdim)
    shape[dim] = 1;
  else
    shape.erase(dim);
  Array out(shape);
  size_t n = 0;
  for_each_row(x, dim, [&](const std::vector<double>& row) { out.values[n++] = f(row); });
  return out;
}

double log_sum_exp(const std::vector<double>& row) {
  double sum = 0;
  for (const double v : row) sum += std::exp(v);
  return std::log(sum);
}

double greatest(const std::vector<double>& row) { return *std::max_element(row.begin(), row.end()); }

double first_greatest(const std::vector<double>& row) {
  return static_cast<double>(std::max_element(row.begin(), row.end()) - row.begin());
}

struct Case {
  Shape shape;
  std::vector<int> dims;
  bool keepdim;
};

std::string label(const Shape& shape, const std::vector<int>& dims, bool keepdim) {
  return tensor::format("{} over ({}){}", text(shape), tensor::join(dims, ", "), keepdim ? ", kept" : "");
}

OpRecord sum_or_mean(const char* name, bool mean_of) {
  OpRecord record{name, "reduce"};
  record.tolerance = {2e-6, 1e-13, "sums of up to 12,544 numbers, in lanes and blocks"};
  std::vector<Case> cases = {
      {{3, 4}, {}, false}, {{2, 3, 4}, {1}, false}, {{2, 3, 4}, {0, 2}, true}, {{2, 3, 4}, {-1}, true},
      {{1}, {0}, false},   {{5}, {}, true},         {{2, 1, 3}, {1}, false},   {{49, 16, 16}, {1, 2}, false},
      {{}, {}, false}};
  // A sum of nothing is 0, a mean NaN, as in PyTorch: torch.zeros(0, 3).mean(0) is [nan, nan, nan].
  for (const Case& empty : {Case{{0, 3}, {0}, false}, Case{{0, 3}, {1}, true}, Case{{3, 0}, {}, false},
                            Case{{2, 0, 3}, {0, 1}, false}, Case{{0, 0}, {1}, false}})
    cases.push_back(empty);
  uint64_t seed = 200;
  for (const Case& c : cases)
    record.samples.push_back({label(c.shape, c.dims, c.keepdim),
                              {floating(random_array(c.shape, seed++))},
                              [c, mean_of](const Variables& in) {
                                return Variables{mean_of ? mean(in[0], c.dims, c.keepdim)
                                                         : sum(in[0], c.dims, c.keepdim)};
                              },
                              [c, mean_of](const std::vector<Array>& in) {
                                return std::vector<Array>{reduced(in[0], c.dims, c.keepdim, mean_of)};
                              },
                              {},
                              c.shape.numel() > 1000});
  record.errors = {refuses("a dimension that is not there",
                           [mean_of] {
                             mean_of ? mean(zeros({2, 3}), {2}) : sum(zeros({2, 3}), {2});
                           },
                           ErrorKind::index, {name, "2"})};
  return record;
}

OpRecord along_one(const char* name, bool logsumexp_of) {
  OpRecord record{name, "reduce"};
  record.tolerance = {3e-6, 1e-13, "the float kernel's own exponential is within 3e-7"};
  uint64_t seed = 230;
  for (const auto& [shape, dim, keepdim] : std::vector<std::tuple<Shape, int, bool>>{{{3, 4}, 1, false},
                                                                                     {{3, 4}, 0, true},
                                                                                     {{2, 3, 4}, -2, false},
                                                                                     {{1}, 0, false},
                                                                                     {{2, 1}, 1, true},
                                                                                     {{0, 3}, 1, false},
                                                                                     {{64, 300}, 1, false},
                                                                                     {{2, 0, 3}, -1, true}})
    record.samples.push_back({label(shape, {dim}, keepdim),
                              {floating(random_distinct(shape, seed++))},
                              [dim = dim, keepdim = keepdim, logsumexp_of](const Variables& in) {
                                return Variables{logsumexp_of ? logsumexp(in[0], dim, keepdim)
                                                              : max(in[0], dim, keepdim)};
                              },
                              [dim = dim, keepdim = keepdim, logsumexp_of](const std::vector<Array>& in) {
                                return std::vector<Array>{
                                    row_function(in[0], dim, keepdim, logsumexp_of ? log_sum_exp : greatest)};
                              },
                              {},
                              shape.numel() > 1000});
  record.errors = {refuses("a dimension that is not there",
                           [logsumexp_of] {
                             logsumexp_of ? logsumexp(zeros({2, 3}), 5) : max(zeros({2, 3}), 5);
                           },
                           ErrorKind::index, {name, "5"})};
  return record;
}

}  // namespace

namespace {

void add_sum_to(std::vector<OpRecord>& all, uint64_t seed) {
  OpRecord record{"sum_to", "reduce"};
  for (const auto& [from, to] : std::vector<std::pair<Shape, Shape>>{{{2, 3}, {3}},
                                                                     {{2, 3}, {2, 1}},
                                                                     {{2, 3, 1, 4}, {3, 1, 1}},
                                                                     {{2, 3}, {}},
                                                                     {{1}, {}},
                                                                     {{0, 3}, {3}},
                                                                     {{2, 0}, {1, 0}}}) {
    const auto reference = [to = to](const std::vector<Array>& in) {
      Array out(to);
      for_each_index(in[0].shape, [&](const Index& i) {
        Index place(i.end() - to.rank(), i.end());
        for (size_t d = 0; d < place.size(); ++d)
          if (to[static_cast<int>(d)] == 1) place[d] = 0;
        out(place) += in[0](i);
      });
      return std::vector<Array>{out};
    };
    record.samples.push_back({tensor::format("{} to {}", text(from), text(to)),
                              {floating(random_array(from, seed++))},
                              [to = to](const Variables& in) { return Variables{sum_to(in[0], to)}; },
                              reference});
  }
  record.errors = {refuses("a shape that does not broadcast to it",
                           [] {
                             sum_to(zeros({2, 3}), {2});
                           },
                           ErrorKind::shape, {"sum_to", "(2, 3)", "(2)"}),
                   refuses("a shape of more dimensions",
                           [] {
                             sum_to(zeros({3}), {1, 3});
                           },
                           ErrorKind::shape, {"sum_to", "(3)", "(1, 3)"})};
  all.push_back(std::move(record));
}

}  // namespace

void add_reduce(std::vector<OpRecord>& all) {
  all.push_back(sum_or_mean("sum", false));
  all.push_back(sum_or_mean("mean", true));
  all.push_back(along_one("max", false));
  all.back().errors.push_back(refuses("nothing to take the greatest of",
                                      [] {
                                        max(zeros({2, 0}), 1);
                                      },
                                      ErrorKind::shape, {"(2, 0)"}));
  all.back().errors.push_back(refuses("nothing to take the greatest of, and no rows",
                                      [] {
                                        max(zeros({0, 0}), 1);
                                      },
                                      ErrorKind::shape, {"(0, 0)"}));
  all.push_back(along_one("logsumexp", true));
  // torch.logsumexp(torch.zeros(2, 0), 1) is [-inf, -inf]: the logarithm of a sum of nothing.
  for (const auto& [shape, dim] : std::vector<std::pair<Shape, int>>{{{2, 0}, 1}, {{0, 3}, 0}, {{0, 0}, 1}})
    all.back().samples.push_back(
        {label(shape, {dim}, false),
         {floating(random_array(shape, 255))},
         [dim = dim](const Variables& in) { return Variables{logsumexp(in[0], dim)}; },
         [dim = dim](const std::vector<Array>& in) {
           return std::vector<Array>{row_function(in[0], dim, false, log_sum_exp)};
         },
         {}});

  OpRecord arg{"argmax", "reduce", OpRecord::Derivatives::none};
  uint64_t seed = 260;
  for (const auto& [shape, dim] : std::vector<std::pair<Shape, int>>{
           {{3, 4}, 1}, {{3, 4}, 0}, {{2, 3, 4}, -2}, {{1}, 0}, {{0, 3}, 1}, {{2, 3, 0}, 1}}) {
    Array x = random_array(shape, seed++);
    for (double& v : x.values) v = std::round(v);  // equals: the first counts
    arg.samples.push_back({label(shape, {dim}, false),
                           {floating(x)},
                           [dim = dim](const Variables& in) { return Variables{argmax(in[0].data(), dim)}; },
                           [dim = dim](const std::vector<Array>& in) {
                             return std::vector<Array>{row_function(in[0], dim, false, first_greatest)};
                           },
                           {}});
  }
  arg.errors = {refuses("a dimension that is not there", [] { argmax(Tensor::zeros({2}), 1); },
                        ErrorKind::index, {"argmax", "1"}),
                refuses("nothing to choose from",
                        [] {
                          argmax(Tensor::zeros({2, 0}), 1);
                        },
                        ErrorKind::shape, {"argmax", "(2, 0)"}),
                refuses("nothing to choose from, and no rows",
                        [] {
                          argmax(Tensor::zeros({0, 0}), 0);
                        },
                        ErrorKind::shape, {"argmax", "(0, 0)"})};
  all.push_back(std::move(arg));

  OpRecord top{"topk", "reduce", OpRecord::Derivatives::none};
  for (const auto& [shape, k] : std::vector<std::pair<Shape, int64_t>>{
           {{3, 5}, 2}, {{5}, 5}, {{2, 2, 4}, 1}, {{1}, 1}, {{0, 3}, 2}, {{2, 0}, 0}, {{2, 3}, 0}}) {
    Array x = random_array(shape, seed++);
    for (double& v : x.values) v = std::round(2 * v);
    top.samples.push_back({tensor::format("{} of {}", k, text(shape)),
                           {floating(x)},
                           [k = k](const Variables& in) {
                             const TopK found = topk(in[0].data(), k);
                             return Variables{found.values, found.indices};
                           },
                           [k = k](const std::vector<Array>& in) {
                             Shape out = in[0].shape;
                             out[out.rank() - 1] = k;
                             Array values(out), places(out);
                             size_t n = 0;
                             for_each_row(in[0], in[0].shape.rank() - 1, [&](const std::vector<double>& row) {
                               std::vector<size_t> order(row.size());
                               for (size_t i = 0; i < order.size(); ++i) order[i] = i;
                               std::stable_sort(order.begin(), order.end(),
                                                [&](size_t a, size_t b) { return row[a] > row[b]; });
                               for (int64_t j = 0; j < k; ++j, ++n) {
                                 values.values[n] = row[order[static_cast<size_t>(j)]];
                                 places.values[n] = static_cast<double>(order[static_cast<size_t>(j)]);
                               }
                             });
                             return std::vector<Array>{values, places};
                           },
                           {}});
  }
  top.errors = {refuses("more than there are",
                        [] {
                          topk(Tensor::zeros({2, 3}), 4);
                        },
                        ErrorKind::argument, {"topk", "4", "(2, 3)"})};
  all.push_back(std::move(top));
  add_sum_to(all, seed);
}

}  // namespace autograd::testing
