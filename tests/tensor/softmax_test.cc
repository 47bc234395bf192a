#include <algorithm>
#include <limits>

#include "tests/tensor/reference.h"

using namespace tests;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// log softmax of each row of `width`, in double.
std::vector<double> naive_log_softmax(std::vector<double> v, int64_t width) {
  const auto w = static_cast<size_t>(width);
  for (size_t first = 0; first < v.size(); first += w) {
    const double top =
        *std::max_element(v.begin() + static_cast<long>(first), v.begin() + static_cast<long>(first + w));
    long double sum = 0;  // a plain double sum of 4096 terms would be worse than what is tested
    for (size_t k = 0; k < w; ++k) sum += std::exp(v[first + k] - top);
    for (size_t k = 0; k < w; ++k) v[first + k] = static_cast<double>((v[first + k] - top) - std::log(sum));
  }
  return v;
}

std::vector<double> exp_of(std::vector<double> v) {
  for (double& x : v) x = std::exp(x);
  return v;
}

}  // namespace

TEST_CASE("softmax and log_softmax equal plain loops at widths around the blocks") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int64_t width : {1, 2, 15, 16, 17, 49, 255, 256, 257, 1000, 4096}) {
      for (const double size : {1.0, 30.0, 3000.0}) {
        const Tensor x = random({5, width}, dtype, static_cast<uint64_t>(width), -size, size);
        const std::vector<double> want = naive_log_softmax(values(x), width);
        Tensor out = Tensor::empty(x.shape(), dtype);
        tensor::kernels::log_softmax(out, x);
        CHECK_MESSAGE(worst_relative(values(out), want, 1) <= (dtype == DType::f32 ? 2.5e-7 : 1e-14), width,
                      " ", size);
        tensor::kernels::softmax(out, x);
        // x - max is rounded once, and e^ turns that absolute error (of up to 2 size) into a relative one.
        const double ulp = dtype == DType::f32 ? 0x1p-24 : 0x1p-53, floor = 1e-30;
        CHECK_MESSAGE(worst_relative(values(out), exp_of(want), floor) <= (2 * size + 6) * ulp * 1.5, width,
                      " ", size);
        double sum = 0;
        for (const double p : values(out)) sum += p;
        CHECK(sum == doctest::Approx(5).epsilon(1e-6));
      }
    }
  }
}

TEST_CASE("softmax: masked entries, in place, empty, and rows of nothing but -inf") {
  Tensor x = Tensor::from(std::vector<float>{-kInf, 1, -kInf, 1, -kInf, -kInf, -kInf, -kInf}, {2, 4});
  Tensor out = Tensor::empty({2, 4});
  tensor::kernels::log_softmax(out, x);
  CHECK(values(out)[0] == -INFINITY);
  CHECK(values(out)[1] == doctest::Approx(-std::log(2.0)));
  CHECK(std::isnan(values(out)[4]));
  tensor::kernels::softmax(x, x);
  CHECK(values(x)[0] == 0);
  CHECK(values(x)[3] == 0.5);
  CHECK(std::isnan(values(x)[4]));
  Tensor none = Tensor::empty({0, 4});
  tensor::kernels::softmax(none, none);
  // The first block of a long row holds nothing finite.
  Tensor late = Tensor::full({1, 600}, -kInf);
  late.mutable_data<float>()[599] = 3;
  Tensor log_p = Tensor::empty({1, 600});
  tensor::kernels::log_softmax(log_p, late);
  CHECK(values(log_p)[599] == 0);
  CHECK(values(log_p)[0] == -INFINITY);
  Tensor matrix = Tensor::zeros({3, 4}), wrong = Tensor::zeros({4, 3});
  check_error(ErrorKind::shape, {"softmax", "(3, 4)", "(4, 3)"},
              [&] { tensor::kernels::softmax(wrong, matrix); });
  check_error(ErrorKind::argument, {"log_softmax", "contiguous"},
              [&] { tensor::kernels::log_softmax(wrong, matrix.t()); });
}

TEST_CASE("softmax does not depend on the number of threads") {
  const Tensor x = random({200, 333}, DType::f32, 71);
  check_threads([&] {
    Tensor out = Tensor::empty(x.shape());
    tensor::kernels::softmax(out, x);
    return out;
  });
}

TEST_CASE("cross_entropy and its gradient equal the formula") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int64_t v : {1, 2, 17, 256, 1000}) {
      for (const double s : {0.0, 0.1, 1.0}) {
        const int64_t n = 6, ignored = 3;
        const Tensor x = random({n, v}, dtype, 81, -8, 8), g = random({n}, dtype, 82);
        Tensor targets = Tensor::empty({n}, DType::i64);
        for (int64_t i = 0; i < n; ++i)
          targets.mutable_data<int64_t>()[i] = i == ignored ? -100 : (i * 37 + 1) % v;
        const std::vector<double> log_p = naive_log_softmax(values(x), v), gradient = values(g);
        std::vector<double> losses(6), d(log_p.size());
        for (int64_t i = 0; i < n; ++i) {
          if (i == ignored) continue;
          const int64_t target = targets.data<int64_t>()[i];
          double mean = 0;
          for (int64_t k = 0; k < v; ++k)
            mean -= log_p[static_cast<size_t>(i * v + k)] / static_cast<double>(v);
          losses[static_cast<size_t>(i)] = -(1 - s) * log_p[static_cast<size_t>(i * v + target)] + s * mean;
          for (int64_t k = 0; k < v; ++k)
            d[static_cast<size_t>(i * v + k)] =
                gradient[static_cast<size_t>(i)] * (std::exp(log_p[static_cast<size_t>(i * v + k)]) -
                                                    (k == target ? 1 - s : 0) - s / static_cast<double>(v));
        }
        Tensor out = Tensor::empty({n}, dtype), dx = Tensor::empty({n, v}, dtype);
        tensor::kernels::cross_entropy(out, x, targets, {}, {-100, s});
        CHECK(worst_relative(values(out), losses, 1) <= (dtype == DType::f32 ? 3e-7 : 1e-14));
        tensor::kernels::cross_entropy_backward(dx, x, targets, {}, g, {-100, s});
        CHECK(worst_relative(values(dx), d, 1) <= (dtype == DType::f32 ? 3e-7 : 1e-14));
        Tensor in_place = x.clone();
        tensor::kernels::cross_entropy_backward(in_place, in_place, targets, {}, g, {-100, s});
        CHECK(same_bits(in_place, dx));
      }
    }
  }
}

TEST_CASE("cross_entropy: large logits, strided targets, threads, bad targets") {
  // logits 1e4 apart: the loss is exactly 1e4, no overflow, no NaN.
  const Tensor far = Tensor::from(std::vector<float>{1e4f, 0, 0, 1e4f}, {2, 2});
  Tensor loss = Tensor::empty({2});
  tensor::kernels::cross_entropy(loss, far, Tensor::from(std::vector<int64_t>{1, 1}, {2}), {}, {-100, 0});
  CHECK(values(loss) == std::vector<double>{1e4, 0});

  const Tensor x = random({100, 300}, DType::f32, 91), g = random({100}, DType::f32, 92);
  const Tensor column = Tensor::arange(200).view({100, 2}).select(1, 0);  // strided: 0, 2, 4, ...
  check_threads([&] {
    Tensor dx = Tensor::empty({100, 300});
    tensor::kernels::cross_entropy_backward(dx, x, column, {}, g, {-100, 0.1});
    return dx;
  });
  Tensor losses = Tensor::empty({100});
  tensor::kernels::cross_entropy(losses, x, column, {}, {-100, 0});
  CHECK(values(losses)[7] == doctest::Approx(-naive_log_softmax(values(x), 300)[7 * 300 + 14]));

  check_error(ErrorKind::index, {"cross_entropy", "300", "row 99"}, [&] {
    Tensor targets = Tensor::zeros({100}, DType::i64);
    targets.mutable_data<int64_t>()[99] = 300;
    tensor::kernels::cross_entropy(losses, x, targets, {}, {-100, 0});
  });
  check_error(ErrorKind::shape, {"cross_entropy", "(100, 300)", "(99)"}, [&] {
    tensor::kernels::cross_entropy(losses, x, Tensor::arange(99), {}, {-100, 0});
  });
  check_error(ErrorKind::dtype, {"cross_entropy", "f32"}, [&] {
    tensor::kernels::cross_entropy(losses, x, g, {}, {-100, 0});
  });
}
