#include "autograd/testing/op_database/common.h"

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

std::vector<OpRecord> conv2d_ops() {
  OpRecord record{
      .name = "conv2d",
      .derivatives = OpRecord::Derivatives::once,
      .tolerance = {
          .f32 = 5e-6, .f64 = 1e-13, .reason = "sums of up to 288 products, in the order of the kernel"}};
  uint64_t seed = 700;
  const auto add = [&](const char* label, const Shape& x, const Shape& w, const Conv2dOptions& o,
                       bool bias = true) {
    Draws draw(seed);
    seed += 3;
    Sample sample{
        .label = tensor::format("{}: {} by {}", label, text(x), text(w)),
        .inputs = {floating(draw(x)), floating(draw(w))},
        .op = one([o](const Variables& in) { return conv2d(in[0], in[1], optional_input(in, 2), o); }),
        .reference = one_array([o](const std::vector<Array>& in) { return reference(in, o); })};
    if (bias) sample.inputs.push_back(floating(draw({w[0]})));
    record.samples.push_back(std::move(sample));
  };
  const auto padded = [](int64_t pad, int64_t stride = 1, int64_t groups = 1) {
    return Conv2dOptions{stride, stride, pad, pad, pad, pad, 1, 1, groups};
  };
  add("plain", {2, 2, 4, 5}, {3, 2, 3, 3}, {});
  add("no bias, padded", {1, 2, 4, 4}, {2, 2, 3, 3}, padded(1), false);
  add("stride", {1, 2, 5, 6}, {2, 2, 3, 2}, {.stride_h = 2, .stride_w = 3});
  add("asymmetric padding", {1, 1, 4, 4}, {2, 1, 3, 3}, {2, 2, 0, 1, 1, 0});
  add("dilation", {1, 1, 6, 5}, {1, 1, 2, 3}, {1, 1, 1, 1, 1, 1, 3, 2});
  add("groups", {1, 4, 3, 3}, {6, 2, 2, 2}, {.groups = 2});
  add("depthwise", {1, 3, 5, 5}, {3, 1, 3, 3}, padded(1, 2, 3));
  add("1 x 1", {2, 3, 2, 2}, {4, 3, 1, 1}, {});
  add("1 x 1, stride", {1, 3, 4, 4}, {2, 3, 1, 1}, {.stride_h = 2, .stride_w = 2});
  add("one of each", {1, 1, 1, 1}, {1, 1, 1, 1}, {});
  add("no pictures", {0, 2, 4, 4}, {3, 2, 3, 3}, {});
  add("a layer", {2, 32, 14, 14}, {16, 32, 3, 3}, padded(1));
  add("a depthwise layer", {1, 48, 14, 14}, {48, 1, 5, 5}, padded(2, 1, 48));
  add("no pictures, no bias, groups", {0, 4, 4, 4}, {2, 2, 3, 3}, {.groups = 2}, false);
  add("no pictures, depthwise", {0, 3, 4, 4}, {3, 1, 3, 3}, padded(1, 1, 3));
  add("no pictures, 1 x 1", {0, 3, 2, 2}, {4, 3, 1, 1}, {});
  add("no input channels", {2, 0, 4, 4}, {3, 0, 3, 3}, {});
  add("no input channels, no bias", {2, 0, 4, 4}, {3, 0, 1, 1}, {}, false);
  // torch.nn.functional.conv2d refuses these, too.
  const auto error = [&](const char* label, const Shape& x, const Shape& w, const Conv2dOptions& o,
                         const std::vector<std::string>& says, const Variable& bias = {}) {
    record.errors.push_back(refuses(
        label, [=] { conv2d(zeros(x), zeros(w), bias, o); }, ErrorKind::shape, says));
    record.errors.back().says.emplace_back("conv2d");
  };
  error("no output channels", {1, 2, 4, 4}, {0, 2, 3, 3}, {}, {"(0, 2, 3, 3)"}, zeros(0));
  error("empty pictures", {1, 2, 0, 4}, {3, 2, 1, 1}, padded(1), {"(1, 2, 0, 4)"});
  error("an empty kernel", {1, 2, 4, 4}, {3, 2, 0, 3}, {}, {"0 x 3"});
  error("other channels", {1, 3, 4, 4}, {2, 4, 3, 3}, {}, {"(1, 3, 4, 4)", "(2, 4, 3, 3)"});
  error("a kernel that is too large", {1, 1, 2, 2}, {1, 1, 3, 3}, {}, {"(1, 1, 2, 2)", "(1, 1, 3, 3)"});
  error("another bias", {1, 1, 4, 4}, {2, 1, 3, 3}, {}, {"(3)"}, zeros(3));
  error("groups that do not divide", {1, 3, 4, 4}, {2, 1, 3, 3}, {.groups = 2}, {"(1, 3, 4, 4)"});
  return {record};
}

}  // namespace autograd::testing
