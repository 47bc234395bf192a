// A token for each row of log-probabilities, drawn with its probability: a row is the work of a warp or of a block. The
// CPU's is in tensor/cpu/search.cc; sums of probabilities have another order here, so now and then another token is drawn.
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "tensor/cuda/device.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/rows.h"
#include "tensor/half.h"
#include "tensor/kernels.h"

namespace tensor::cuda {
namespace {

template <class T>
using Key = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

template <class T>
inline constexpr Key<T> kSign = Key<T>(1) << (8 * sizeof(T) - 1);

// A number in whose order values are; none is a NaN.
template <class T>
__device__ Key<T> key_of(T value) {
  const auto bits = internal::bits_as<Key<T>>(value + T(0));  // -0 is 0
  return (bits & kSign<T>) != 0 ? static_cast<Key<T>>(~bits) : bits | kSign<T>;
}
template <class T>
__device__ T value_of(Key<T> key) {
  return internal::bits_as<T>((key & kSign<T>) != 0 ? key ^ kSign<T> : static_cast<Key<T>>(~key));
}

struct Greater {
  template <class T>
  __device__ T operator()(const T& a, const T& b) const {
    return b > a ? b : a;
  }
};
struct Lesser {
  template <class T>
  __device__ T operator()(const T& a, const T& b) const {
    return b < a ? b : a;
  }
};

// A row, of which this thread has the elements [begin, end). All threads of the block call its functions together.
template <class T>
struct DrawRow {
  const T* values;
  const int64_t* indices;  // may be null
  TokenList forbidden;
  double temperature;
  int64_t begin, end;
  double top = 0;

  __device__ int64_t token(int64_t i) const { return indices != nullptr ? indices[i] : i; }
  __device__ bool allowed(int64_t i) const { return values[i] != -kInfinity<T> && !forbidden.has(token(i)); }
  __device__ double weight(T value) const {
    return std::exp((static_cast<double>(value) - top) / temperature);
  }

  // Of the first `length` elements those that this thread has.
  __device__ void share(int64_t length) {
    const int64_t each = (length + blockDim.x - 1) / blockDim.x;
    begin = min(int64_t{threadIdx.x} * each, length);
    end = min(begin + each, length);
  }
  // Leaves the first `most` tokens that are not forbidden.
  __device__ void take_first(int64_t most, int64_t length) {
    int64_t first = min(most, length);
    int64_t places[3];
    for (int f = 0; f < 3; ++f) {
      int64_t at = length;
      for (int64_t i = begin; i < end; ++i)
        if (token(i) == forbidden.tokens[f]) at = min(at, i);
      places[f] = join_row(at, Lesser{});
    }
    for (int again = 0; again < 3; ++again) {  // each one that is passed makes room for another token
      int64_t passed = 0;
      for (int f = 0; f < 3; ++f) passed += places[f] < first ? 1 : 0;
      first = min(most + passed, length);
    }
    share(first);
  }

  // The sum of the weights of what `counts` says, of the row.
  template <class Counts>
  __device__ double mass(const Counts& counts) const {
    double sum = 0;
    for (int64_t i = begin; i < end; ++i)
      if (allowed(i) && counts(values[i])) sum += weight(values[i]);
    return join_row(sum, Add{});
  }
  // The greatest value at which the weight of it and all above it is `wanted`, or more than that.
  template <bool more>
  __device__ T value_at(double wanted) const {
    Key<T> low = key_of(-kInfinity<T>), high = key_of(static_cast<T>(top));
    while (low < high) {
      const Key<T> middle = low + (high - low) / 2 + 1;
      const T value = value_of<T>(middle);
      const double here = mass([&](T v) { return v >= value; });
      if (more ? here > wanted : here >= wanted)
        low = middle;
      else
        high = middle - 1;
    }
    return value_of<T>(low);
  }
  // How many of the equal weights `each` reach `wanted`, or more than that.
  template <bool more>
  __device__ int64_t equals_at(double wanted, double each) const {
    if (!(each > 0) || wanted <= 0) return 1;
    const double n = wanted / each;
    const auto whole = static_cast<int64_t>(n);
    return more || static_cast<double>(whole) < n ? whole + 1 : whole;
  }
  __device__ int64_t count(T value) const {
    int64_t n = 0;
    for (int64_t i = begin; i < end; ++i) n += allowed(i) && values[i] == value ? 1 : 0;
    return join_row(n, Add{});
  }
  // The place of the nth (from 1) of that value; -1 in threads that do not have it.
  __device__ int64_t place(T value, int64_t nth) const {
    int64_t mine = 0, total = 0;
    for (int64_t i = begin; i < end; ++i) mine += allowed(i) && values[i] == value ? 1 : 0;
    int64_t n = scan_row(mine, total) - mine;
    for (int64_t i = begin; i < end; ++i)
      if (allowed(i) && values[i] == value && ++n == nth) return i;
    return -1;
  }

  // Among the fewest of the likeliest that have the share `top_p`, the likeliest first.
  __device__ int64_t draw_nucleus(double uniform, double top_p) const {
    const double wanted = top_p * mass([](T) { return true; });
    const T least = value_at<false>(wanted);
    const double above = mass([&](T v) { return v > least; }), each = weight(least);
    const int64_t equals = min(equals_at<false>(wanted - above, each), count(least));
    const double left = uniform * (above + static_cast<double>(equals) * each);
    T value = value_at<true>(left);
    if (value < least) value = least;
    const int64_t last = value == least ? equals : count(value);
    const int64_t nth = equals_at<true>(left - mass([&](T v) { return v > value; }), weight(value));
    return place(value, min(nth, last));
  }
  // Among all, in their order.
  __device__ int64_t draw_any(double uniform) const {
    double mine = 0, total = 0;
    for (int64_t i = begin; i < end; ++i)
      if (allowed(i)) mine += weight(values[i]);
    const double until = scan_row(mine, total);
    double left = uniform * total;
    const int64_t none = blockDim.x;
    const int64_t first = join_row(mine > 0 && left < until ? int64_t{threadIdx.x} : none, Lesser{});
    const int64_t last = join_row(mine > 0 ? int64_t{threadIdx.x} : int64_t{-1}, Greater{});
    if (threadIdx.x != (first < none ? first : last)) return -1;
    left -= until - mine;
    int64_t chosen = -1;
    for (int64_t i = begin; i < end; ++i) {
      const double w = allowed(i) ? weight(values[i]) : 0.0;
      if (w == 0) continue;  // underflow; never to be drawn
      chosen = i;
      if (left < w) break;
      left -= w;
    }
    return chosen;
  }
};

// Bytes: the values and indices, again for each sum, and what is written. FLOPs: an exponential for each value and sum.
template <class T>
__global__ void draw_rows(int64_t* tokens, double* chosen, const T* values, const int64_t* indices,
                          const double* uniforms, TokenList forbidden, int64_t most, double temperature,
                          double top_p, int64_t rows, int64_t length) {
  const int64_t row = row_index();
  const bool here = row < rows;
  DrawRow<T> draw{here ? values + row * length : values,
                  here && indices != nullptr ? indices + row * length : indices,
                  forbidden,
                  temperature,
                  0,
                  0};
  draw.share(here ? length : 0);
  if (most > 0) draw.take_first(most, here ? length : 0);
  T top = -kInfinity<T>;
  int nan = 0;
  for (int64_t i = draw.begin; i < draw.end; ++i) {
    if (draw.values[i] != draw.values[i]) nan = 1;
    if (draw.allowed(i) && draw.values[i] > top) top = draw.values[i];
  }
  top = join_row(top, Greater{});
  nan = join_row(nan, Greater{});
  const bool any = nan == 0 && top != -kInfinity<T>;
  if (!any) draw.begin = draw.end = 0;  // it goes along, as the others of its block may not
  draw.top = any ? static_cast<double>(top) : 0.0;
  const double uniform = here ? uniforms[row] : 0.0;
  const int64_t place = top_p < 1 ? draw.draw_nucleus(uniform, top_p) : draw.draw_any(uniform);
  if (!here) return;
  if (any && place >= 0) {
    tokens[row] = draw.token(place);
    chosen[row] = static_cast<double>(draw.values[place]);
  } else if (!any && threadIdx.x == 0) {
    tokens[row] = nan != 0 ? DrawTokens::kNotANumber : DrawTokens::kNone;
    chosen[row] = 0;
  }
}

}  // namespace

void draw_tokens(DrawTokens a) {
  const int64_t rows = a.log_probabilities.size(0), length = a.log_probabilities.size(1);
  if (rows == 0) return;
  dispatch_float(a.log_probabilities.dtype(), "draw_tokens", [&]<class T>() {
    const RowLaunch shape(rows, length);
    const double sums = a.top_p < 1 ? 2.0 * 8 * sizeof(T) + 3 : 2;
    launch({.op = "draw_tokens",
            .device = a.log_probabilities.device(),
            .grid = shape.grid,
            .block = shape.block,
            .barriers = Barriers::some,
            .flops = sums * static_cast<double>(a.log_probabilities.numel()),
            .bytes = sums * static_cast<double>(a.log_probabilities.bytes() +
                                                (a.indices.defined() ? a.indices.bytes() : 0)) +
                     24.0 * static_cast<double>(rows)},
           draw_rows<T>, a.tokens.mutable_device_data<int64_t>(), a.chosen.mutable_device_data<double>(),
           a.log_probabilities.device_data<T>(),
           a.indices.defined() ? a.indices.device_data<int64_t>() : nullptr, a.uniforms.device_data<double>(),
           a.forbidden, a.most, a.temperature, a.top_p, rows, length);
  });
}

}  // namespace tensor::cuda
