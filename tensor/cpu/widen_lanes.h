// A register's worth of f32 from memory that has it in 16 or 8 bits; all of it is exact.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "tensor/cpu/panel.h"
#include "tensor/half.h"

namespace tensor::cpu {
namespace widen_lanes_internal {

inline constexpr int kLanes = dense::kLanes;
using Words [[gnu::vector_size(kLanes * sizeof(uint32_t))]] = uint32_t;
using Numbers [[gnu::vector_size(kLanes * sizeof(int32_t))]] = int32_t;
using Shorts [[gnu::vector_size(kLanes * sizeof(uint16_t))]] = uint16_t;
using Bytes [[gnu::vector_size(kLanes)]] = uint8_t;

template <class V>
V load_as(const void* p) {
  V v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

// The compiler's own conversions take a detour through 16 bits and halves of registers.
inline Words words_of(const uint16_t* p) {
#if defined(__AVX512F__)
  return reinterpret_cast<Words>(_mm512_cvtepu16_epi32(load_as<__m256i>(p)));
#elif defined(__AVX2__)
  return reinterpret_cast<Words>(_mm256_cvtepu16_epi32(load_as<__m128i>(p)));
#else
  return __builtin_convertvector(load_as<Shorts>(p), Words);
#endif
}

inline Numbers numbers_of(const uint8_t* p) {
#if defined(__AVX512F__)
  return reinterpret_cast<Numbers>(_mm512_cvtepu8_epi32(load_as<__m128i>(p)));
#elif defined(__AVX2__)
  return reinterpret_cast<Numbers>(
      _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#else
  return __builtin_convertvector(__builtin_convertvector(load_as<Bytes>(p), Shorts), Numbers);
#endif
}

}  // namespace widen_lanes_internal

inline dense::Vector widen_lanes(const float* p) { return dense::load(p); }

inline dense::Vector widen_lanes(const f16* p) {
#if defined(__AVX512F__)
  return reinterpret_cast<dense::Vector>(_mm512_cvtph_ps(widen_lanes_internal::load_as<__m256i>(p)));
#elif defined(__AVX2__) && defined(__F16C__)
  return reinterpret_cast<dense::Vector>(_mm256_cvtph_ps(widen_lanes_internal::load_as<__m128i>(p)));
#else
  dense::Vector v;
  for (int l = 0; l < dense::kLanes; ++l) v[l] = static_cast<float>(p[l]);
  return v;
#endif
}

inline dense::Vector widen_lanes(const bf16* p) {
  static_assert(sizeof(bf16) == sizeof(uint16_t));
  const auto words = widen_lanes_internal::words_of(reinterpret_cast<const uint16_t*>(p)) << 16;
  return reinterpret_cast<dense::Vector>(words);
}

inline dense::Vector widen_lanes(const uint8_t* p) {
  return __builtin_convertvector(widen_lanes_internal::numbers_of(p), dense::Vector);
}

}  // namespace tensor::cpu
