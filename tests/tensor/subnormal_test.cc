// Subnormal numbers: kernels flush them in arithmetic (thread_pool.h), but copies and conversions keep them,
// and log and pow do not make nonsense of them.
#include <bit>
#include <limits>

#include "tests/tensor/reference.h"

using namespace tests;

namespace {

// Bits by way of memory: conversions are under test.
template <class T>
std::vector<T> every_kind_of_small() {
  const T least = std::numeric_limits<T>::denorm_min(), normal = std::numeric_limits<T>::min();
  std::vector<T> v = {0,          -T(0),       least,   -least,
                      3 * least,  normal,      -normal, normal - least,
                      normal / 2, -normal / 3, 1,       std::numeric_limits<T>::infinity()};
  // Whole blocks with one such number and with none, and a rest.
  while (v.size() < 331) v.push_back(v.size() % 70 == 0 ? normal / 7 : static_cast<T>(v.size()));
  return v;
}

}  // namespace

TEST_CASE("subnormals: f32 to f64 and to bool are exact in every layout") {
  const std::vector<float> v = every_kind_of_small<float>();
  const auto n = static_cast<int64_t>(v.size());
  const Tensor x = Tensor::from(v, {n}), wide = x.to(DType::f64), flags = x.to(DType::boolean);
  const Tensor sparse = x.slice(0, 0, n, 3).to(DType::f64), copied = x.slice(0, 0, n, 3).contiguous();
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    CHECK(std::bit_cast<uint64_t>(wide.data<double>()[i]) ==
          std::bit_cast<uint64_t>(static_cast<double>(v[at])));
    CHECK(flags.data<bool>()[i] == (v[at] != 0));
    if (i % 3 != 0) continue;
    CHECK(sparse.data<double>()[i / 3] == static_cast<double>(v[at]));
    CHECK(std::bit_cast<uint32_t>(copied.data<float>()[i / 3]) == std::bit_cast<uint32_t>(v[at]));
  }
  CHECK(Tensor::full({1}, 1e-40).to(DType::f64).item() == static_cast<double>(1e-40f));
}

TEST_CASE("subnormals: f64 to f32 rounds to nearest even, below the least normal number, too") {
  std::vector<double> v = {0x1p-126,
                           0x1.fffffep-127,
                           0x1.ffffffp-127,
                           0x1.fffffefffffffp-127,
                           0x1p-149,
                           0x1p-150,
                           0x1.0000000000001p-150,
                           0x1.8p-149,
                           0x1.8p-148,
                           0x1p-151,
                           1e-310,
                           5e-324,
                           0,
                           1e-40,
                           1.5};
  const size_t chosen = v.size();
  uint64_t state = 1;
  while (v.size() < 5000) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const int exponent = -152 + static_cast<int>(state >> 59);  // 2^-152 to 2^-121
    v.push_back(std::ldexp(1 + static_cast<double>(state & 0xfffffffffffff) * 0x1p-52, exponent));
  }
  for (size_t i = 0; i < chosen; ++i) v.push_back(-v[i]);
  const auto n = static_cast<int64_t>(v.size());
  const Tensor x = Tensor::from(v, {n}), narrow = x.to(DType::f32),
               sparse = x.slice(0, 0, n, 7).to(DType::f32);
  for (int64_t i = 0; i < n; ++i) {
    const auto expected = std::bit_cast<uint32_t>(static_cast<float>(v[static_cast<size_t>(i)]));
    CHECK(std::bit_cast<uint32_t>(narrow.data<float>()[i]) == expected);
    if (i % 7 == 0) CHECK(std::bit_cast<uint32_t>(sparse.data<float>()[i / 7]) == expected);
  }
}

TEST_CASE("subnormals: 16-bit floats, both ways") {
  const std::vector<double> v = {0x1p-24, -0x1.8p-23, 0x1.ff8p-15, 0x1p-133, -0x1.8p-130, 0x1.fcp-127};
  for (const DType half : {DType::f16, DType::bf16})
    for (const DType wide : {DType::f32, DType::f64})
      for (const double value : v) {
        if (half == DType::f16 && std::abs(value) < 0x1p-24) continue;  // less than its least number
        if (half == DType::bf16 && std::abs(value) > 0x1p-100) continue;
        const Tensor x = Tensor::full({100}, value, wide).to(half), back = x.to(wide);
        CHECK(back.select(0, 5).item() == value);
        CHECK(back.select(0, 99).item() == value);
        CHECK(x.to(DType::boolean).select(0, 5).item() == 1);
      }
}

TEST_CASE("subnormals: log is right, pow takes them for 0") {
  for (const double value : {1e-310, 5e-324, 2.2250738585072014e-308, 2e-308}) {
    Tensor x = Tensor::full({50}, value, DType::f64), y = Tensor::empty({50}, DType::f64);
    tensor::kernels::unary(y, x, tensor::UnaryOp::log);
    CHECK(values(y)[49] == doctest::Approx(std::log(value)).epsilon(1e-15));
    x.fill_(-value);
    tensor::kernels::unary(y, x, tensor::UnaryOp::log);
    CHECK(std::isnan(values(y)[0]));
  }
  for (const double value : {1e-40, 1.4e-45, 1.17549435e-38, 1.1e-38}) {
    Tensor x = Tensor::full({50}, value), y = Tensor::empty({50});
    tensor::kernels::unary(y, x, tensor::UnaryOp::log);
    CHECK(values(y)[49] ==
          doctest::Approx(std::log(static_cast<double>(static_cast<float>(value)))).epsilon(1e-7));
  }
  Tensor y = Tensor::empty({2}, DType::f64);
  const auto power = [&](double base, double exponent) {
    tensor::kernels::binary(y, Tensor::full({2}, base, DType::f64), Tensor::full({2}, exponent, DType::f64),
                            tensor::BinaryOp::pow);
    return values(y)[1];
  };
  CHECK(power(1e-310, 0.5) == 0);
  CHECK(power(1e-310, -0.5) == INFINITY);
  CHECK(power(1e-310, 0) == 1);
  CHECK(power(2, 1e-310) == 1);
}
