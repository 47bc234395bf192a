// The greatest element of a row and the sum of e^(x - greatest), in one pass over memory.
#pragma once

#include <algorithm>
#include <limits>

#include "tensor/cpu/sums.h"
#include "tensor/cpu/vector_math.h"

namespace tensor::cpu {

inline constexpr int64_t kRowBlock = 256;  // elements that stay in the first cache between two looks at them

// y = e^(x - shift) for at most kRowBlock elements; returns their sum. y may be x.
template <class T>
double exp_block(T* y, const T* x, int64_t n, T shift) {
  IMGCAP_VECTORIZE
  for (int64_t i = 0; i < n; ++i) y[i] = fast_exp(x[i] - shift);
  SumLanes<T> sum;  // the rest goes to the first lane: the bits of losses known so far depend on it
  int64_t rest = sum.add(0, n, [y](int64_t i) { return y[i]; });
  for (; rest < n; ++rest) sum.lanes[0] += y[rest];
  return static_cast<double>(sum.total());
}

template <class T>
struct RowStatistics {
  T max = -std::numeric_limits<T>::infinity();
  double sum = 0;  // of e^(x - max); at least 1 unless the row is all -inf (0) or holds NaN or inf (NaN)
};

template <class T>
RowStatistics<T> row_statistics(const T* x, int64_t n) {
  T scratch[kRowBlock];
  RowStatistics<T> row;
  SumOf<T> sum{};
  constexpr bool one_pass =
      std::is_same_v<T, float>;  // rescaling rounds, which f64 has no digits to spare for
  if constexpr (!one_pass)
    if (const T top = extreme<false>(x, n); top > row.max) row.max = top;
  for (int64_t first = 0; first < n; first += kRowBlock) {
    const int64_t count = std::min(kRowBlock, n - first);
    if constexpr (one_pass) {
      const T top = extreme<false>(x + first, count);  // NaN compares false, and makes the sum NaN
      if (top > row.max) {
        sum *= std::exp(static_cast<double>(row.max) - static_cast<double>(top));
        row.max = top;
      }
    }
    // A block of nothing but -inf before the first finite number adds nothing.
    const T shift = row.max == -std::numeric_limits<T>::infinity() ? T(0) : row.max;
    sum += exp_block(scratch, x + first, count, shift);
  }
  row.sum = static_cast<double>(sum);
  return row;
}

}  // namespace tensor::cpu
