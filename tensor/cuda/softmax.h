// The greatest element of a row and the sum of e^(x - greatest), in one pass over memory. For .cu files.
#pragma once

#include <cmath>
#include <cstdint>

#include "tensor/cuda/device.h"

namespace tensor::cuda {

// The greatest element of a row, or of a part of it, and the sum of e^(x - greatest): at least 1 unless all are
// -inf (0) or there is NaN or inf (NaN).
template <class C>
struct RowSum {
  C top, sum;

  // What the sum is multiplied by when its greatest element becomes `greatest`.
  __device__ C rescaled(C greatest) const { return top == greatest ? C(1) : std::exp(top - greatest); }
  __device__ RowSum from_lane(int mask) const {
    return {cuda::from_lane(top, mask), cuda::from_lane(sum, mask)};
  }
};

struct JoinSums {
  template <class C>
  __device__ RowSum<C> operator()(const RowSum<C>& a, const RowSum<C>& b) const {
    const C top = a.top > b.top ? a.top : b.top;
    return {top, a.sum * a.rescaled(top) + b.sum * b.rescaled(top)};
  }
};

// The statistics of a row, for all of its threads.
template <int P, class T>
__device__ RowSum<Computed<T>> row_sum(const Pack<T, P>* row, int64_t packs) {
  using C = Computed<T>;
  RowSum<C> part{-kInfinity<C>, C(0)};
  for (int64_t i = threadIdx.x; i < packs; i += blockDim.x) {
    const Pack<T, P> x = row[i];
    C top = part.top;
    for (int k = 0; k < P; ++k) {  // NaN compares false, and makes the sum NaN
      const C v = static_cast<C>(x.at[k]);
      if (v > top) top = v;
    }
    part.sum *= part.rescaled(top);
    part.top = top;
    const C shift = top == -kInfinity<C> ? C(0) : top;  // nothing but -inf adds nothing
    for (int k = 0; k < P; ++k) part.sum += std::exp(static_cast<C>(x.at[k]) - shift);
  }
  return join_row(part, JoinSums{});
}

}  // namespace tensor::cuda
