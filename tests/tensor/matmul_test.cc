// Matrix products against plain loops in double, over sizes around the tiles' edges and over every layout.
#include <array>

#include "tests/tensor/reference.h"

using namespace tests;

namespace {

std::vector<double> product(const Tensor& a, const Tensor& b) {
  const auto x = values(a), y = values(b);
  const int64_t m = a.size(-2), k = a.size(-1), n = b.size(-1);
  std::vector<double> out(static_cast<size_t>(m * n), 0.0);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t l = 0; l < k; ++l)
        out[static_cast<size_t>(i * n + j)] +=
            x[static_cast<size_t>(i * k + l)] * y[static_cast<size_t>(l * n + j)];
  return out;
}

void expect_near(const Tensor& out, const std::vector<double>& expected, double bar) {
  const auto found = values(out);
  REQUIRE(found.size() == expected.size());
  double worst = 0;
  for (size_t i = 0; i < found.size(); ++i) worst = std::max(worst, std::fabs(found[i] - expected[i]));
  CHECK(worst <= bar);
}

}  // namespace

TEST_CASE("matmul: sizes around the tiles' edges, transposed and not") {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const std::array<int64_t, 3>& sizes : std::vector<std::array<int64_t, 3>>{{1, 1, 1},
                                                                                   {1, 7, 5},
                                                                                   {5, 7, 1},
                                                                                   {3, 0, 4},
                                                                                   {17, 33, 9},
                                                                                   {130, 65, 257},
                                                                                   {255, 31, 256},
                                                                                   {257, 40, 33}})
      for (const bool ta : {false, true})
        for (const bool tb : {false, true}) {
          const int64_t m = sizes[0], k = sizes[1], n = sizes[2];
          CAPTURE(m);
          CAPTURE(k);
          CAPTURE(n);
          CAPTURE(ta);
          CAPTURE(tb);
          const Tensor a = ta ? random({k, m}, dtype, 1).t() : random({m, k}, dtype, 1);
          const Tensor b = tb ? random({n, k}, dtype, 2).t() : random({k, n}, dtype, 2);
          Tensor out = random({m, n}, dtype, 3);
          std::vector<double> expected = product(a, b);
          const auto before = values(out);
          for (size_t i = 0; i < expected.size(); ++i) expected[i] = 1.5 * expected[i] - 0.5 * before[i];
          tensor::kernels::matmul(out, a, b, 1.5, -0.5);
          // sums of k products of numbers below 2
          expect_near(out, expected,
                      static_cast<double>(k + 1) * 8 * (dtype == DType::f32 ? 1.2e-7 : 2.3e-16));
        }
}

TEST_CASE("matmul: sliced and expanded operands, rows with a gap, NaN in what beta 0 overwrites") {
  const Tensor a = random({12, 20}, DType::f64, 1).slice(0, 1, 11, 3).slice(1, 2, 18, 2);
  const Tensor b = random({1, 6}, DType::f64, 2).expand({8, 6});
  Tensor wide = Tensor::full({4, 9}, std::nan(""), DType::f64);
  Tensor out = wide.slice(1, 2, 8);
  tensor::kernels::matmul(out, a, b, 1, 0);
  expect_near(out, product(a, b), 1e-12);
  CHECK(std::isnan(wide.select(1, 1).select(0, 3).item()));
  CHECK(std::isnan(wide.select(1, 8).select(0, 0).item()));
}

TEST_CASE("matmul: batches, one operand shared") {
  for (const int64_t batches : {2, 9}) {
    const Tensor a = random({batches, 5, 6}, DType::f64, 1), b = random({1, 6, 7}, DType::f64, 2);
    Tensor out = Tensor::empty({batches, 5, 7}, DType::f64);
    tensor::kernels::matmul(out, a, b, 1, 0);
    for (int64_t i = 0; i < batches; ++i)
      expect_near(out.select(0, i), product(a.select(0, i), b.select(0, 0)), 1e-12);
  }
}

TEST_CASE("matmul: the number of threads does not change a bit") {
  const Tensor a = random({300, 200}, DType::f32, 1), b = random({200, 520}, DType::f32, 2);
  std::vector<float> first;
  const int before = tensor::num_threads();
  for (const int threads : {1, 2, 4}) {
    tensor::set_num_threads(threads);
    Tensor out = Tensor::empty({300, 520});
    tensor::kernels::matmul(out, a, b, 1, 0);
    if (first.empty()) first = out.to_vector<float>();
    CHECK(out.to_vector<float>() == first);
  }
  tensor::set_num_threads(before);
}

TEST_CASE("matmul: what does not fit is named with its shapes") {
  Tensor out = Tensor::empty({2, 5});
  CHECK_THROWS_WITH_AS(tensor::kernels::matmul(out, Tensor::zeros({2, 3}), Tensor::zeros({4, 5}), 1, 0),
                       "matmul: inner sizes differ: (2, 3) x (4, 5)", tensor::Error);
  CHECK_THROWS_AS(
      tensor::kernels::matmul(out, Tensor::zeros({2, 3}), Tensor::zeros({3, 5}, DType::f64), 1, 0),
      tensor::Error);
  CHECK_THROWS_WITH_AS(tensor::kernels::matmul(out, out.slice(1, 0, 3), Tensor::zeros({3, 5}), 1, 0),
                       doctest::Contains("overlaps"), tensor::Error);
}
