// Rows of 16-bit floats as rows of f32, for kernels that read 16-bit operands.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>
#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "tensor/half.h"

namespace tensor::cpu {

// Exact, subnormals too, flush-to-zero or not.
inline void widen_row(float* to, const bf16* from, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<float>(from[i]);
}
inline void widen_row(float* to, const f16* from, int64_t n) {
  int64_t i = 0;
#if defined(__F16C__)  // the same bits, eight at a time
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
#endif
  for (; i < n; ++i) to[i] = static_cast<float>(from[i]);
}

// Rows of an operand of type K for a kernel that computes in T: the operand's own where the types are one, else
// a copy that lasts until the next call. One for each thread.
template <class T, class K>
class WideRows {
 public:
  explicit WideRows(int64_t width) {
    if constexpr (!std::is_same_v<T, K>) room_.resize(static_cast<size_t>(width));
  }
  const T* operator()(const K* row) {
    if constexpr (std::is_same_v<T, K>) {
      return row;
    } else {
      widen_row(room_.data(), row, static_cast<int64_t>(room_.size()));
      return room_.data();
    }
  }

 private:
  std::vector<T> room_;
};

}  // namespace tensor::cpu
