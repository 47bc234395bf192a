// Rows of 16-bit floats as rows of f32 and back, for kernels that read and write 16-bit operands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>
#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "tensor/half.h"
#include "tensor/tensor.h"

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

// Rounded to nearest, subnormals too, flush-to-zero or not.
inline void narrow_row(bf16* to, const float* from, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = bf16(from[i]);
}
inline void narrow_row(f16* to, const float* from, int64_t n) {
  int64_t i = 0;
#if defined(__F16C__)  // the same bits, eight at a time
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
#endif
  for (; i < n; ++i) to[i] = f16(from[i]);
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
  // Where the row may be computed before finish() writes it: in the operand itself, or in the same copy.
  T* room_for(K* row) {
    if constexpr (std::is_same_v<T, K>)
      return row;
    else
      return room_.data();
  }
  void finish(K* row) const {
    if constexpr (!std::is_same_v<T, K>) narrow_row(row, room_.data(), static_cast<int64_t>(room_.size()));
  }

 private:
  std::vector<T> room_;
};

// The rows, columns side by side, of a matrix of 16 bits that a kernel computes in f32; none where it is undefined or of
// another type.
class NarrowRows {
 public:
  explicit NarrowRows(Tensor& x) {
    if (!x.defined() || !is_half(x.dtype())) return;
    data_ = x.mutable_device_raw(), type_ = x.dtype(), stride_ = x.strides()[0], width_ = x.size(1);
  }
  bool wanted() const { return data_ != nullptr; }

  template <class T>
  void write(int64_t r, const T* row) const {
    if constexpr (std::is_same_v<T, float>) {
      if (type_ == DType::f16)
        narrow_row(reinterpret_cast<f16*>(data_) + r * stride_, row, width_);
      else
        narrow_row(reinterpret_cast<bf16*>(data_) + r * stride_, row, width_);
    }
  }

 private:
  std::byte* data_ = nullptr;
  DType type_ = DType::f16;
  int64_t stride_ = 0, width_ = 0;
};

}  // namespace tensor::cpu
