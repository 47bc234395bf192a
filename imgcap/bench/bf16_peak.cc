#include "imgcap/bench/bf16_peak.h"

#include <algorithm>
#include <cstdint>

#include "imgcap/bench/timing.h"
#include "tensor/error.h"
#include "tensor/native_types.h"
#include "tensor/packed_matrix.h"
#include "tensor/thread_pool.h"
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

namespace imgcap::bench {
namespace {

constexpr int64_t kCalls = 5;

#if defined(__AVX512BF16__)
// As the float32 peak: twelve independent chains hide the latency of 32 multiply-adds per instruction.
float dot_products(int64_t rounds) {
  constexpr int kChains = 12;
  __m512 sum[kChains];
  for (int k = 0; k < kChains; ++k) sum[k] = _mm512_set1_ps(static_cast<float>(k));
  __m512bh factor = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1e-3f), _mm512_set1_ps(1e-3f));
  for (int64_t i = 0; i < rounds; ++i) {
    for (int k = 0; k < kChains; ++k) sum[k] = _mm512_dpbf16_ps(sum[k], factor, factor);
    asm volatile("" : "+v"(factor));  // else the loop is worked out ahead
  }
  for (int k = 1; k < kChains; ++k) sum[0] = _mm512_add_ps(sum[0], sum[k]);
  float all[16];
  _mm512_storeu_ps(all, sum[0]);
  return all[0];
}
#endif

double avx512_gflops([[maybe_unused]] int threads) {
#if defined(__AVX512BF16__)
  constexpr int64_t kRounds = 4'000'000;
  std::vector<float> results(static_cast<size_t>(threads));
  const Timing timing = measure(
      [&] {
        tensor::parallel_each(threads, 1,
                              [&](int64_t t) { results[static_cast<size_t>(t)] = dot_products(kRounds); });
      },
      1, kCalls);
  tensor::check(results[0] > 0, tensor::ErrorKind::internal, "bench: the dot products came to nothing");
  return 2.0 * 12 * 32 * static_cast<double>(kRounds) * threads / timing.min / 1e9;
#else
  return 0;
#endif
}

// Of the product of two square matrices, one of them laid out beforehand.
double product_gflops() {
  constexpr int64_t kSize = 2048;
  constexpr double kNumber = kSize;
  const tensor::Tensor ones = tensor::Tensor::full({kSize, kSize}, 1, tensor::DType::bf16);
  const tensor::PackedMatrix packed(ones);
  tensor::Tensor out = tensor::Tensor::empty({kSize, kSize});
  const Timing timing = measure([&] { packed.multiply(out, ones, false); }, 1, kCalls);
  return 2 * kNumber * kNumber * kNumber / timing.min / 1e9;
}

}  // namespace

Bf16Peak measure_bf16(const std::vector<std::string>& instruction_sets, int threads) {
  const auto has = [&](const char* set) {
    return std::find(instruction_sets.begin(), instruction_sets.end(), set) != instruction_sets.end();
  };
  Bf16Peak peak;
  const auto take = [&](double gflops, const char* by) {
    if (gflops > peak.gflops) peak = {gflops, by};
  };
  if (has("avx512_bf16")) take(avx512_gflops(threads), "AVX512-BF16");
  if (has("amx_bf16") && tensor::has_native_products(tensor::DType::bf16)) take(product_gflops(), "AMX");
  return peak;
}

}  // namespace imgcap::bench
