#include "autograd/testing/op_database/common.h"
#include "tensor/format.h"

namespace autograd::testing {
namespace {

using tensor::Pool2dOptions;

int64_t windows(int64_t size, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation, bool ceil) {
  // Those that begin inside of the padded row and, but for the last with `ceil`, end there; none begins
  // behind the row, in the padding.
  int64_t n = 0;
  const int64_t padded = size + 2 * pad, reach = dilation * (kernel - 1) + 1;
  while (n * stride + reach <= padded) ++n;
  if (ceil && (n - 1) * stride + reach < padded && n * stride < size + pad) ++n;
  return n;
}

Array max_reference(const Array& x, const Pool2dOptions& o) {
  const Shape shape{x.size(0), x.size(1),
                    windows(x.size(2), o.kernel_h, o.stride_h, o.pad_h, o.dilation_h, o.ceil_mode),
                    windows(x.size(3), o.kernel_w, o.stride_w, o.pad_w, o.dilation_w, o.ceil_mode)};
  return make_array(shape, [&](const Index& at) {
    double best = -INFINITY;
    for (int64_t i = 0; i < o.kernel_h; ++i)
      for (int64_t j = 0; j < o.kernel_w; ++j) {
        const int64_t y = at[2] * o.stride_h + i * o.dilation_h - o.pad_h;
        const int64_t z = at[3] * o.stride_w + j * o.dilation_w - o.pad_w;
        if (y >= 0 && y < x.size(2) && z >= 0 && z < x.size(3))
          best = std::max(best, x({at[0], at[1], y, z}));
      }
    return best;
  });
}

// Cell i of n covers floor(i size / n) to ceil((i + 1) size / n).
Array average_reference(const Array& x, int64_t h, int64_t w) {
  const auto begin = [](int64_t i, int64_t size, int64_t n) { return i * size / n; };
  const auto end = [](int64_t i, int64_t size, int64_t n) { return ((i + 1) * size + n - 1) / n; };
  return make_array({x.size(0), x.size(1), h, w}, [&](const Index& at) {
    double sum = 0, count = 0;
    for (int64_t y = begin(at[2], x.size(2), h); y < end(at[2], x.size(2), h); ++y)
      for (int64_t z = begin(at[3], x.size(3), w); z < end(at[3], x.size(3), w); ++z)
        sum += x({at[0], at[1], y, z}), ++count;
    return sum / count;
  });
}

}  // namespace

void add_pool(std::vector<OpRecord>& all) {
  OpRecord max_record{"max_pool2d", "pool", OpRecord::Derivatives::once};
  max_record.tolerance = {0, 0, "nothing is computed forward"};
  uint64_t seed = 800;
  for (const auto& [label, x, o] : std::vector<std::tuple<const char*, Shape, Pool2dOptions>>{
           {"2 x 2", {2, 2, 4, 4}, {}},
           {"3 x 3, stride 2, padded", {1, 2, 5, 6}, {3, 3, 2, 2, 1, 1}},
           {"ceil", {1, 1, 5, 4}, {2, 2, 2, 2, 0, 0, 1, 1, true}},
           {"dilated", {1, 1, 6, 6}, {2, 2, 1, 2, 0, 0, 3, 2}},
           {"one pixel", {1, 1, 1, 1}, {1, 1, 1, 1}},
           {"no pictures", {0, 2, 4, 4}, {}},
           {"a layer", {1, 16, 28, 28}, {3, 3, 2, 2, 1, 1}},
           {"ceil, larger than the picture", {1, 2, 2, 2}, {3, 3, 2, 2, 0, 0, 1, 1, true}},
           {"ceil, padded, no window behind", {1, 1, 3, 4}, {2, 3, 2, 3, 1, 1, 1, 1, true}},
           {"no pictures, ceil, padded", {0, 2, 5, 4}, {3, 3, 2, 2, 1, 1, 1, 1, true}}})
    max_record.samples.push_back(
        {tensor::format("{}: {}", label, text(x)),
         {floating(random_distinct(x, seed++))},
         [o = o](const Variables& in) { return Variables{max_pool2d(in[0], o)}; },
         [o = o](const std::vector<Array>& in) { return std::vector<Array>{max_reference(in[0], o)}; },
         {},
         x.numel() > 1000});
  max_record.errors = {refuses("a window that is too large",
                               [] {
                                 max_pool2d(zeros({1, 1, 2, 2}), {3, 3, 1, 1});
                               },
                               ErrorKind::shape, {"max_pool2d", "(1, 1, 2, 2)"}),
                       refuses("a window that is too large, ceil",
                               [] {
                                 max_pool2d(zeros({1, 1, 2, 2}), {4, 4, 2, 2, 0, 0, 1, 1, true});
                               },
                               ErrorKind::shape, {"max_pool2d", "(1, 1, 2, 2)"}),
                       refuses("no channels",
                               [] {
                                 max_pool2d(zeros({1, 0, 4, 4}), {});
                               },
                               ErrorKind::shape, {"max_pool2d", "(1, 0, 4, 4)"}),
                       refuses("empty pictures",
                               [] {
                                 max_pool2d(zeros({1, 2, 0, 4}), {});
                               },
                               ErrorKind::shape, {"max_pool2d", "(1, 2, 0, 4)"}),
                       refuses("three dimensions",
                               [] {
                                 max_pool2d(zeros({1, 2, 2}), {});
                               },
                               ErrorKind::shape, {"max_pool2d", "(1, 2, 2)"})};
  all.push_back(std::move(max_record));

  OpRecord average{"adaptive_avg_pool2d", "pool", OpRecord::Derivatives::once};
  for (const auto& [x, h, w] : std::vector<std::tuple<Shape, int64_t, int64_t>>{{{2, 3, 4, 4}, 1, 1},
                                                                                {{1, 2, 5, 7}, 2, 3},
                                                                                {{1, 1, 2, 3}, 4, 5},
                                                                                {{1, 1, 1, 1}, 1, 1},
                                                                                {{0, 2, 4, 4}, 1, 1},
                                                                                {{2, 64, 7, 7}, 1, 1},
                                                                                {{0, 2, 4, 4}, 2, 3},
                                                                                {{2, 0, 4, 4}, 2, 3}})
    average.samples.push_back(
        {tensor::format("{} to ({}, {})", text(x), h, w),
         {floating(random_array(x, seed++))},
         [h = h, w = w](const Variables& in) { return Variables{adaptive_avg_pool2d(in[0], h, w)}; },
         [h = h, w = w](const std::vector<Array>& in) {
           return std::vector<Array>{average_reference(in[0], h, w)};
         },
         {},
         x.numel() > 1000});
  average.errors = {refuses("an output of no size",
                            [] {
                              adaptive_avg_pool2d(zeros({1, 1, 4, 4}), 0, 1);
                            },
                            ErrorKind::argument, {"adaptive_avg_pool2d", "0"}),
                    refuses("empty pictures",
                            [] {
                              adaptive_avg_pool2d(zeros({1, 2, 0, 4}), 2, 3);
                            },
                            ErrorKind::shape, {"adaptive_avg_pool2d", "(1, 2, 0, 4)"}),
                    refuses("three dimensions",
                            [] {
                              adaptive_avg_pool2d(zeros({1, 4, 4}), 1, 1);
                            },
                            ErrorKind::shape, {"adaptive_avg_pool2d", "(1, 4, 4)"})};
  all.push_back(std::move(average));
}

}  // namespace autograd::testing
