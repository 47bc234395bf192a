// Convolutions against seven loops in double.
#include "tests/tensor/reference.h"

#include <algorithm>

#include "tensor/nhwc.h"
#include "tensor/window.h"
#include "tests/tensor/conv2d_cases.h"

using namespace tests;
using tensor::Conv2dOptions;

namespace {

using Case = Conv2dCase;

// Calls f(output index, input index, weight index) for every product that the definition adds up.
template <class F>
void for_each_product(const Case& k, const Shape& out, F f) {
  const Conv2dOptions& p = k.options;
  const int64_t og = k.w[0] / p.groups, cg = k.w[1];
  for (int64_t n = 0; n < out[0]; ++n)
    for (int64_t o = 0; o < out[1]; ++o)
      for (int64_t y = 0; y < out[2]; ++y)
        for (int64_t x = 0; x < out[3]; ++x)
          for (int64_t c = 0; c < cg; ++c)
            for (int64_t i = 0; i < k.w[2]; ++i)
              for (int64_t j = 0; j < k.w[3]; ++j) {
                const int64_t iy = y * p.stride_h - p.pad_top + i * p.dilation_h;
                const int64_t ix = x * p.stride_w - p.pad_left + j * p.dilation_w;
                if (iy < 0 || iy >= k.x[2] || ix < 0 || ix >= k.x[3]) continue;
                f(static_cast<size_t>(((n * out[1] + o) * out[2] + y) * out[3] + x),
                  static_cast<size_t>(((n * k.x[1] + o / og * cg + c) * k.x[2] + iy) * k.x[3] + ix),
                  static_cast<size_t>(((o * cg + c) * k.w[2] + i) * k.w[3] + j));
              }
}

// Sums of products, and what bounds their rounding errors. With u half the spacing of numbers around 1, a sum
// of n products in any order is off by at most n u sum |product|; as roundings go either way, by no more than
// 6 sqrt(n) u sum |product| but for a chance of 2 n exp(-18) (Higham and Mary 2019).
struct Sums {
  explicit Sums(size_t count) : value(count, 0), magnitude(count, 0), terms(count, 0) {}
  void add(size_t at, double term) {
    value[at] += term;
    magnitude[at] += std::abs(term);
    terms[at] += 1;
  }
  // The worst error as a part of its bound: at most 1 where the sums are right.
  double worst(const Tensor& found, double u) const {
    const std::vector<double> v = values(found);
    if (v.size() != value.size()) return INFINITY;
    double worst = 0;
    for (size_t i = 0; i < v.size(); ++i) {
      if (v[i] == value[i]) continue;
      const double roundings = std::min(terms[i], 6 * std::sqrt(terms[i]));
      const double error = std::abs(v[i] - value[i]) / (roundings * u * magnitude[i]);
      worst = std::isnan(error) ? INFINITY : std::max(worst, error);
    }
    return worst;
  }
  std::vector<double> value, magnitude, terms;
};

}  // namespace

TEST_CASE("conv2d and its gradients are the sums of the definition") {
  for (const Case& k : kConv2dCases) {
    CAPTURE(k.name);
    for (const DType dtype : {DType::f32, DType::f64}) {
      // Both sums are rounded in f64, the expected ones and those under test.
      const double u = dtype == DType::f32 ? 0x1p-24 : 0x1p-52;
      const Tensor x = random(k.x, dtype, 1), w = random(k.w, dtype, 2), bias = random({k.w[0]}, dtype, 3);
      const Shape shape = tensor::conv2d_output_shape(k.x, k.w, k.options, "test");
      const Tensor dout = random(shape, dtype, 4);
      const auto xs = values(x), ws = values(w), bs = values(bias), ds = values(dout);
      Sums out(ds.size()), dx(xs.size()), dw(ws.size());
      for_each_product(k, shape, [&](size_t o, size_t i, size_t m) {
        out.add(o, xs[i] * ws[m]);
        dx.add(i, ds[o] * ws[m]);
        dw.add(m, ds[o] * xs[i]);
      });
      const auto forward = [&](const Tensor& b) {
        Tensor y = Tensor::full(shape, NAN, dtype);
        tensor::kernels::conv2d(y, x, w, b, k.options);
        return y;
      };
      CHECK(out.worst(forward({}), u) <= 1);
      const int64_t plane = shape[2] * shape[3];
      for (size_t i = 0; i < ds.size(); ++i) out.add(i, bs[i / static_cast<size_t>(plane) % bs.size()]);
      CHECK(out.worst(forward(bias), u) <= 1);
      check_threads([&] { return forward(bias); });
      check_threads([&] {
        Tensor g = Tensor::full(k.x, NAN, dtype);
        tensor::kernels::conv2d_backward_input(g, dout, w, k.options);
        CHECK(dx.worst(g, u) <= 1);
        return g;
      });
      check_threads([&] {
        Tensor g = Tensor::full(k.w, NAN, dtype);
        tensor::kernels::conv2d_backward_weight(g, dout, x, k.options);
        CHECK(dw.worst(g, u) <= 1);
        return g;
      });
    }
  }
}

TEST_CASE("conv2d works tile by tile on pictures that are larger than a tile") {
  const Case k{"", {1, 24, 60, 50}, {10, 24, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 1}};
  const Tensor x = random(k.x, DType::f64, 1), w = random(k.w, DType::f64, 2);
  const Shape shape = tensor::conv2d_output_shape(k.x, k.w, k.options, "test");
  std::vector<double> expected(static_cast<size_t>(shape.numel()), 0);
  const auto xs = values(x), ws = values(w);
  for_each_product(k, shape, [&](size_t o, size_t i, size_t m) { expected[o] += xs[i] * ws[m]; });
  check_threads([&] {
    Tensor out = Tensor::empty(shape, DType::f64);
    tensor::kernels::conv2d(out, x, w, {}, k.options);
    CHECK(worst_relative(values(out), expected, 1) <= 1e-13);
    return out;
  });
}

TEST_CASE("conv2d takes empty batches") {
  Tensor out = Tensor::empty({0, 4, 3, 3}), dw = Tensor::full({4, 2, 3, 3}, 7);
  const Tensor x = Tensor::empty({0, 2, 3, 3}), w = Tensor::zeros({4, 2, 3, 3});
  const Conv2dOptions same{1, 1, 1, 1, 1, 1, 1, 1, 1};
  tensor::kernels::conv2d(out, x, w, {}, same);
  tensor::kernels::conv2d_backward_weight(dw, out, x, same);
  CHECK(values(dw) == std::vector<double>(72, 0.0));
}

TEST_CASE("conv2d says what is wrong with sizes and options") {
  const Tensor x = Tensor::zeros({1, 4, 5, 5}), w = Tensor::zeros({6, 4, 3, 3});
  const auto run = [&](const Tensor& input, const Tensor& weight, const Tensor& bias,
                       const Conv2dOptions& options, Shape shape = {1, 6, 3, 3}) {
    Tensor out = Tensor::empty(shape);
    tensor::kernels::conv2d(out, input, weight, bias, options);
  };
  check_error(ErrorKind::shape, {"conv2d: ", "(1, 3, 5, 5)", "(6, 4, 3, 3)"}, [&] {
    run(Tensor::zeros({1, 3, 5, 5}), w, {}, {});
  });
  check_error(ErrorKind::shape, {"conv2d: ", "3 groups"}, [&] {
    run(x, w, {}, {1, 1, 0, 0, 0, 0, 1, 1, 3});
  });
  check_error(ErrorKind::argument, {"conv2d: stride 0"}, [&] { run(x, w, {}, {0, 1}); });
  check_error(ErrorKind::argument, {"conv2d: padding -1"}, [&] { run(x, w, {}, {1, 1, -1}); });
  check_error(ErrorKind::shape, {"larger than the padded input"}, [&] {
    run(x, Tensor::zeros({6, 4, 7, 7}), {}, {});
  });
  check_error(ErrorKind::shape, {"bias (5)"}, [&] { run(x, w, Tensor::zeros({5}), {}); });
  check_error(ErrorKind::shape, {"output (1, 6, 4, 3)", "(1, 6, 3, 3)"}, [&] {
    run(x, w, {}, {}, {1, 6, 4, 3});
  });
  check_error(ErrorKind::shape, {"conv2d: ", "(n, c, h, w)"}, [&] {
    run(Tensor::zeros({4, 5, 5}), w, {}, {});
  });
  check_error(ErrorKind::shape, {"contiguous"}, [&] { run(x.transpose(2, 3), w, {}, {}); });
  check_error(ErrorKind::dtype, {"conv2d"}, [&] { run(x.to(DType::i64), w, {}, {}); });
}

TEST_CASE("packed convolutions with channels last equal conv2d, residual addition and activation") {
  using tensor::Activation;
  using tensor::Border;
  using tensor::NhwcBatch;
  for (const Case& k : kConv2dCases) {
    const Conv2dOptions& o = k.options;
    const bool depthwise = o.groups == k.x[1] && k.w[0] == k.x[1];
    if (o.groups != 1 && !depthwise) continue;
    CAPTURE(k.name);
    const Tensor x = random(k.x, DType::f32, 1), w = random(k.w, DType::f32, 2);
    const Shape shape = tensor::conv2d_output_shape(k.x, k.w, o, "test");
    const Tensor add = random(shape, DType::f32, 3);
    const auto channels = static_cast<size_t>(k.w[0]);
    std::vector<double> scale, bias;
    for (size_t i = 0; i < channels; ++i)
      scale.push_back(0.5 + 0.01 * static_cast<double>(i)), bias.push_back(0.1 * static_cast<double>(i % 7));
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
      CAPTURE(tensor::name_of(dtype));
      // What the kernel reads: numbers of its type, and weights that are rounded once they are scaled, in f32.
      const auto read = [&](const Tensor& t) { return t.to(DType::f32).to(dtype).to(DType::f64); };
      Tensor scaled = w.to(DType::f64);
      const int64_t each = w.numel() / w.size(0);
      for (int64_t i = 0; i < w.numel(); ++i)
        scaled.mutable_data<double>()[i] *= scale[static_cast<size_t>(i / each)];
      Tensor plain = Tensor::empty(shape, DType::f64);
      tensor::kernels::conv2d(plain, read(x), read(scaled), {}, o);
      const auto sums = values(plain), adds = values(read(add));
      const tensor::PackedConv2d conv(w, scale, bias, o.groups, dtype);
      for (const bool bordered : {false, true}) {
        const Border around =
                         bordered ? Border{o.pad_top, o.pad_bottom, o.pad_left + 1, o.pad_right} : Border{},
                     outer = bordered ? Border{0, 2, 1, 0} : Border{};
        const NhwcBatch in = NhwcBatch::from_nchw(x, around, dtype);
        const NhwcBatch residual = NhwcBatch::from_nchw(add, bordered ? Border{1, 0, 2, 0} : Border{}, dtype);
        for (const bool with_residual : {false, true}) {
          for (const Activation activation : {Activation::none, Activation::relu, Activation::relu6}) {
            std::vector<double> expected;
            for (size_t i = 0; i < sums.size(); ++i) {
              const size_t c = i / static_cast<size_t>(shape[2] * shape[3]) % channels;
              double v = sums[i] + bias[c] + (with_residual ? adds[i] : 0);
              if (activation != Activation::none) v = std::max(v, 0.0);
              if (activation == Activation::relu6) v = std::min(v, 6.0);
              expected.push_back(v);
            }
            // 16 bits: half a unit in the last of 11 or 8 places
            const double bound = dtype == DType::f32 ? 2e-5 : dtype == DType::f16 ? 0x1p-11 : 0x1p-8;
            check_threads([&] {
              NhwcBatch out(shape[0], shape[2], shape[3], shape[1], outer, {}, dtype);
              tensor::kernels::conv2d_nhwc(out, in, conv, o, with_residual ? &residual : nullptr, activation);
              CHECK(worst_relative(values(out.to_nchw().to(DType::f32)), expected, 1) <= bound);
              if (bordered) {
                double border = 0;  // is still zero
                const auto at = [&](int64_t y, int64_t column, int64_t c) {
                  return dtype == DType::f32   ? out.pixel(0, y, column)[c]
                         : dtype == DType::f16 ? static_cast<float>(out.pixel<tensor::f16>(0, y, column)[c])
                                               : static_cast<float>(out.pixel<tensor::bf16>(0, y, column)[c]);
                };
                for (int64_t c = 0; c < shape[1]; ++c)
                  border += std::abs(at(shape[2], 0, c)) + std::abs(at(0, -1, c));
                CHECK(border == 0);
              }
              return out.to_nchw().to(DType::f32);
            });
          }
        }
      }
    }
  }
}

// Pictures with borders go through our own kernels, those without through oneDNN where it is faster; the latter
// in strips of rows, which differ at the edges.
TEST_CASE("large packed convolutions of pictures with and without borders are the same") {
  using tensor::Activation;
  using tensor::Border;
  using tensor::NhwcBatch;
  const Case large[] = {
      {"3x3", {3, 64, 30, 31}, {96, 64, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 1}},
      {"3x3 stride 2", {3, 64, 45, 44}, {160, 64, 3, 3}, {2, 2, 1, 1, 1, 1, 1, 1, 1}},
      {"1x1 stride 2", {3, 256, 28, 29}, {520, 256, 1, 1}, {2, 2, 0, 0, 0, 0, 1, 1, 1}},
      {"7x7 stride 2", {2, 3, 97, 101}, {70, 3, 7, 7}, {2, 2, 3, 3, 3, 3, 1, 1, 1}},
      {"uneven", {2, 40, 33, 20}, {70, 40, 3, 5}, {1, 1, 0, 2, 1, 3, 1, 1, 1}},
      {"depthwise", {3, 200, 23, 21}, {200, 1, 5, 5}, {1, 1, 2, 2, 2, 2, 1, 1, 200}},
      {"depthwise stride 2", {2, 33, 41, 50}, {33, 1, 3, 3}, {2, 2, 0, 1, 0, 1, 1, 1, 33}},
  };
  for (const Case& k : large) {
    CAPTURE(k.name);
    const Conv2dOptions& o = k.options;
    const Shape shape = tensor::conv2d_output_shape(k.x, k.w, o, "test");
    const Tensor x = random(k.x, DType::f32, 1), w = random(k.w, DType::f32, 2),
                 add = random(shape, DType::f32, 3);
    const std::vector<double> scale(static_cast<size_t>(k.w[0]), 0.1), bias(scale.size(), 0.25);
    for (const DType dtype : {DType::f32, DType::bf16}) {
      CAPTURE(tensor::name_of(dtype));
      const tensor::PackedConv2d conv(w, scale, bias, o.groups, dtype);
      const auto run = [&](const Tensor& pictures, const Tensor& more, bool bordered, bool in_place) {
        const Border around = bordered ? Border{o.pad_top, o.pad_bottom, o.pad_left, o.pad_right} : Border{},
                     outer = bordered ? Border{1, 1, 1, 1} : Border{};
        const NhwcBatch in = NhwcBatch::from_nchw(pictures, around, dtype);
        const NhwcBatch residual = NhwcBatch::from_nchw(more, outer, dtype);
        NhwcBatch out = residual;
        if (!in_place) out = NhwcBatch(in.n(), shape[2], shape[3], shape[1], outer, {}, dtype);
        tensor::kernels::conv2d_nhwc(out, in, conv, o, &residual, Activation::relu);
        return out.to_nchw().to(DType::f32);
      };
      const Tensor own = run(x, add, true, false), other = run(x, add, false, false);
      CHECK(worst_relative(values(other), values(own), 1) <= (dtype == DType::f32 ? 2e-5 : 0x1p-7));
      check_threads([&] { return run(x, add, false, false); });
      for (const bool bordered : {false, true}) {
        const Tensor& whole = bordered ? own : other;
        CHECK(tests::same_bits(run(x, add, bordered, true), whole));
        const auto last = [&](const Tensor& t) { return t.slice(0, t.size(0) - 1, t.size(0)); };
        CHECK(tests::same_bits(run(last(x), last(add), bordered, false), last(whole)));
      }
    }
  }
}

TEST_CASE("packed convolutions reject what they cannot do") {
  using namespace tensor;
  const std::vector<double> four(4, 1.0);
  check_error(ErrorKind::argument, {"2 groups"}, [&] {
    PackedConv2d(Tensor::zeros({4, 2, 1, 1}), four, four, 2);
  });
  check_error(ErrorKind::shape, {"(4, 2, 1, 1)"}, [&] {
    PackedConv2d(Tensor::zeros({4, 2, 1, 1}), four, {}, 1);
  });
  const PackedConv2d conv(Tensor::zeros({4, 2, 3, 3}), four, four);
  NhwcBatch out(1, 3, 3, 4);
  const NhwcBatch rounded(1, 3, 3, 2, {}, {}, DType::bf16);
  check_error(ErrorKind::dtype, {"pictures of bf16 and f32"}, [&] {
    kernels::conv2d_nhwc(out, rounded, conv, {1, 1, 1, 1, 1, 1}, nullptr, Activation::none);
  });
  check_error(ErrorKind::dtype, {"weights for pictures of f32, not bf16"}, [&] {
    NhwcBatch out16(1, 3, 3, 4, {}, {}, DType::bf16);
    kernels::conv2d_nhwc(out16, rounded, conv, {1, 1, 1, 1, 1, 1}, nullptr, Activation::none);
  });
  check_error(ErrorKind::dtype, {"f32, f16 or bf16, not f64"},
              [] { NhwcBatch(1, 1, 1, 1, {}, {}, DType::f64); });
  check_error(ErrorKind::shape, {"(1, 4, 1, 1)"},
              [&] { kernels::conv2d_nhwc(out, NhwcBatch(1, 3, 3, 2), conv, {}, nullptr, Activation::none); });
}
