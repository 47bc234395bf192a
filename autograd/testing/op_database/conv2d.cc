#include "autograd/testing/op_database/common.h"
#include "tensor/format.h"

namespace autograd::testing {
namespace {

using tensor::Conv2dOptions;

// Seven loops: out[n, o, y, x] = bias[o] + sum over c, i, j of x[n, c, y s + i d - pad, ...] w[o, c, i, j].
Array reference(const std::vector<Array>& in, const Conv2dOptions& o) {
  const Array &x = in[0], &w = in[1];
  const int64_t h =
      (x.size(2) + o.pad_top + o.pad_bottom - o.dilation_h * (w.size(2) - 1) - 1) / o.stride_h + 1;
  const int64_t width =
      (x.size(3) + o.pad_left + o.pad_right - o.dilation_w * (w.size(3) - 1) - 1) / o.stride_w + 1;
  const int64_t outs = w.size(0) / o.groups;
  return make_array({x.size(0), w.size(0), h, width}, [&](const Index& at) {
    double sum = in.size() > 2 ? in[2]({at[1]}) : 0;
    const int64_t first = at[1] / outs * w.size(1);
    for (int64_t c = 0; c < w.size(1); ++c)
      for (int64_t i = 0; i < w.size(2); ++i)
        for (int64_t j = 0; j < w.size(3); ++j) {
          const int64_t y = at[2] * o.stride_h + i * o.dilation_h - o.pad_top;
          const int64_t z = at[3] * o.stride_w + j * o.dilation_w - o.pad_left;
          if (y < 0 || y >= x.size(2) || z < 0 || z >= x.size(3)) continue;
          sum += x({at[0], first + c, y, z}) * w({at[1], c, i, j});
        }
    return sum;
  });
}

}  // namespace

void add_conv2d(std::vector<OpRecord>& all) {
  OpRecord record{"conv2d", "conv2d", OpRecord::Derivatives::once};
  record.tolerance = {5e-6, 1e-13, "sums of up to 288 products, in the order of the kernel"};
  uint64_t seed = 700;
  const auto add = [&](const char* label, const Shape& x, const Shape& w, const Conv2dOptions& o,
                       bool bias = true) {
    Sample sample{tensor::format("{}: {} by {}", label, text(x), text(w)),
                  {floating(random_array(x, seed)), floating(random_array(w, seed + 1))},
                  [o](const Variables& in) {
                    return Variables{conv2d(in[0], in[1], in.size() > 2 ? in[2] : Variable(), o)};
                  },
                  [o](const std::vector<Array>& in) { return std::vector<Array>{reference(in, o)}; },
                  {},
                  x.numel() > 1000};
    if (bias) sample.inputs.push_back(floating(random_array({w[0]}, seed + 2)));
    seed += 3;
    record.samples.push_back(std::move(sample));
  };
  add("plain", {2, 2, 4, 5}, {3, 2, 3, 3}, {});
  add("no bias, padded", {1, 2, 4, 4}, {2, 2, 3, 3}, {1, 1, 1, 1, 1, 1}, false);
  add("stride", {1, 2, 5, 6}, {2, 2, 3, 2}, {2, 3});
  add("asymmetric padding", {1, 1, 4, 4}, {2, 1, 3, 3}, {2, 2, 0, 1, 1, 0});
  add("dilation", {1, 1, 6, 5}, {1, 1, 2, 3}, {1, 1, 1, 1, 1, 1, 3, 2});
  add("groups", {1, 4, 3, 3}, {6, 2, 2, 2}, {1, 1, 0, 0, 0, 0, 1, 1, 2});
  add("depthwise", {1, 3, 5, 5}, {3, 1, 3, 3}, {2, 2, 1, 1, 1, 1, 1, 1, 3});
  add("1 x 1", {2, 3, 2, 2}, {4, 3, 1, 1}, {});
  add("1 x 1, stride", {1, 3, 4, 4}, {2, 3, 1, 1}, {2, 2});
  add("one of each", {1, 1, 1, 1}, {1, 1, 1, 1}, {});
  add("no pictures", {0, 2, 4, 4}, {3, 2, 3, 3}, {});
  add("a layer", {2, 32, 14, 14}, {16, 32, 3, 3}, {1, 1, 1, 1, 1, 1});
  add("a depthwise layer", {1, 48, 14, 14}, {48, 1, 5, 5}, {1, 1, 2, 2, 2, 2, 1, 1, 48});
  add("no pictures, no bias, groups", {0, 4, 4, 4}, {2, 2, 3, 3}, {1, 1, 0, 0, 0, 0, 1, 1, 2}, false);
  add("no pictures, depthwise", {0, 3, 4, 4}, {3, 1, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 3});
  add("no pictures, 1 x 1", {0, 3, 2, 2}, {4, 3, 1, 1}, {});
  add("no input channels", {2, 0, 4, 4}, {3, 0, 3, 3}, {});
  add("no input channels, no bias", {2, 0, 4, 4}, {3, 0, 1, 1}, {}, false);
  // torch.nn.functional.conv2d refuses these, too.
  record.errors = {
      refuses("no output channels",
              [] {
                conv2d(zeros({1, 2, 4, 4}), zeros({0, 2, 3, 3}), zeros({0}), {});
              },
              ErrorKind::shape, {"conv2d", "(0, 2, 3, 3)"}),
      refuses("empty pictures",
              [] {
                conv2d(zeros({1, 2, 0, 4}), zeros({3, 2, 1, 1}), {}, {1, 1, 1, 1, 1, 1});
              },
              ErrorKind::shape, {"conv2d", "(1, 2, 0, 4)"}),
      refuses("an empty kernel",
              [] {
                conv2d(zeros({1, 2, 4, 4}), zeros({3, 2, 0, 3}), {}, {});
              },
              ErrorKind::shape, {"conv2d", "0 x 3"}),
      refuses("other channels",
              [] {
                conv2d(zeros({1, 3, 4, 4}), zeros({2, 4, 3, 3}), {}, {});
              },
              ErrorKind::shape, {"conv2d", "(1, 3, 4, 4)", "(2, 4, 3, 3)"}),
      refuses("a kernel that is too large",
              [] {
                conv2d(zeros({1, 1, 2, 2}), zeros({1, 1, 3, 3}), {}, {});
              },
              ErrorKind::shape, {"conv2d", "(1, 1, 2, 2)", "(1, 1, 3, 3)"}),
      refuses("another bias",
              [] {
                conv2d(zeros({1, 1, 4, 4}), zeros({2, 1, 3, 3}), zeros({3}), {});
              },
              ErrorKind::shape, {"conv2d", "(3)"}),
      refuses("groups that do not divide",
              [] {
                conv2d(zeros({1, 3, 4, 4}), zeros({2, 1, 3, 3}), {}, {1, 1, 0, 0, 0, 0, 1, 1, 2});
              },
              ErrorKind::shape, {"conv2d", "(1, 3, 4, 4)"})};
  all.push_back(std::move(record));
}

}  // namespace autograd::testing
