#include "tensor/nhwc.h"

#include <doctest/doctest.h>

#include <vector>

#include "tensor/kernels.h"
#include "tensor/window.h"
#include "tests/emulation/seeds.h"
#include "tests/emulation/twins.h"
#include "tests/refused.h"

using namespace tests;
using tensor::Activation;
using tensor::Border;
using tensor::Conv2dOptions;
using tensor::Device;
using tensor::DType;
using tensor::ErrorKind;
using tensor::NhwcBatch;
using tensor::PackedConv2d;
using tensor::Pool2dOptions;
using tensor::Shape;
using tensor::Tensor;
namespace kernels = tensor::kernels;

namespace {

const Device kThere = Device::cuda();
constexpr DType kPictures[] = {DType::f32, DType::f16, DType::bf16};

// A unit in the last place, which a sum in another order may move; of f32 some more of them.
double band(DType type) { return type == DType::f32 ? 4e-6 : type == DType::f16 ? 0x1p-10 : 0x1p-7; }

std::vector<double> rising(int64_t n, double first, double step) {
  std::vector<double> all;
  for (int64_t i = 0; i < n; ++i) all.push_back(first + step * static_cast<double>(i % 13));
  return all;
}

struct Case {
  const char* name;
  Shape x, w;
  Conv2dOptions options;  // strides; top, bottom, left, right; dilations; groups
};
const Case kCases[] = {
    {"1x1", {2, 16, 5, 7}, {33, 16, 1, 1}, {}},
    {"1x1 of channels that fill no pack", {2, 13, 5, 7}, {5, 13, 1, 1}, {}},
    {"1x1 stride 2", {2, 16, 7, 9}, {24, 16, 1, 1}, {2, 2, 0, 0, 0, 0, 1, 1, 1}},
    {"1x1 padded", {1, 8, 3, 3}, {4, 8, 1, 1}, {1, 1, 1, 0, 0, 1, 1, 1, 1}},
    {"3x3", {2, 16, 9, 8}, {5, 16, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"3x3 with same padding", {2, 3, 12, 9}, {32, 3, 3, 3}, {2, 2, 0, 1, 1, 1, 1, 1, 1}},
    {"7x7 stride 2", {1, 3, 29, 31}, {20, 3, 7, 7}, {2, 2, 3, 3, 3, 3, 1, 1, 1}},
    {"asymmetric", {2, 4, 8, 10}, {6, 4, 3, 5}, {2, 1, 0, 1, 1, 3, 1, 1, 1}},
    {"dilation", {1, 8, 11, 12}, {3, 8, 3, 3}, {1, 2, 2, 2, 3, 1, 2, 3, 1}},
    {"one number", {1, 1, 1, 1}, {1, 1, 1, 1}, {}},
    {"no channels", {1, 0, 3, 3}, {4, 0, 1, 1}, {}},
    {"padding beyond the window", {1, 2, 2, 2}, {3, 2, 2, 2}, {1, 1, 4, 3, 3, 4, 1, 1, 1}},
    {"depthwise 3x3", {2, 40, 9, 7}, {40, 1, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 40}},
    {"depthwise 3x3 stride 2", {2, 8, 9, 17}, {8, 1, 3, 3}, {2, 2, 0, 1, 0, 1, 1, 1, 8}},
    {"depthwise 5x5", {1, 16, 4, 8}, {16, 1, 5, 5}, {1, 1, 2, 2, 2, 2, 1, 1, 16}},
    {"depthwise 5x5 stride 2", {2, 8, 12, 13}, {8, 1, 5, 5}, {2, 2, 1, 2, 1, 2, 1, 1, 8}},
    {"depthwise of channels that fill no pack", {2, 9, 6, 5}, {9, 1, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 9}},
    {"depthwise, uneven", {1, 8, 12, 12}, {8, 1, 3, 2}, {1, 3, 2, 2, 2, 2, 2, 2, 8}},
    {"depthwise, one pixel", {3, 8, 1, 1}, {8, 1, 5, 5}, {1, 1, 2, 2, 2, 2, 1, 1, 8}},
};

Tensor convolved(const Tensor& x, const Tensor& w, const Conv2dOptions& o, DType type, Activation activation,
                 const Tensor& more = {}, bool in_place = false) {
  const int64_t channels = w.size(0);
  // Biases that 16 bits hold.
  const PackedConv2d packed(w, rising(channels, 0.5, 0.03), rising(channels, -0.5, 0.125), o.groups, type);
  const Shape shape = tensor::conv2d_output_shape(x.shape(), w.shape(), o, "test");
  const NhwcBatch in = NhwcBatch::from_nchw(x, packed.border_for(o), type);
  NhwcBatch residual, out;
  if (more.defined()) residual = NhwcBatch::from_nchw(more, {}, type);
  out = in_place ? residual : NhwcBatch(shape[0], shape[2], shape[3], shape[1], {}, x.device(), type);
  kernels::conv2d_nhwc(out, in, packed, o, more.defined() ? &residual : nullptr, activation);
  return out.to_nchw();
}

Tensor pooled(const Tensor& x, const Pool2dOptions& o, DType type) {
  const Shape shape = tensor::pool2d_output_shape(x.shape(), o, "test");
  NhwcBatch out(shape[0], shape[2], shape[3], shape[1], {}, x.device(), type);
  kernels::max_pool2d_nhwc(out, NhwcBatch::from_nchw(x, {}, type), o);
  return out.to_nchw();
}

Twins made_twins(uint32_t seed, const Shape& shape) { return Twins(made(seed, shape, -2, 2).to(DType::f32)); }

}  // namespace

TEST_CASE("pictures with channels last as on the CPU: every type and layout") {
  for (const DType type : kPictures)
    for (const Shape& shape : {Shape{2, 3, 5, 4}, Shape{1, 8, 3, 3}, Shape{0, 3, 5, 4}, Shape{1, 1, 1, 1}})
      for (const Twins& x : twins(shape, DType::f32, 1))
        CHECK_MESSAGE(same_values(NhwcBatch::from_nchw(x.cuda, {}, type).to_nchw(),
                                  NhwcBatch::from_nchw(x.cpu, {}, type).to_nchw()),
                      x.text());
}

TEST_CASE("a convolution's weights lie on a device as nhwc.h says, scaled and rounded as on the CPU") {
  for (const auto& [shape, groups] : {std::pair<Shape, int64_t>{{5, 16, 1, 1}, 1},
                                      {{3, 3, 3, 3}, 1},
                                      {{1, 1, 1, 1}, 1},
                                      {{40, 1, 5, 3}, 40}})
    for (const DType source : {DType::f32, DType::f64, DType::f16, DType::bf16})
      for (const DType type : kPictures) {
        const int64_t o = shape[0], c = shape[1], taps = shape[2] * shape[3], row = (c * taps + 7) / 8 * 8;
        const std::vector<double> scale = rising(o, 0.1, 0.37), bias = rising(o, -1, 0.3);
        for (const Twins& w : twins(shape, source, 3)) {
          const PackedConv2d packed(w.cuda, scale, bias, groups, type);
          const std::vector<double> given = numbers(w.cpu);
          Tensor want = Tensor::zeros(groups > 1 ? Shape{taps, o} : Shape{o, row});
          for (int64_t i = 0; i < o; ++i)
            for (int64_t k = 0; k < c * taps; ++k) {
              const int64_t at = groups > 1 ? k * o + i : i * row + k % taps * c + k / taps;
              want.mutable_data<float>()[at] = static_cast<float>(
                  given[static_cast<size_t>(i * c * taps + k)] * scale[static_cast<size_t>(i)]);
            }
          CHECK_MESSAGE(same_values(packed.weight, want.to(type)), w.text(), " ", tensor::name_of(type));
          CHECK(
              same_values(packed.bias,
                          Tensor::from<double>(bias, {o}).to(DType::f32).to(groups > 1 ? DType::f32 : type)));
        }
      }
}

TEST_CASE("convolutions with channels last as on the CPU: every type, residual and activation") {
  for (const Case& k : kCases) {
    const Twins x = made_twins(1, k.x), w = made_twins(2, k.w);
    const Shape shape = tensor::conv2d_output_shape(k.x, k.w, k.options, "test");
    const Twins more = made_twins(3, shape);
    for (const DType type : kPictures)
      for (const Activation activation : {Activation::none, Activation::relu, Activation::relu6}) {
        CAPTURE(k.name);
        CAPTURE(tensor::name_of(type));
        CAPTURE(static_cast<int>(activation));
        const auto run = [&](const auto&... residual) {
          const Tensor got = convolved(x.cuda, w.cuda, k.options, type, activation, residual.cuda...),
                       want = convolved(x.cpu, w.cpu, k.options, type, activation, residual.cpu...);
          CHECK(worst_error(got, want, 1) <= band(type));
          return got;
        };
        run();
        const Tensor added = run(more);
        CHECK(same_values(convolved(x.cuda, w.cuda, k.options, type, activation, more.cuda, true), added));
      }
  }
}

TEST_CASE(
    "a convolution whose windows come in parts, of no picture, and with a bias that 16 bits do not hold") {
  // 22,500 windows of 200 numbers: more than the 16 MiB of a part.
  const Conv2dOptions five{1, 1, 2, 2, 2, 2, 1, 1, 1};
  const Twins x = made_twins(1, {1, 8, 150, 150}), w = made_twins(2, {8, 8, 5, 5}),
              more = made_twins(3, {1, 8, 150, 150});
  CHECK(worst_error(convolved(x.cuda, w.cuda, five, DType::f32, Activation::relu, more.cuda, true),
                    convolved(x.cpu, w.cpu, five, DType::f32, Activation::relu, more.cpu, true),
                    8) <= band(DType::f32));
  for (const Case& k : kCases) {
    const Tensor none = Tensor::empty({0, k.x[1], k.x[2], k.x[3]}, DType::f32, kThere);
    CHECK(convolved(none, made_twins(2, k.w).cuda, k.options, DType::f16, Activation::relu6).numel() == 0);
  }
  const Twins small = made_twins(4, {1, 8, 3, 3}), square = made_twins(5, {8, 8, 1, 1});
  const std::vector<double> one(8, 1.0), third(8, 1.0 / 3);
  for (const DType type : {DType::f16, DType::bf16}) {
    Tensor found[2];
    for (const bool there : {false, true}) {
      const PackedConv2d packed(there ? square.cuda : square.cpu, one, third, 1, type);
      NhwcBatch out(1, 3, 3, 8, {}, there ? kThere : Device::cpu(), type);
      kernels::conv2d_nhwc(out, NhwcBatch::from_nchw(there ? small.cuda : small.cpu, {}, type), packed, {},
                           nullptr, Activation::none);
      found[there] = out.to_nchw();
    }
    CHECK(worst_error(found[1], found[0], 1) <= 2 * band(type));
  }
}

TEST_CASE("max pools with channels last as on the CPU: the same numbers, and a NaN wins") {
  Pool2dOptions resnet{3, 3, 2, 2, 1, 1, 1, 1, false}, whole = resnet, wide{2, 3, 1, 2, 1, 0, 2, 1, false};
  whole.ceil_mode = true;
  for (const Pool2dOptions& o : {resnet, whole, wide, Pool2dOptions{}})
    for (const DType type : kPictures)
      for (const Shape& shape : {Shape{2, 16, 8, 9}, Shape{1, 13, 7, 7}, Shape{0, 8, 4, 4}}) {
        Tensor base = made(6, shape, -9, -1).to(DType::f32);
        for (const double special : {static_cast<double>(NAN), -static_cast<double>(INFINITY)}) {
          if (base.numel() > 0) base.slice(3, 2, 3).fill_(special);
          const Twins x(base);
          CHECK(same_values(pooled(x.cuda, o, type), pooled(x.cpu, o, type)));
        }
      }
}

TEST_CASE(
    "convolutions and pools with channels last read and write what they say, with the same bits in any order") {
  for (const DType type : kPictures) {
    const auto size = static_cast<double>(tensor::size_of(type));
    const auto convolution = [&](const Shape& x, const Shape& w, const Conv2dOptions& o,
                                 Activation activation, const tensor::cuda::LaunchCount& want, double reads,
                                 int64_t products) {
      const PackedConv2d packed(made_twins(2, w).cuda, rising(w[0], 1, 0), rising(w[0], 0, 0), o.groups,
                                type);
      const NhwcBatch in = NhwcBatch::from_nchw(made_twins(1, x).cuda, {}, type);
      const Shape shape = tensor::conv2d_output_shape(x, w, o, "test");
      const auto run = [&] {
        NhwcBatch out(shape[0], shape[2], shape[3], shape[1], {}, kThere, type);
        kernels::conv2d_nhwc(out, in, packed, o, nullptr, activation);
        return out.to_nchw();
      };
      expect_launches(
          "conv2d_nhwc", want, [&] { run(); }, reads, products);
      expect_same_in_any_order(run);
    };
    // One product of 70 pixels.
    convolution({2, 16, 5, 7}, {24, 16, 1, 1}, {}, Activation::relu,
                {1, 2.0 * 70 * 16 * 24, size * (70 * 16 + 16 * 24 + 24 + 70 * 24)}, 1, 1);
    // ReLU6 is a launch of another kernel.
    expect_launches("unary", {1, 70 * 24, size * 2 * 70 * 24}, [&] {
      convolved(made_twins(1, {2, 16, 5, 7}).cuda, made_twins(2, {24, 16, 1, 1}).cuda, {}, type,
                Activation::relu6);
    });
    // The windows of 126 pixels, and their product.
    convolution(
        {2, 16, 9, 7}, {8, 16, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 1}, Activation::relu,
        {2, 2.0 * 126 * 144 * 8, size * (126 * 16 + 126 * 144) + size * (126 * 144 + 144 * 8 + 8 + 126 * 8)},
        9, 1);
    // Every other pixel: 2 x 5 x 4 of them.
    convolution({2, 16, 9, 7}, {8, 16, 1, 1}, {2, 2, 0, 0, 0, 0, 1, 1, 1}, Activation::none,
                {2, 2.0 * 40 * 16 * 8, size * 2 * 40 * 16 + size * (40 * 16 + 16 * 8 + 8 + 40 * 8)}, 1, 1);
    // A picture's number is read by the strips whose windows have it: of up to 5 rows, and 2 of a row.
    convolution({2, 16, 9, 8}, {16, 1, 5, 5}, {1, 1, 2, 2, 2, 2, 1, 1, 16}, Activation::relu6,
                {1, 2.0 * 25 * 144 * 16, size * (2 * 144 * 16 + 25 * 16) + 4 * 16}, 36, 0);
    const NhwcBatch in = NhwcBatch::from_nchw(made_twins(1, {2, 16, 8, 8}).cuda, {}, type);
    const auto pool = [&] {
      NhwcBatch out(2, 4, 4, 16, {}, kThere, type);
      kernels::max_pool2d_nhwc(out, in, {3, 3, 2, 2, 1, 1, 1, 1, false});
      return out.to_nchw();
    };
    expect_launches(
        "max_pool2d_nhwc", {1, 9.0 * 2 * 16 * 16, size * (2 * 64 + 2 * 16) * 16}, [&] { pool(); }, 4);
    expect_same_in_any_order(pool);
    const Tensor weight = made_twins(1, {8, 5, 3, 3}).cuda;
    expect_launches(
        "pack_conv2d", {1, 360, 4 * 360 + 8 * 8 + size * 8 * 48},
        [&] { PackedConv2d(weight, rising(8, 1, 0), rising(8, 0, 0), 1, type); }, 3);
  }
}

TEST_CASE("pictures with channels last on a device: what is refused") {
  CHECK(refused(
            [] {
              NhwcBatch(1, 2, 2, 8, {0, 1, 0, 0}, kThere);
            },
            ErrorKind::argument) == "channels last: pictures on cuda:0 have no border");
  CHECK(refused([] { NhwcBatch(1, 2, 2, 8, {}, kThere, DType::f64); }, ErrorKind::dtype) ==
        "channels last: pictures are f32, f16 or bf16, not f64");
  const std::vector<double> one(8, 1.0);
  CHECK(refused(
            [&] {
              PackedConv2d(Tensor::zeros({8, 8, 1, 1}, DType::i64, kThere), one, one);
            },
            ErrorKind::dtype) == "packed conv2d: f32 or f64 is needed, not i64");
  const PackedConv2d here(Tensor::zeros({8, 8, 1, 1}), one, one);
  CHECK(here.border_for({1, 1, 1, 0, 0, 1, 1, 1, 1}) == Border{1, 0, 0, 1});
  NhwcBatch out(1, 2, 2, 8, {}, kThere);
  CHECK(refused(
            [&] {
              kernels::conv2d_nhwc(out, NhwcBatch(1, 2, 2, 8, {}, kThere), here, {}, nullptr,
                                   Activation::none);
            },
            ErrorKind::device) == "conv2d_nhwc: one tensor is on cuda:0, another on cpu; move one with to()");
}
