// Pooling and batch norm against plain loops in double.
#include <limits>

#include "tensor/nhwc.h"
#include "tensor/window.h"
#include "tests/tensor/reference.h"

using namespace tests;
using tensor::Pool2dOptions;

TEST_CASE("max_pool2d finds the first maximum of each window and sends the gradient there") {
  const Pool2dOptions table[] = {{3, 3, 2, 2, 1, 1, 1, 1, false}, {2, 3, 2, 1, 0, 1, 1, 1, true},
                                 {3, 2, 1, 3, 1, 0, 2, 1, true},  {1, 1, 1, 1, 0, 0, 1, 1, false},
                                 {3, 3, 3, 3, 1, 1, 1, 1, true},  {7, 7, 7, 7, 0, 0, 1, 1, false}};
  for (const Pool2dOptions& p : table) {
    CAPTURE(p.kernel_h);
    CAPTURE(p.stride_w);
    for (const DType dtype : {DType::f32, DType::f64}) {
      Tensor x = random({2, 20, 9, 8}, dtype, 1);
      tensor::kernels::affine(x, x, 4, 0);
      x = x.to(DType::i64).to(dtype);  // many equal values
      const Shape shape = tensor::pool2d_output_shape(x.shape(), p, "test");
      const Tensor dout = random(shape, dtype, 2);
      const auto xs = values(x), ds = values(dout);
      std::vector<double> expected, places, dx(xs.size(), 0);
      for (int64_t plane = 0; plane < 40; ++plane)
        for (int64_t y = 0; y < shape[2]; ++y)
          for (int64_t q = 0; q < shape[3]; ++q) {
            double best = -INFINITY;
            int64_t place = -1;
            for (int64_t i = 0; i < 9; ++i)
              for (int64_t j = 0; j < 8; ++j) {
                const int64_t dy = i - (y * p.stride_h - p.pad_h), dq = j - (q * p.stride_w - p.pad_w);
                if (dy < 0 || dq < 0 || dy % p.dilation_h != 0 || dq % p.dilation_w != 0) continue;
                if (dy / p.dilation_h >= p.kernel_h || dq / p.dilation_w >= p.kernel_w) continue;
                const double v = xs[static_cast<size_t>((plane * 9 + i) * 8 + j)];
                if (v > best) best = v, place = i * 8 + j;
              }
            REQUIRE(place >= 0);
            dx[static_cast<size_t>(plane * 72 + place)] += ds[expected.size()];
            expected.push_back(best), places.push_back(static_cast<double>(place));
          }
      check_threads([&] {
        Tensor out = Tensor::empty(shape, dtype), indices = Tensor::empty(shape, DType::i64);
        tensor::kernels::max_pool2d(out, indices, x, p);
        CHECK(values(out) == expected);
        CHECK(values(indices) == places);
        Tensor g = Tensor::full(x.shape(), NAN, dtype);
        tensor::kernels::max_pool2d_backward(g, dout, indices);
        CHECK(worst_relative(values(g), dx, 1) <= (dtype == DType::f32 ? 1e-6 : 1e-15));
        return g;
      });
      if (dtype == DType::f32) {
        using tensor::NhwcBatch;
        NhwcBatch out(shape[0], shape[2], shape[3], shape[1], {1, 0, 0, 1});
        tensor::kernels::max_pool2d_nhwc(out, NhwcBatch::from_nchw(x, {0, 1, 2, 0}), p);
        CHECK(values(out.to_nchw()) == expected);
      }
    }
  }
}

TEST_CASE("max_pool2d keeps NaN and -inf and rejects impossible windows") {
  Tensor x = Tensor::full({1, 1, 2, 4}, -INFINITY);
  x.mutable_data<float>()[5] = NAN;
  Tensor out = Tensor::empty({1, 1, 1, 2}), indices = Tensor::empty({1, 1, 1, 2}, DType::i64);
  tensor::kernels::max_pool2d(out, indices, x, {});
  CHECK(std::isnan(values(out)[0]));
  CHECK(values(out)[1] == -INFINITY);
  CHECK(values(indices) == std::vector<double>{5, 2});
  const auto run = [&](const Pool2dOptions& p) { tensor::pool2d_output_shape(x.shape(), p, "max_pool2d"); };
  check_error(ErrorKind::shape, {"max_pool2d: ", "(1, 1, 2, 4)"}, [&] { run({3, 3, 1, 1}); });
  check_error(ErrorKind::argument, {"more than half"}, [&] { run({2, 2, 1, 1, 2, 0}); });
  check_error(ErrorKind::argument, {"kernel 0"}, [&] { run({0, 1, 1, 1}); });
  check_error(ErrorKind::shape, {"output (1, 1, 1, 2)"}, [&] {
    tensor::kernels::max_pool2d(out, indices, x, {1, 1, 1, 1});
  });
}

TEST_CASE("adaptive_avg_pool2d averages cells that cover the picture") {
  for (const Shape& size : {Shape{1, 1}, Shape{3, 2}, Shape{7, 5}, Shape{9, 11}}) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Tensor x = random({2, 3, 7, 5}, dtype, 1), dout = random({2, 3, size[0], size[1]}, dtype, 2);
      const auto xs = values(x), ds = values(dout);
      std::vector<double> expected, dx(xs.size(), 0);
      for (size_t plane = 0; plane < 6; ++plane)
        for (int64_t y = 0; y < size[0]; ++y)
          for (int64_t q = 0; q < size[1]; ++q) {
            const auto low = [](int64_t i, int64_t in, int64_t out) {
              return static_cast<size_t>(std::floor(static_cast<double>(i * in) / static_cast<double>(out)));
            };
            const auto high = [](int64_t i, int64_t in, int64_t out) {
              return static_cast<size_t>(
                  std::ceil(static_cast<double>((i + 1) * in) / static_cast<double>(out)));
            };
            const size_t y0 = low(y, 7, size[0]), y1 = high(y, 7, size[0]), x0 = low(q, 5, size[1]),
                         x1 = high(q, 5, size[1]);
            const auto count = static_cast<double>((y1 - y0) * (x1 - x0));
            double sum = 0;
            for (size_t i = y0; i < y1; ++i)
              for (size_t j = x0; j < x1; ++j) {
                sum += xs[(plane * 7 + i) * 5 + j];
                dx[(plane * 7 + i) * 5 + j] += ds[expected.size()] / count;
              }
            expected.push_back(sum / count);
          }
      const double tolerance = dtype == DType::f32 ? 1e-6 : 1e-14;
      check_threads([&] {
        Tensor out = Tensor::empty(dout.shape(), dtype), g = Tensor::full(x.shape(), NAN, dtype);
        tensor::kernels::adaptive_avg_pool2d(out, x);
        tensor::kernels::adaptive_avg_pool2d_backward(g, dout);
        CHECK(worst_relative(values(out), expected, 1) <= tolerance);
        CHECK(worst_relative(values(g), dx, 1) <= tolerance);
        return out;
      });
    }
  }
  check_error(ErrorKind::shape, {"adaptive_avg_pool2d: ", "(1, 2, 0, 3)"}, [] {
    Tensor out = Tensor::empty({1, 2, 1, 1});
    tensor::kernels::adaptive_avg_pool2d(out, Tensor::empty({1, 2, 0, 3}));
  });
}

TEST_CASE("batch norm kernels equal the definition for any rank, also with a large mean") {
  for (const Shape& shape : {Shape{4, 3, 5, 7}, Shape{50, 3}, Shape{1, 2, 40}, Shape{3, 1, 1, 1}}) {
    CAPTURE(to_string(shape));
    for (const DType dtype : {DType::f32, DType::f64}) {
      const double tolerance = dtype == DType::f32 ? 2e-4 : 1e-9;
      const Tensor x = random(shape, dtype, 1, 99, 103), dout = random(shape, dtype, 2);
      const int64_t channels = shape[1];
      const Tensor weight = random({channels}, dtype, 3), bias = random({channels}, dtype, 4);
      const auto xs = values(x), ds = values(dout), ws = values(weight), bs = values(bias);
      int64_t inner = 1;
      for (int d = 2; d < shape.rank(); ++d) inner *= shape[d];
      const auto channel = [&](size_t i) {
        return i / static_cast<size_t>(inner) % static_cast<size_t>(channels);
      };
      const auto c = static_cast<size_t>(channels);
      const double count = static_cast<double>(xs.size()) / static_cast<double>(c);
      std::vector<double> mean(c, 0), variance(c, 0), db(c, 0), dw(c, 0), out, dx;
      for (size_t i = 0; i < xs.size(); ++i) mean[channel(i)] += xs[i] / count;
      for (size_t i = 0; i < xs.size(); ++i)
        variance[channel(i)] += (xs[i] - mean[channel(i)]) * (xs[i] - mean[channel(i)]) / count;
      const auto hat = [&](size_t i) {
        return (xs[i] - mean[channel(i)]) / std::sqrt(variance[channel(i)] + 1e-5);
      };
      for (size_t i = 0; i < xs.size(); ++i) {
        out.push_back(hat(i) * ws[channel(i)] + bs[channel(i)]);
        db[channel(i)] += ds[i];
        dw[channel(i)] += ds[i] * hat(i);
      }
      for (size_t i = 0; i < xs.size(); ++i)
        dx.push_back(ws[channel(i)] / std::sqrt(variance[channel(i)] + 1e-5) *
                     (ds[i] - (db[channel(i)] + hat(i) * dw[channel(i)]) / count));
      check_threads([&] {
        Tensor m = Tensor::empty({channels}, dtype), v = Tensor::empty({channels}, dtype);
        tensor::kernels::batch_norm_statistics(m, v, x);
        CHECK(worst_relative(values(m), mean) <= (dtype == DType::f32 ? 1e-6 : 1e-14));
        CHECK(worst_relative(values(v), variance, 1e-5) <= (dtype == DType::f32 ? 1e-5 : 1e-11));
        std::vector<double> r;
        for (const double value : values(v)) r.push_back(1 / std::sqrt(value + 1e-5));
        const Tensor rstd = Tensor::from(r, {channels}).to(dtype);
        Tensor y = Tensor::empty(shape, dtype), g = Tensor::empty(shape, dtype),
               gw = Tensor::empty({channels}, dtype), gb = Tensor::empty({channels}, dtype);
        tensor::kernels::batch_norm_apply(y, x, m, rstd, weight, bias);
        CHECK(worst_relative(values(y), out, 1) <= tolerance);
        tensor::kernels::batch_norm_backward({g, gw, gb, dout, x, m, rstd, weight, true});
        CHECK(worst_relative(values(gb), db, 1) <= tolerance);
        CHECK(worst_relative(values(gw), dw, 1) <= tolerance);
        CHECK(worst_relative(values(g), dx, 1) <= tolerance);
        return g;
      });
    }
  }
}

TEST_CASE("batch norm keeps a NaN and names wrong shapes") {
  Tensor m = Tensor::empty({2}), v = Tensor::empty({2});
  Tensor x = Tensor::zeros({3, 2});
  x.mutable_data<float>()[2] = NAN;
  tensor::kernels::batch_norm_statistics(m, v, x);
  CHECK(std::isnan(values(m)[0]));
  CHECK(std::isnan(values(v)[0]));
  CHECK(values(v)[1] == 0);
  check_error(ErrorKind::shape, {"batch_norm_statistics: mean (2) must be (3)"}, [&] {
    tensor::kernels::batch_norm_statistics(m, v, Tensor::zeros({2, 3}));
  });
  check_error(ErrorKind::shape, {"(n, c, ...)"},
              [&] { tensor::kernels::batch_norm_statistics(m, v, Tensor::zeros({2})); });
}
