#include "tensor/cpu/vector_math.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace tensor::cpu;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// The worst relative error over floats of all exponents and signs, where the exact result is a normal float.
template <class F, class Exact>
double worst_error(F f, Exact exact) {
  double worst = 0;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 1009) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (std::isnan(x) || std::abs(x) < std::numeric_limits<float>::min()) continue;
    const double want = exact(static_cast<double>(x));
    const double size = std::abs(want);
    if (size < 0x1p-126 || size > static_cast<double>(std::numeric_limits<float>::max())) continue;
    worst = std::max(worst, std::abs(static_cast<double>(f(x)) - want) / size);
  }
  return worst;
}

}  // namespace

TEST_CASE("fast_exp, fast_tanh and fast_sigmoid are within 3e-7 of the exact value everywhere") {
  const double exp_error =
      worst_error([](float x) { return fast_exp(x); }, [](double x) { return std::exp(x); });
  const double tanh_error =
      worst_error([](float x) { return fast_tanh(x); }, [](double x) { return std::tanh(x); });
  const double sigmoid_error =
      worst_error([](float x) { return fast_sigmoid(x); }, [](double x) { return 1 / (1 + std::exp(-x)); });
  MESSAGE("worst relative errors: exp ", exp_error, ", tanh ", tanh_error, ", sigmoid ", sigmoid_error);
  CHECK(exp_error < 1.5e-7);
  CHECK(tanh_error < 3e-7);
  CHECK(sigmoid_error < 3e-7);
  CHECK(exp_error > 0);  // the loop has looked at something
}

TEST_CASE("the functions' limits") {
  CHECK(fast_exp(0.0f) == 1.0f);
  CHECK(fast_exp(-0.0f) == 1.0f);
  CHECK(fast_exp(kInf) == kInf);
  CHECK(fast_exp(-kInf) == 0.0f);
  CHECK(fast_exp(1e30f) == kInf);
  CHECK(fast_exp(-1e30f) == 0.0f);
  CHECK(fast_exp(88.72283f) < kInf);
  CHECK(fast_exp(88.7229f) == kInf);
  CHECK(std::isnan(fast_exp(kNan)));
  CHECK(fast_tanh(kInf) == 1.0f);
  CHECK(fast_tanh(-kInf) == -1.0f);
  CHECK(fast_tanh(1e-20f) == 1e-20f);
  CHECK(fast_tanh(-3e-38f) == -3e-38f);
  CHECK(std::isnan(fast_tanh(kNan)));
  CHECK(std::signbit(fast_tanh(-0.0f)));
  CHECK(fast_sigmoid(kInf) == 1.0f);
  CHECK(fast_sigmoid(-kInf) == 0.0f);
  CHECK(fast_sigmoid(0.0f) == 0.5f);
  CHECK(std::isnan(fast_sigmoid(kNan)));
  CHECK(fast_tanh(0.3) == std::tanh(0.3));
  CHECK(fast_exp(0.3) == std::exp(0.3));
}
