#include "autograd/testing/op_database/common.h"

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

OpRecord max_pool_op() {
  OpRecord record{.name = "max_pool2d",
                  .derivatives = OpRecord::Derivatives::once,
                  .tolerance = {.f32 = 0, .f64 = 0, .reason = "nothing is computed forward"}};
  uint64_t seed = 800;
  const Pool2dOptions padded{3, 3, 2, 2, 1, 1};
  const Pool2dOptions ceil{.ceil_mode = true};
  for (const auto& [label, x, o] : std::vector<std::tuple<const char*, Shape, Pool2dOptions>>{
           {"2 x 2", {2, 2, 4, 4}, {}},
           {"3 x 3, stride 2, padded", {1, 2, 5, 6}, padded},
           {"ceil", {1, 1, 5, 4}, ceil},
           {"dilated", {1, 1, 6, 6}, {2, 2, 1, 2, 0, 0, 3, 2}},
           {"one pixel", {1, 1, 1, 1}, {1, 1, 1, 1}},
           {"no pictures", {0, 2, 4, 4}, {}},
           {"a layer", {1, 16, 28, 28}, padded},
           {"ceil, larger than the picture", {1, 2, 2, 2}, {3, 3, 2, 2, 0, 0, 1, 1, true}},
           {"ceil, padded, no window behind", {1, 1, 3, 4}, {2, 3, 2, 3, 1, 1, 1, 1, true}},
           {"no pictures, ceil, padded", {0, 2, 5, 4}, {3, 3, 2, 2, 1, 1, 1, 1, true}}})
    record.samples.push_back(
        {.label = tensor::format("{}: {}", label, text(x)),
         .inputs = {floating(random_distinct(x, seed++))},
         .op = one([o = o](const Variables& in) { return max_pool2d(in[0], o); }),
         .reference = one_array([o = o](const std::vector<Array>& in) { return max_reference(in[0], o); })});
  const auto error = [&](const char* label, const Shape& x, const Pool2dOptions& o = {}) {
    record.errors.push_back(
        refuses(label, [=] { max_pool2d(zeros(x), o); }, ErrorKind::shape, {"max_pool2d", text(x)}));
  };
  error("a window that is too large", {1, 1, 2, 2}, {3, 3, 1, 1});
  error("a window that is too large, ceil", {1, 1, 2, 2}, {4, 4, 2, 2, 0, 0, 1, 1, true});
  error("no channels", {1, 0, 4, 4});
  error("empty pictures", {1, 2, 0, 4});
  error("three dimensions", {1, 2, 2});
  return record;
}

OpRecord average_pool_op() {
  OpRecord record{.name = "adaptive_avg_pool2d", .derivatives = OpRecord::Derivatives::once};
  Draws draw(810);
  for (const auto& [x, h, w] : std::vector<std::tuple<Shape, int64_t, int64_t>>{{{2, 3, 4, 4}, 1, 1},
                                                                                {{1, 2, 5, 7}, 2, 3},
                                                                                {{1, 1, 2, 3}, 4, 5},
                                                                                {{1, 1, 1, 1}, 1, 1},
                                                                                {{0, 2, 4, 4}, 1, 1},
                                                                                {{2, 64, 7, 7}, 1, 1},
                                                                                {{0, 2, 4, 4}, 2, 3},
                                                                                {{2, 0, 4, 4}, 2, 3}})
    record.samples.push_back(
        {.label = tensor::format("{} to ({}, {})", text(x), h, w),
         .inputs = {floating(draw(x))},
         .op = one([h = h, w = w](const Variables& in) { return adaptive_avg_pool2d(in[0], h, w); }),
         .reference = one_array([h = h, w = w](const auto& in) { return average_reference(in[0], h, w); })});
  const auto error = [&](const char* label, const Shape& x, int64_t h, ErrorKind kind,
                         const std::string& says) {
    record.errors.push_back(
        refuses(label, [=] { adaptive_avg_pool2d(zeros(x), h, 1); }, kind, {"adaptive_avg_pool2d", says}));
  };
  error("an output of no size", {1, 1, 4, 4}, 0, ErrorKind::argument, "0");
  error("empty pictures", {1, 2, 0, 4}, 2, ErrorKind::shape, "(1, 2, 0, 4)");
  error("three dimensions", {1, 4, 4}, 1, ErrorKind::shape, "(1, 4, 4)");
  return record;
}

}  // namespace

std::vector<OpRecord> pool_ops() { return {max_pool_op(), average_pool_op()}; }

}  // namespace autograd::testing
