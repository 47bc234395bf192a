#include "tensor/packed_matrix.h"

#include <doctest/doctest.h>

#include "tensor/error.h"
#include "tensor/kernels.h"
#include "tensor/random.h"
#include "tensor/thread_pool.h"

using namespace tensor;

namespace {

Tensor random(Shape shape, DType dtype, uint64_t seed) {
  Generator generator(seed);
  Tensor out = Tensor::empty(std::move(shape), dtype);
  fill_normal(out, 0, 1, generator);
  return out;
}

// The largest difference to the product in float64.
double worst(const Tensor& out, const Tensor& before, const Tensor& a, const Tensor& b, bool accumulate) {
  Tensor expected = before.to(DType::f64).contiguous().clone();
  kernels::matmul(expected, a.to(DType::f64), b.to(DType::f64), 1, accumulate ? 1 : 0);
  const auto x = out.to(DType::f64).contiguous().to_vector<double>(), y = expected.to_vector<double>();
  double most = 0;
  for (size_t i = 0; i < x.size(); ++i) most = std::max(most, std::abs(x[i] - y[i]));
  return most;
}

}  // namespace

TEST_CASE("a product with a packed matrix equals matmul") {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const int64_t m : {1, 5, 12, 13, 128})
      for (const auto& [k, n] :
           {std::pair<int64_t, int64_t>{1, 1}, {7, 33}, {256, 64}, {300, 100}, {513, 31}})
        for (const bool accumulate : {false, true}) {
          CAPTURE(m);
          CAPTURE(k);
          CAPTURE(n);
          CAPTURE(accumulate);
          CAPTURE(static_cast<int>(dtype));
          const Tensor a = random({m, k}, dtype, 1), b = random({k, n}, dtype, 2),
                       start = random({m, n}, dtype, 3);
          Tensor out = start.clone();
          PackedMatrix(b).multiply(out, a, accumulate);
          CHECK(worst(out, start, a, b, accumulate) < (dtype == DType::f32 ? 1e-4 : 1e-12));
          if (dtype == DType::f64) continue;
          // A transposed operand is packed to the same bits.
          Tensor again = start.clone();
          PackedMatrix(b.t().contiguous().t()).multiply(again, a, accumulate);
          CHECK(again.to_vector<float>() == out.to_vector<float>());
        }
}

TEST_CASE("products of 16 bits with packed matrices, for few rows and many, into their type and f32") {
  for (const DType dtype : {DType::f16, DType::bf16})
    for (const PackedFor use : {PackedFor::few_rows, PackedFor::many_rows})
      for (const int64_t m : {1, 70})
        for (const DType result : {dtype, DType::f32})
          for (const bool accumulate : {false, true}) {
            CAPTURE(m);
            CAPTURE(name_of(dtype));
            CAPTURE(name_of(result));
            CAPTURE(accumulate);
            const Tensor a = random({m, 65}, DType::f32, 1).to(dtype),
                         b = random({65, 33}, DType::f32, 2).to(dtype),
                         start = random({m, 33}, DType::f32, 3).to(result);
            Tensor out = start.clone();
            PackedMatrix(b, use).multiply(out, a, accumulate);
            // Sums of 65 products of about 1, rounded to 24, 11 or 8 places.
            const double bound = result == DType::f32 ? 1e-4 : result == DType::f16 ? 0.03 : 0.25;
            CHECK(worst(out, start, a, b, accumulate) < bound);
          }
}

TEST_CASE("packed matrix: views of rows, every third column, threads") {
  const Tensor a = random({20, 90}, DType::f32, 4), b = random({90, 96}, DType::f32, 5);
  const Tensor every_third = b.t().slice(0, 0, 96, 3).t();  // (90, 32), no unit stride
  Tensor wide = Tensor::zeros({20, 50});
  Tensor out = wide.slice(1, 9, 41);
  PackedMatrix(every_third).multiply(out, a, false);
  CHECK(worst(out, out, a, every_third, false) < 1e-4);
  CHECK(wide.slice(1, 0, 9).contiguous().to_vector<float>() == std::vector<float>(180, 0));
  CHECK(wide.slice(1, 41, 50).contiguous().to_vector<float>() == std::vector<float>(180, 0));
  Tensor transposed = Tensor::zeros({20, 32});
  PackedMatrix(every_third).multiply(transposed, a.t().contiguous().t(), false);  // falls back
  CHECK(worst(transposed, transposed, a, every_third, false) < 1e-4);

  const int threads = num_threads();
  const Tensor x = random({64, 700}, DType::f32, 6), w = random({700, 1000}, DType::f32, 7);
  std::vector<float> first;
  for (const int n : {1, 2, 4}) {
    set_num_threads(n);
    Tensor y = Tensor::empty({64, 1000});
    PackedMatrix(w).multiply(y, x, false);
    if (first.empty()) first = y.to_vector<float>();
    CHECK(y.to_vector<float>() == first);
  }
  set_num_threads(threads);
}

TEST_CASE("packed matrix: errors and empty operands") {
  const PackedMatrix packed(random({4, 5}, DType::f32, 8));
  Tensor out = Tensor::zeros({2, 5}), wrong = Tensor::zeros({2, 4});
  CHECK_THROWS_WITH_AS(packed.multiply(out, Tensor::zeros({2, 3}), false),
                       doctest::Contains("(2, 3) x (4, 5)"), Error);
  CHECK_THROWS_AS(packed.multiply(wrong, Tensor::zeros({2, 4}), false), Error);
  CHECK_THROWS_AS(PackedMatrix(Tensor::zeros({4})), Error);
  CHECK_THROWS_AS(PackedMatrix().multiply(out, out, false), Error);
  Tensor none = Tensor::zeros({0, 5});
  packed.multiply(none, Tensor::zeros({0, 4}), false);
  out.fill_(1);
  PackedMatrix(Tensor::zeros({0, 5})).multiply(out, Tensor::zeros({2, 0}), false);
  CHECK(out.to_vector<float>() == std::vector<float>(10, 0));
}
