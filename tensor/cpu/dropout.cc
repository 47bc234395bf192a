#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cmath>

#include "tensor/cpu/vector_math.h"
#include "tensor/kernels.h"
#include "tensor/philox.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

constexpr int64_t kGrain = 16384;  // elements per tile: whole blocks of four
constexpr int kBlocks = 16;        // Philox blocks that are made together

#if defined(__AVX2__)

// Blocks [first, first + 4) of stream `seed`, a block a 64-bit lane. Only the low halves of the lanes count:
// _mm256_mul_epu32 does not read the high ones.
struct Philox4 {
  __m256i c0, c1, c2, c3;

  explicit Philox4(uint64_t first)
      : c0(_mm256_add_epi64(_mm256_set1_epi64x(static_cast<long long>(first)),
                            _mm256_setr_epi64x(0, 1, 2, 3))),
        c1(_mm256_srli_epi64(c0, 32)),
        c2(_mm256_setzero_si256()),
        c3(c2) {}

  void round(uint32_t k0, uint32_t k1) {
    const __m256i p0 = _mm256_mul_epu32(c0, _mm256_set1_epi64x(0xD2511F53)),
                  p1 = _mm256_mul_epu32(c2, _mm256_set1_epi64x(0xCD9E8D57));
    c0 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), c1), _mm256_set1_epi64x(k0));
    c2 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), c3), _mm256_set1_epi64x(k1));
    c1 = p1;
    c3 = p0;
  }

  // Word w of block b to words[4 b + w].
  void store(uint32_t* words) const {
    const __m256i a = _mm256_blend_epi32(c0, _mm256_slli_epi64(c1, 32), 0xAA),
                  b = _mm256_blend_epi32(c2, _mm256_slli_epi64(c3, 32), 0xAA);
    const __m256i even = _mm256_unpacklo_epi64(a, b), odd = _mm256_unpackhi_epi64(a, b);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(words), _mm256_permute2x128_si256(even, odd, 0x20));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(words + 8), _mm256_permute2x128_si256(even, odd, 0x31));
  }
};

// The words of blocks [first, first + kBlocks) of stream `seed`, as philox() of tensor/philox.h gives them.
void philox_blocks(uint32_t* words, uint64_t seed, uint64_t first) {
  Philox4 a(first), b(first + 4), c(first + 8), d(first + 12);  // side by side: a multiplication takes long
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (Philox4* p : {&a, &b, &c, &d}) p->round(k0, k1);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  a.store(words);
  b.store(words + 16);
  c.store(words + 32);
  d.store(words + 48);
}

#else

void philox_blocks(uint32_t* words, uint64_t seed, uint64_t first) {
  for (int b = 0; b < kBlocks; ++b) {
    const auto block = philox(seed, first + static_cast<uint64_t>(b));
    std::copy(block.words, block.words + 4, words + 4 * b);
  }
}

#endif

}  // namespace

void dropout(Tensor& out, const Tensor& x, DropoutMask mask) {
  const double p = mask.p;
  const int64_t* origin = mask.origin.defined() ? mask.origin.device_data<int64_t>() : nullptr;
  const PhiloxPlace place = place_of(origin, {mask.seed, mask.offset});
  // uniform_float(word) >= p, in whole numbers.
  const auto threshold = static_cast<uint32_t>(std::ceil(p * 0x1p24));
  dispatch_float(x.dtype(), "dropout", [&]<class T>() {
    const T* source = x.device_data<T>();
    T* target = out.mutable_device_data<T>();
    const T scale = p < 1 ? static_cast<T>(1 / (1 - p)) : T(0);
    parallel_for(x.numel(), kGrain, [&](int64_t begin, int64_t end) {
      uint32_t words[4 * kBlocks];
      for (int64_t first = begin; first < end; first += 4 * kBlocks) {
        philox_blocks(words, place.seed, place.offset + static_cast<uint64_t>(first / 4));
        const int64_t n = std::min<int64_t>(4 * kBlocks, end - first);
        const T* from = source + first;
        T* to = target + first;
        IMGCAP_VECTORIZE
        for (int64_t i = 0; i < n; ++i) {
          const T value = from[i] * scale;
          to[i] = words[i] >> 8 >= threshold ? value : T(0);
        }
      }
    });
  });
}

}  // namespace tensor::cpu
