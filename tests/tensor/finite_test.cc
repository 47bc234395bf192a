#include "tensor/finite.h"

#include <doctest/doctest.h>

#include <limits>
#include <vector>

using tensor::copy_finite;
using tensor::count_non_finite;
using tensor::DType;
using tensor::Tensor;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity(),
                 kNan = std::numeric_limits<double>::quiet_NaN();

// The largest finite numbers, the smallest, zeros: all that an exponent's bits could be mistaken for.
Tensor finite(DType dtype) {
  const double largest = dtype == DType::f16 ? 65504 : dtype == DType::f64 ? 1.7e308 : 3.3e38;
  return Tensor::from(std::vector<double>{largest, -largest, 0.0, -0.0, 1, 1e-7, -2}, {7}).to(dtype);
}

}  // namespace

TEST_CASE("NaN and both infinities are counted in every floating type, and nothing else is") {
  for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
    CAPTURE(name_of(dtype));
    CHECK(count_non_finite(finite(dtype)) == 0);
    for (const double bad : {kNan, -kNan, kInfinity, -kInfinity})
      CHECK(count_non_finite(Tensor::from(std::vector<double>{1, bad, 2, bad}, {4}).to(dtype)) == 2);
  }
  CHECK(count_non_finite(Tensor::full({5}, -1, DType::i64)) == 0);
  CHECK(count_non_finite(Tensor::empty({0})) == 0);
}

TEST_CASE("a copy says whether it is finite, at every place and length around a piece") {
  for (const int64_t n : {1, 4095, 4096, 4097, 20'000}) {
    CAPTURE(n);
    const Tensor from = Tensor::arange(n).to(DType::f32);
    Tensor to = Tensor::zeros({n});
    CHECK(copy_finite(to, from));
    CHECK(to.to_vector<float>() == from.to_vector<float>());
    for (const int64_t at : {int64_t{0}, n / 2, n - 1}) {
      Tensor bad = from.clone();
      bad.mutable_data<float>()[at] = std::numeric_limits<float>::infinity();
      CHECK_FALSE(copy_finite(to, bad));
      CHECK(to.to_vector<float>() == bad.to_vector<float>());
    }
  }
  // Converted, strided, whole numbers.
  Tensor to = Tensor::zeros({2, 3});
  const Tensor half = Tensor::from(std::vector<double>{1, 2, 3, 4, 5, kNan}, {2, 3}).to(DType::f16);
  CHECK_FALSE(copy_finite(to, half));
  CHECK(copy_finite(to, Tensor::arange(6).to(DType::f32).reshape({3, 2}).t()));
  CHECK(to.to_vector<float>() == std::vector<float>{0, 2, 4, 1, 3, 5});
  Tensor whole = Tensor::zeros({2}, DType::i64);
  CHECK(copy_finite(whole, Tensor::full({2}, 7, DType::i64)));
  CHECK(whole.to_vector<int64_t>() == std::vector<int64_t>{7, 7});
}
