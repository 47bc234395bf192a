#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/cuda/conv2d_columns.h"
#include "tensor/kernels.h"
#include "tensor/window.h"
#include "tests/emulation/seeds.h"
#include "tests/emulation/twins.h"
#include "tests/refused.h"
#include "tests/tensor/conv2d_cases.h"

using namespace tests;
using tensor::Conv2dOptions;
using tensor::Device;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Shape;
using tensor::Tensor;
namespace kernels = tensor::kernels;

namespace {

constexpr DType kTypes[] = {DType::f32, DType::f64, DType::f16, DType::bf16};
const Device kThere = Device::cuda();

Tensor forward(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& o) {
  Tensor out =
      Tensor::empty(tensor::conv2d_output_shape(x.shape(), w.shape(), o, "test"), x.dtype(), x.device());
  kernels::conv2d(out, x, w, bias, o);
  return out;
}

Tensor input_gradient(const Shape& x, const Tensor& dout, const Tensor& w, const Conv2dOptions& o) {
  Tensor dx = Tensor::empty(x, dout.dtype(), dout.device());
  kernels::conv2d_backward_input(dx, dout, w, o);
  return dx;
}

Tensor weight_gradient(const Shape& w, const Tensor& dout, const Tensor& x, const Conv2dOptions& o) {
  Tensor dw = Tensor::empty(w, dout.dtype(), dout.device());
  kernels::conv2d_backward_weight(dw, dout, x, o);
  return dw;
}

// Numbers of a type as the CPU has them in f64, and their sizes.
struct Wide {
  Tensor value, size;
  explicit Wide(const Tensor& t) : value(t.to(DType::f64)), size(Tensor::empty(t.shape(), DType::f64)) {
    kernels::unary(size, value, tensor::UnaryOp::abs);
  }
};

// How far `found` is from sums of products in f64, as a part of what may be: sums in f32 (f64) err by some units
// in the last place of the sum of the products' sizes, and the result is rounded once; below 2^-14 f16 has
// multiples of 2^-24.
double worst(const Tensor& found, const Tensor& right, const Tensor& sizes) {
  const DType type = found.dtype();
  const double sum = type == DType::f64 ? 2e-15 : 1e-6;
  const double rounding = type == DType::f64   ? 0x1p-53
                          : type == DType::f32 ? 0x1p-24
                          : type == DType::f16 ? 0x1p-11
                                               : 0x1p-8;
  const std::vector<double> v = numbers(found), r = numbers(right), s = numbers(sizes);
  if (found.shape() != right.shape()) return INFINITY;
  double worst = 0;
  for (size_t i = 0; i < v.size(); ++i) {
    const double most = sum * s[i] + rounding * std::abs(r[i]) + (type == DType::f16 ? 0x1p-25 : 0);
    if (v[i] == r[i]) continue;
    const double part = std::abs(v[i] - r[i]) / most;
    worst = std::isnan(part) ? INFINITY : std::max(worst, part);
  }
  return worst;
}

// The three kernels on the device, of tensors as they lie there, against the CPU's in f64.
void check_case(const Twins& x, const Twins& w, const Twins& bias, const Twins& dout,
                const Conv2dOptions& o) {
  const Wide wx(x.cpu), ww(w.cpu), wb(bias.cpu), wd(dout.cpu);
  CHECK(worst(forward(x.cuda, w.cuda, {}, o), forward(wx.value, ww.value, {}, o),
              forward(wx.size, ww.size, {}, o)) <= 1);
  CHECK(worst(forward(x.cuda, w.cuda, bias.cuda, o), forward(wx.value, ww.value, wb.value, o),
              forward(wx.size, ww.size, wb.size, o)) <= 1);
  CHECK(worst(input_gradient(x.cpu.shape(), dout.cuda, w.cuda, o),
              input_gradient(x.cpu.shape(), wd.value, ww.value, o),
              input_gradient(x.cpu.shape(), wd.size, ww.size, o)) <= 1);
  CHECK(worst(weight_gradient(w.cpu.shape(), dout.cuda, x.cuda, o),
              weight_gradient(w.cpu.shape(), wd.value, wx.value, o),
              weight_gradient(w.cpu.shape(), wd.size, wx.size, o)) <= 1);
}

// Contiguous, and off the 16-byte grid.
Twins operand(uint32_t seed, const Shape& shape, DType type, bool shifted) {
  if (!shifted) return Twins(made(seed, shape).to(type));
  const int64_t n = shape.numel();
  return Twins("one element in", made(seed, {n + 1}).to(type),
               [&](const Tensor& t) { return t.slice(0, 1, n + 1).view(shape); });
}

void check_case(const Shape& x, const Shape& w, const Conv2dOptions& o, DType type, bool shifted = false) {
  CAPTURE(tensor::name_of(type));
  CAPTURE(shifted);
  const Shape out = tensor::conv2d_output_shape(x, w, o, "test");
  check_case(operand(1, x, type, shifted), operand(2, w, type, shifted), operand(3, {w[0]}, type, shifted),
             operand(4, out, type, shifted), o);
}

void check_weight_gradient(const Shape& x, const Shape& w, const Conv2dOptions& o, DType type) {
  const Twins seen(made(1, x).to(type)), dout(made(2, tensor::conv2d_output_shape(x, w, o, "test")).to(type));
  const Wide wide_seen(seen.cpu), wide_dout(dout.cpu);
  CHECK(worst(weight_gradient(w, dout.cuda, seen.cuda, o),
              weight_gradient(w, wide_dout.value, wide_seen.value, o),
              weight_gradient(w, wide_dout.size, wide_seen.size, o)) <= 1);
}

Tensor there(uint32_t seed, const Shape& shape, DType type = DType::f32) {
  return made(seed, shape).to(type).to(kThere);
}

}  // namespace

TEST_CASE("conv2d and its gradients as on the CPU: every kind and type") {
  for (const Conv2dCase& k : kConv2dCases) {
    CAPTURE(k.name);
    for (const DType type : kTypes) check_case(k.x, k.w, k.options, type);
  }
}

TEST_CASE("conv2d: operands off the 16-byte grid") {
  for (const Conv2dCase& k : kConv2dCases) {
    if (k.x[0] * k.x[1] > 40) continue;
    CAPTURE(k.name);
    for (const DType type : {DType::f32, DType::f16}) check_case(k.x, k.w, k.options, type, true);
  }
}

TEST_CASE(
    "conv2d: groups more and fewer than images, and pictures whose sizes are those of packs and blocks") {
  const Conv2dOptions same{1, 1, 1, 1, 1, 1, 1, 1, 1};
  for (const DType type : {DType::f32, DType::bf16}) {
    check_case({2, 12, 5, 4}, {18, 2, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 6}, type);
    check_case({7, 6, 5, 4}, {4, 3, 3, 3}, {2, 2, 1, 1, 1, 1, 1, 1, 2}, type);
    check_case({3, 8, 3, 5}, {4, 4, 1, 1}, {1, 1, 0, 0, 0, 0, 1, 1, 2}, type);
    for (const int64_t width : {1, 31, 32, 33, 255, 256, 257}) {
      check_case({1, 2, 1, width}, {1, 2, 1, 3}, {1, 1, 0, 0, 1, 1, 1, 1, 1}, type);
      check_case({2, 2, 1, width}, {2, 1, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 2}, type);
    }
    check_case({1, 1, 16, 16}, {2, 1, 3, 3}, same, type);
  }
}

TEST_CASE("conv2d: a depthwise filter's gradient of many pictures is made of tiles") {
  const Conv2dOptions same{1, 1, 1, 1, 1, 1, 1, 1, 2};
  for (const DType type : {DType::f64, DType::f16}) {
    check_weight_gradient({3, 2, 75, 75}, {2, 1, 3, 3}, same, type);  // 16,875 pixels
    check_weight_gradient({3, 2, 75, 75}, {2, 1, 1, 2}, {1, 1, 0, 0, 0, 1, 1, 1, 2}, type);
  }
}

TEST_CASE("conv2d: with room for the columns of some images only, tiles follow one another") {
  for (const int64_t images : {1, 3, 7, 8}) {
    CAPTURE(images);
    for (const DType type : kTypes) {
      const int64_t columns = 4 * 9 * 5 * 6 * tensor::size_of(type), room = tensor::cuda::column_room;
      tensor::cuda::column_room = images * columns + 1;
      check_case({7, 4, 5, 6}, {6, 2, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 2}, type);
      tensor::cuda::column_room = images * columns / 9 + 1;
      check_case({7, 4, 5, 6}, {3, 4, 1, 1}, {}, type);
      tensor::cuda::column_room = room;
    }
  }
}

TEST_CASE("conv2d of operands of several types, of nothing, and of sums of nothing") {
  const Conv2dOptions o;
  const Twins x(made(1, {2, 3, 5, 4}).to(DType::f16)), w(made(2, {4, 3, 2, 2}).to(DType::f32)),
      bias(made(3, {4}).to(DType::bf16)), dout(made(4, {2, 4, 4, 3}).to(DType::bf16));
  CHECK(worst_error(forward(x.cuda, w.cuda, bias.cuda, o), forward(x.cpu, w.cpu, bias.cpu, o), 1) <= 0x1p-10);
  CHECK(worst_error(input_gradient({2, 3, 5, 4}, dout.cuda, w.cuda, o),
                    input_gradient({2, 3, 5, 4}, dout.cpu, w.cpu, o), 1) <= 0x1p-7);
  CHECK(worst_error(weight_gradient({4, 3, 2, 2}, dout.cuda, x.cuda, o),
                    weight_gradient({4, 3, 2, 2}, dout.cpu, x.cpu, o), 1) <= 0x1p-7);
  const Tensor none = Tensor::empty({0, 3, 5, 4}, DType::f32, kThere),
               nothing = Tensor::empty({0, 4, 4, 3}, DType::f32, kThere);
  CHECK(forward(none, w.cuda, {}, o).numel() == 0);
  CHECK(input_gradient({0, 3, 5, 4}, nothing, w.cuda, o).numel() == 0);
  CHECK(numbers(weight_gradient({1, 3, 2, 1}, Tensor::empty({0, 1, 4, 4}, DType::f32, kThere), none, o)) ==
        std::vector<double>(6, 0));
  const Tensor no_channels = Tensor::empty({1, 0, 2, 2}, DType::f32, kThere),
               no_weight = Tensor::empty({2, 0, 1, 1}, DType::f32, kThere);
  CHECK(numbers(forward(no_channels, no_weight, {}, o)) == std::vector<double>(8, 0));
  CHECK(numbers(forward(no_channels, no_weight, Tensor::from<float>({1, 2}, {2}).to(kThere), o)) ==
        std::vector<double>{1, 1, 1, 1, 2, 2, 2, 2});
}

TEST_CASE("conv2d: what it refuses") {
  const Conv2dOptions o;
  const Tensor x = there(1, {1, 2, 4, 4}), w = there(2, {3, 2, 2, 2});
  Tensor out = Tensor::empty({1, 3, 3, 4}, DType::f32, kThere);
  CHECK(refused([&] { kernels::conv2d(out, x, w, {}, o); }, ErrorKind::shape) ==
        "conv2d: output (1, 3, 3, 4) must be (1, 3, 3, 3) for input (1, 2, 4, 4) and weight (3, 2, 2, 2)");
  CHECK(refused([&] { forward(x, w, there(3, {3}, DType::f64), o); }, ErrorKind::dtype) ==
        "conv2d: bias (3) f64 for output (1, 3, 3, 3) f32");
  CHECK(refused([&] { forward(x.to(DType::i64), w.to(DType::i64), {}, o); }, ErrorKind::dtype) ==
        "conv2d: f32 or f64 is needed, not i64");
}

TEST_CASE("conv2d: launches, and what they read and write") {
  const double many = 1000;  // reads of a number that products and windows share
  const Tensor x = there(1, {2, 4, 6, 6}), w = there(2, {5, 4, 3, 3}), dout = there(3, {2, 5, 6, 6});
  const Conv2dOptions same{1, 1, 1, 1, 1, 1, 1, 1, 1};
  const double columns = 2 * 36 * 36, product = 2 * columns * 5, in = 2 * 4 * 36, out = 2 * 5 * 36,
               weights = 5 * 36;
  // Without the padding, 16 of 18 numbers along each axis are in the picture.
  const double inside = 2 * 4 * 16 * 16;
  expect_launches(
      "conv2d", {2, product, 4 * (in + columns + columns + weights + out)}, [&] { forward(x, w, {}, same); },
      many, 1);
  expect_launches(
      "conv2d_backward_input", {2, product + inside, 4 * (out + weights + columns + inside + in)},
      [&] { input_gradient(x.shape(), dout, w, same); }, many, 1);
  expect_launches(
      "conv2d_backward_weight", {2, product, 4 * (in + columns + out + columns + weights)},
      [&] { weight_gradient(w.shape(), dout, x, same); }, many, 1);
  // A stride past the kernel: what lies between windows is not read.
  const Tensor one = there(4, {2, 4, 1, 1});
  expect_launches(
      "conv2d", {2, 2 * 8 * 9 * 2.0, 4 * (8 * 9 + 8 * 9 + 8 * 9 + 8 + 4 * 9)},
      [&] { forward(x, one, {}, {.stride_h = 2, .stride_w = 2}); }, many, 1);
  expect_launches(
      "conv2d", {1, 2 * in * 2, 4 * (in + 8 + 4 * 36)}, [&] { forward(x, one, {}, {}); }, many, 1);
  const Conv2dOptions depthwise{1, 1, 1, 1, 1, 1, 1, 1, 4};
  const Tensor filters = there(5, {4, 1, 3, 3}), bias = there(6, {4}), gradient = there(7, {2, 4, 6, 6});
  expect_launches(
      "conv2d", {1, 2 * inside, 4 * (in + 36 + 4 + in)}, [&] { forward(x, filters, bias, depthwise); }, many);
  expect_launches(
      "conv2d_backward_input", {1, 2 * inside, 4 * (in + 36 + in)},
      [&] { input_gradient(x.shape(), gradient, filters, depthwise); }, many);
  expect_launches(
      "conv2d_backward_weight", {1, 2 * inside, 4 * (in + 36 + in)},
      [&] { weight_gradient(filters.shape(), gradient, x, depthwise); }, many);
}

TEST_CASE("conv2d gives the same bits in any order") {
  const Tensor x = there(1, {3, 6, 7, 7});
  const auto check = [&](const Tensor& w, const Conv2dOptions& o) {
    const Tensor dout = there(4, tensor::conv2d_output_shape(x.shape(), w.shape(), o, "test"));
    expect_same_in_any_order([&] { return forward(x, w, {}, o); });
    expect_same_in_any_order([&] { return input_gradient(x.shape(), dout, w, o); });
    expect_same_in_any_order([&] { return weight_gradient(w.shape(), dout, x, o); });
  };
  check(there(2, {4, 6, 3, 3}), {2, 2, 1, 1, 1, 1, 1, 1, 1});
  check(there(3, {6, 1, 5, 5}), {1, 1, 2, 2, 2, 2, 1, 1, 6});
}
