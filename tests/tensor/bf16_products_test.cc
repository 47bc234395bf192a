// Products of 16-bit operands: by the processor's own instructions where it has them. CTest runs these cases
// a second time with oneDNN held to what older processors have (tests/CMakeLists.txt).
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>

#include "tensor/kernels.h"
#include "tensor/native_types.h"
#include "tensor/packed_matrix.h"
#include "tensor/random.h"
#include "tensor/thread_pool.h"

using namespace tensor;

namespace {

Tensor random(Shape shape, DType dtype, uint64_t seed) {
  Generator generator(seed);
  Tensor out = Tensor::empty(std::move(shape));
  fill_normal(out, 0, 1, generator);
  return out.to(dtype);
}

// The largest error of `out` = start + a b, in units of what sums of f32 may lose, and, of 16-bit results, of
// half their last digit.
double worst(const Tensor& out, const Tensor& start, const Tensor& a, const Tensor& b) {
  Tensor exact = start.to(DType::f64).contiguous().clone();
  kernels::matmul(exact, a.to(DType::f64), b.to(DType::f64), 1, 1);
  const double last_digit = out.dtype() == DType::bf16 ? 0x1p-8 : out.dtype() == DType::f16 ? 0x1p-11 : 0;
  const auto x = out.to(DType::f64).contiguous().to_vector<double>(), y = exact.to_vector<double>();
  const double sums = 4e-7 * static_cast<double>(a.size(-1)) + 1e-6;
  double most = 0;
  for (size_t i = 0; i < x.size(); ++i)
    most = std::max(most, std::abs(x[i] - y[i]) / (sums + last_digit * std::abs(y[i])));
  return most;
}

std::vector<float> values(const Tensor& x) { return x.to(DType::f32).contiguous().to_vector<float>(); }

struct Threads {
  explicit Threads(int n) : before(num_threads()) { set_num_threads(n); }
  ~Threads() { set_num_threads(before); }
  int before;
};

}  // namespace

TEST_CASE("products of 16 bits: what is native is what oneDNN is allowed to use") {
  const char* most = std::getenv("ONEDNN_MAX_CPU_ISA");
  if (most != nullptr && std::string(most) == "AVX2") CHECK_FALSE(has_native_products(DType::bf16));
  CHECK(has_native_products(DType::f32));
  CHECK_FALSE(has_native_products(DType::f16));
  MESSAGE("products of bf16 are " << std::string(has_native_products(DType::bf16) ? "native" : "emulated"));
}

TEST_CASE("products of 16 bits: matmul has exact products, f32 sums and one rounding") {
  for (const DType type : {DType::bf16, DType::f16})
    for (const DType result : {DType::f32, type})
      for (const auto& [m, k, n] : {std::array<int64_t, 3>{128, 300, 200},
                                    {1, 1024, 512},
                                    {67, 257, 129},
                                    {300, 31, 65},
                                    {2, 3, 4},
                                    {512, 1, 700}})
        for (const bool accumulate : {false, true}) {
          CAPTURE(m);
          CAPTURE(accumulate);
          CAPTURE(name_of(result));
          const Tensor a = random({m, k}, type, 1), b = random({k, n}, type, 2);
          const Tensor start = random({m, n}, result, 3);
          Tensor out = start.clone();
          kernels::matmul(out, a, b, 1, accumulate ? 1 : 0);
          const Tensor from = accumulate ? start : Tensor::zeros({m, n}, result);
          CHECK(worst(out, from, a, b) < 1);
          // The layout of an operand changes no bit.
          const auto turned = [](const Tensor& x) { return x.t().contiguous().t(); };
          Tensor again = start.clone();
          kernels::matmul(again, turned(a), turned(b), 1, accumulate ? 1 : 0);
          CHECK(values(again) == values(out));
        }
}

TEST_CASE("products of 16 bits: stacks, strides of zero and every third column") {
  const Tensor a = random({3, 70, 90}, DType::bf16, 1), b = random({1, 90, 150}, DType::bf16, 2);
  Tensor out = Tensor::empty({3, 70, 150}, DType::f32);
  kernels::matmul(out, a, b, 1, 0);
  for (int64_t i = 0; i < 3; ++i)
    CHECK(worst(out.select(0, i), Tensor::zeros({70, 150}), a.select(0, i), b.select(0, 0)) < 1);
  const Tensor every_third = random({450, 90}, DType::bf16, 3).slice(0, 0, 450, 3).t();  // (90, 150)
  Tensor sparse = Tensor::empty({70, 150}, DType::f32);
  kernels::matmul(sparse, a.select(0, 0), every_third, 1, 0);
  CHECK(worst(sparse, Tensor::zeros({70, 150}), a.select(0, 0), every_third) < 1);
  const Tensor one_row = random({1, 90}, DType::bf16, 4).expand({70, 90});
  kernels::matmul(sparse, one_row, every_third, 1, 0);
  CHECK(worst(sparse, Tensor::zeros({70, 150}), one_row, every_third) < 1);
  Tensor scaled = Tensor::empty({70, 150}, DType::f32);
  kernels::matmul(scaled, one_row, every_third, 0.5, 0);
  kernels::affine(scaled, scaled, 2, 0);
  CHECK(worst(scaled, Tensor::zeros({70, 150}), one_row, every_third) < 1);
}

TEST_CASE("products of 16 bits: a packed matrix, and one of f32 for many rows") {
  for (const DType type : {DType::bf16, DType::f16, DType::f32})
    for (const auto& [k, n] : {std::pair<int64_t, int64_t>{1, 1}, {33, 65}, {512, 300}}) {
      const Tensor b = random({k, n}, type, 2), a = random({200, k}, type, 1);
      const PackedMatrix packed(b, PackedFor::many_rows);
      const Tensor start = random({200, n}, DType::f32, 3);
      Tensor all = start.clone();
      packed.multiply(all, a, true);
      CHECK(worst(all, start, a, b) < 1);
      // A row's bits depend neither on the other rows nor on where it stands nor on the threads.
      for (const int64_t rows : {1, 2, 63, 101}) {
        Tensor some = start.slice(0, 7, 7 + rows).clone();
        const Threads threads(rows % 2 == 1 ? 1 : 3);
        packed.multiply(some, a.slice(0, 7, 7 + rows), true);
        CHECK(values(some) == values(all.slice(0, 7, 7 + rows)));
      }
      // Rows of a larger matrix, and results of the operands' own type.
      Tensor wide = Tensor::zeros({200, n + 3}, type), inner = wide.slice(1, 2, 2 + n);
      const Tensor left = random({200, k + 5}, type, 5).slice(1, 1, 1 + k);
      packed.multiply(inner, left, false);
      CHECK(worst(inner, Tensor::zeros({200, n}), left, b) < 1);
      CHECK(values(wide.slice(1, 0, 2)) == std::vector<float>(400, 0.0f));
      CHECK_THROWS_AS(packed.multiply(inner, Tensor::zeros({200, k}, DType::f64), false), Error);
    }
}

TEST_CASE("products of 16 bits: threads change no bit") {
  const Tensor a = random({700, 333}, DType::bf16, 1), b = random({333, 777}, DType::bf16, 2);
  std::vector<float> first;
  for (const int n : {1, 2, 5}) {
    const Threads threads(n);
    Tensor out = Tensor::empty({700, 777}, DType::f32);
    kernels::matmul(out, a, b, 1, 0);
    if (first.empty()) first = values(out);
    CHECK(values(out) == first);
  }
}

TEST_CASE("products of 16 bits: infinities and NaN come through") {
  Tensor a = random({64, 128}, DType::bf16, 1);
  const Tensor b = random({128, 64}, DType::bf16, 2);
  a.mutable_data<bf16>()[5] = bf16(INFINITY);
  a.mutable_data<bf16>()[128 + 9] = bf16(NAN);
  Tensor out = Tensor::empty({64, 64}, DType::f32);
  kernels::matmul(out, a, b, 1, 0);
  CHECK(std::isinf(out.data<float>()[0]));
  CHECK(std::isnan(out.data<float>()[64]));
  CHECK(std::isfinite(out.data<float>()[128]));
}

TEST_CASE("products of 16 bits: keys and values of attention are read as they are") {
  constexpr int64_t images = 3, places = 7, width = 40, features = 50, rows = 5;
  const Tensor image = Tensor::from(std::vector<int64_t>{0, 2, 1, 1, 0}, {rows});
  for (const DType type : {DType::bf16, DType::f16}) {
    const Tensor keys = random({images, places, width}, type, 1),
                 values16 = random({images, places, features}, type, 2);
    const Tensor query = random({rows, width}, DType::f32, 3), v = random({width}, DType::f32, 4);
    const auto run = [&](const Tensor& k, const Tensor& x) {
      Tensor context = Tensor::empty({rows, features}), alpha = Tensor::empty({rows, places});
      kernels::additive_attention({context, alpha, k, x, query, image, v, Tensor()});
      return std::pair(values(context), values(alpha));
    };
    const auto expected = run(keys.to(DType::f32), values16.to(DType::f32));
    CHECK(run(keys, values16) == expected);
    CHECK(run(keys, values16.to(DType::f32)) == expected);
  }
}
