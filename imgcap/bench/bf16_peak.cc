#include "imgcap/bench/bf16_peak.h"

#include <algorithm>
#include <cstdint>
#include <list>
#include <memory>
#include <unordered_map>
#include <utility>

#include "imgcap/bench/timing.h"
#include "tensor/error.h"
#include "tensor/hold_signals.h"
#include "tensor/onednn.h"
#include "tensor/thread_pool.h"
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif
#if defined(IMGCAP_HAVE_ONEDNN)
#include <omp.h>

#include <dnnl.hpp>
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

#if defined(IMGCAP_HAVE_ONEDNN)
// oneDNN's product of two square matrices, on the calling thread alone.
class Product {
 public:
  static constexpr int64_t kSize = 1024;

  Product() {
    using Type = dnnl::memory::data_type;
    omp_set_num_threads(1);
    const dnnl::memory::dims shape{kSize, kSize};
    const auto of_any_layout = [&](Type type) {
      return dnnl::memory::desc(shape, type, dnnl::memory::format_tag::any);
    };
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::matmul::primitive_desc plan(
        dnnl::matmul::desc(of_any_layout(Type::bf16), of_any_layout(Type::bf16), of_any_layout(Type::f32)),
        attributes, engine_);
    product_ = dnnl::matmul(plan);
    for (const auto& [which, layout] :
         {std::pair(DNNL_ARG_SRC, plan.src_desc()), std::pair(DNNL_ARG_WEIGHTS, plan.weights_desc()),
          std::pair(DNNL_ARG_DST, plan.dst_desc()), std::pair(DNNL_ARG_SCRATCHPAD, plan.scratchpad_desc())}) {
      std::vector<uint16_t>& values =
          storage_.emplace_back(layout.get_size() / 2 + 1, uint16_t{0x3F80});  // 1
      arguments_.emplace(which, dnnl::memory(layout, engine_, values.data()));
    }
  }
  void operator()() {
    product_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::matmul product_;
  std::list<std::vector<uint16_t>> storage_;
  std::unordered_map<int, dnnl::memory> arguments_;
};
#endif

double onednn_gflops([[maybe_unused]] int threads) {
#if defined(IMGCAP_HAVE_ONEDNN)
  constexpr int64_t kRounds = 4;
  const tensor::HoldSignals hold;
  std::vector<std::unique_ptr<Product>> products(static_cast<size_t>(threads));
  const Timing timing = measure(
      [&] {
        tensor::parallel_each(threads, 1, [&](int64_t t) {
          std::unique_ptr<Product>& product = products[static_cast<size_t>(t)];
          if (product == nullptr) product = std::make_unique<Product>();
          [[maybe_unused]] thread_local const bool single_threaded = (omp_set_num_threads(1), true);
          for (int64_t round = 0; round < kRounds; ++round) (*product)();
        });
      },
      1, kCalls);
  constexpr auto kSize = static_cast<double>(Product::kSize);
  return 2 * kSize * kSize * kSize * kRounds * threads / timing.min / 1e9;
#else
  return 0;
#endif
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
  if (has("amx_bf16") && tensor::uses_onednn()) take(onednn_gflops(threads), "AMX");
  return peak;
}

}  // namespace imgcap::bench
