// exp, tanh and sigmoid of floats without branches or calls, so that loops over them become vector code (the
// library's functions are called once per element). Against the exact value: exp within 1.5 ulp, tanh and
// sigmoid within 2.5 ulp (relative error below 3e-7) wherever the result is a normal number; infinities, NaN
// and signed zeros as in <cmath>. Doubles go to <cmath>.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

// Before a loop whose iterations do not depend on each other, even where its input is its output.
#if defined(__clang__)
#define IMGCAP_VECTORIZE _Pragma("clang loop vectorize(assume_safety)")
#else
#define IMGCAP_VECTORIZE _Pragma("GCC ivdep")
#endif

namespace tensor::cpu {
namespace internal {

// a b + c, in one rounding where the processor can: explicit, so that a loop's vector body and its scalar
// rest give the same bits.
inline float multiply_add(float a, float b, float c) {
#if defined(__FP_FAST_FMAF)
  return std::fma(a, b, c);
#else
  return a * b + c;
#endif
}

// x = n ln 2 + r with |r| <= ln 2 / 2: n and e^r - 1. |x| below 2^21.
struct ReducedExp {
  float expm1_r;
  int32_t n;
};

inline ReducedExp reduce_exp(float x) {
  constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  const float shifted = multiply_add(x, kLog2E, kRound);
  const int32_t n = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound);
  const float whole = shifted - kRound;
  const float r = multiply_add(whole, -kLn2Low, multiply_add(whole, -kLn2High, x));
  // (e^r - 1 - r) / r^2: minimax on [-ln 2 / 2, ln 2 / 2], fitted by iteratively weighted least squares.
  float p = 0x1.6d997ap-10f;
  p = multiply_add(p, r, 0x1.12284ep-7f);
  p = multiply_add(p, r, 0x1.555486p-5f);
  p = multiply_add(p, r, 0x1.5554aep-3f);
  p = multiply_add(p, r, 0.5f);
  return {multiply_add(r * r, p, r), n};
}

// 2^n for -126 <= n <= 127.
inline float power_of_two(int32_t n) { return std::bit_cast<float>((n + 127) << 23); }

}  // namespace internal

// e^x.
inline float fast_exp(float x) {
  const float low = x < -105.0f ? -105.0f : x;  // NaN passes both
  const auto [q, n] = internal::reduce_exp(low > 89.0f ? 89.0f : low);
  const int32_t half = n >> 1;  // 2^n itself need not be a normal number
  return (1.0f + q) * internal::power_of_two(half) * internal::power_of_two(n - half);
}
inline double fast_exp(double x) { return std::exp(x); }

// tanh x = (e^2|x| - 1) / (e^2|x| + 1), with e^2|x| - 1 from the reduction, so that nothing cancels near 0.
inline float fast_tanh(float x) {
  const uint32_t sign = std::bit_cast<uint32_t>(x) & 0x80000000u;
  const float y = 2.0f * std::bit_cast<float>(std::bit_cast<uint32_t>(x) ^ sign);
  const auto [q, n] = internal::reduce_exp(y > 20.0f ? 20.0f : y);
  const float power = internal::power_of_two(n);
  const float e = internal::multiply_add(power, q, power - 1.0f);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(e / (e + 2.0f)) | sign);
}
inline double fast_tanh(double x) { return std::tanh(x); }

// 1 / (1 + e^-x).
template <class T>
T fast_sigmoid(T x) {
  return T(1) / (T(1) + fast_exp(-x));
}

// 32 bytes of T, for what compilers do not vectorise by themselves (comparisons that keep NaN).
template <class T>
struct Lanes {
  typedef T Vector __attribute__((vector_size(32)));
  static constexpr int64_t kCount = 32 / static_cast<int64_t>(sizeof(T));
};

// The greatest element, or with Least the least one, of at least one; any NaN wins.
template <bool Least, class T>
T extreme(const T* x, int64_t n) {
  using Vector = typename Lanes<T>::Vector;
  constexpr int64_t kCount = Lanes<T>::kCount;
  constexpr T kStart = Least ? std::numeric_limits<T>::infinity() : -std::numeric_limits<T>::infinity();
  const auto wins = [](auto a, auto b) { return (Least ? a < b : a > b) | (a != a); };  // numbers or vectors
  T best = kStart;
  int64_t i = 0;
  if (n >= 2 * kCount) {
    Vector a = kStart - Vector{}, b = a, u, v;
    for (; i + 2 * kCount <= n; i += 2 * kCount) {
      std::memcpy(&u, x + i, sizeof(u));
      std::memcpy(&v, x + i + kCount, sizeof(v));
      a = wins(u, a) ? u : a;
      b = wins(v, b) ? v : b;
    }
    for (int64_t k = 0; k < kCount; ++k) {
      if (wins(a[k], best)) best = a[k];
      if (wins(b[k], best)) best = b[k];
    }
  }
  for (; i < n; ++i)
    if (wins(x[i], best)) best = x[i];
  return best;
}

// Whether x holds an element above `bound`, or NaN.
template <class T>
bool any_above(const T* x, int64_t n, T bound) {
  int any = 0;
  for (int64_t i = 0; i < n; ++i) any |= static_cast<int>(!(x[i] <= bound));
  return any != 0;
}

}  // namespace tensor::cpu
