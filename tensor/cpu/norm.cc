// Batch normalisation over all dimensions but the second (Ioffe and Szegedy 2015). A channel belongs to one
// tile.
#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "tensor/cpu/sums.h"
#include "tensor/cpu/vector_math.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

struct Geometry {
  int64_t n, c, inner;  // x seen as (n, c, inner)

  explicit Geometry(const Tensor& x) {
    n = x.size(0), c = x.size(1), inner = 1;
    for (int d = 2; d < x.rank(); ++d) inner *= x.size(d);
  }
  int64_t count() const { return n * inner; }
  int64_t grain() const { return 16384 / std::max<int64_t>(1, count()); }
  int64_t row(int64_t image, int64_t channel) const { return (image * c + channel) * inner; }
};

// Two sums over the same elements.
struct Sums {
  double first = 0, second = 0;
  Sums operator+(const Sums& other) const { return {first + other.first, second + other.second}; }
};

// V is a number or a vector of numbers; so many are read at p.
template <class V, class From>
V read(const From* p) {
  if constexpr (std::is_arithmetic_v<V>) {
    return static_cast<V>(*p);
  } else if constexpr (std::is_same_v<V, typename Lanes<From>::Vector>) {
    V v;
    std::memcpy(&v, p, sizeof(v));
    return v;
  } else {
    V v;
    for (size_t k = 0; k < sizeof(V) / sizeof(v[0]); ++k)
      v[k] = static_cast<std::decay_t<decltype(v[0])>>(p[k]);
    return v;
  }
}

// The sums of the two terms at [begin, end), at most kSumBlock, in T: both at once in lanes of their own, as
// the elements come from memory. term(std::type_identity<V>(), i) gives the terms of as many elements as V
// holds.
template <class T, class Term>
Sums block_sums(int64_t begin, int64_t end, const Term& term) {
  using V = typename Lanes<T>::Vector;
  constexpr int64_t kWidth = Lanes<T>::kCount, kVectors = 4;
  V first[kVectors] = {}, second[kVectors] = {};
  const auto add = [&](int64_t vector, int64_t i) {
    const auto [a, b] = term(std::type_identity<V>(), i);
    first[vector] += a;
    second[vector] += b;
  };
  int64_t i = begin;
  for (; i + kVectors * kWidth <= end; i += kVectors * kWidth)
    for (int64_t k = 0; k < kVectors; ++k) add(k, i + k * kWidth);
  for (int64_t k = 0; i + kWidth <= end; i += kWidth, ++k) add(k, i);
  const V a = (first[0] + first[1]) + (first[2] + first[3]),
          b = (second[0] + second[1]) + (second[2] + second[3]);
  Sums sums;
  for (int64_t k = 0; k < kWidth; ++k)
    sums = sums + Sums{static_cast<double>(a[k]), static_cast<double>(b[k])};
  for (; i < end; ++i) {
    const auto [u, v] = term(std::type_identity<T>(), i);
    sums = sums + Sums{static_cast<double>(u), static_cast<double>(v)};
  }
  return sums;
}

// The same over a channel, the sums of blocks and images in f64.
template <class T, class Term>
Sums channel_sums(const Geometry& g, int64_t channel, const Term& term) {
  const auto block = [&term](int64_t begin, int64_t end) { return block_sums<T>(begin, end, term); };
  return pairwise(0, g.n, 32, [&](int64_t image, int64_t end) {
    Sums sums;
    for (; image < end; ++image) {
      const int64_t row = g.row(image, channel);
      sums = sums + pairwise(row, row + g.inner, kSumBlock, block);
    }
    return sums;
  });
}

// Of x - shift, computed in Wide. The shift is one of the values, or near them, so that little cancels in the
// difference: not more than a factor of the number of values.
struct Moments {
  double mean, variance;
};

template <class Wide, class T>
Moments moments(const Geometry& g, int64_t channel, const T* x, Wide shift) {
  const auto count = static_cast<double>(g.count());
  const Sums sums = channel_sums<Wide>(g, channel, [=]<class V>(std::type_identity<V>, int64_t i) {
    const V d = read<V>(x + i) - shift;
    return std::pair(d, d * d);
  });
  const double mean = sums.first / count, variance = sums.second / count - mean * mean;
  return {static_cast<double>(shift) + mean, variance < 0 ? 0 : variance};
}

template <class T>
Moments channel_moments(const Geometry& g, int64_t channel, const T* x) {
  T shift = g.count() > 0 ? x[g.row(0, channel)] : T(0);
  if (!std::isfinite(shift)) shift = 0;
  const Moments first = moments<T>(g, channel, x, shift);
  const double distance = first.mean - static_cast<double>(shift);
  const bool is_constant = distance == 0 && first.variance == 0;
  const bool is_near = std::isfinite(first.variance) && distance * distance <= 4 * first.variance;
  if (is_constant || (std::is_same_v<T, float> && is_near)) return first;
  // Again in f64, around the mean itself: where squares are too large for f32, where the first value is far
  // from the others, and where the values are f64 and have no digits to spare.
  return moments<double>(g, channel, x, std::isfinite(first.mean) ? first.mean : 0.0);
}

}  // namespace

void batch_norm_statistics(Tensor& mean, Tensor& variance, const Tensor& x) {
  const Geometry g(x);
  const auto statistics = [&]<class T, class Wide>() {
    const T* in = x.device_data<T>();
    T* means = mean.mutable_device_data<T>();
    Wide* variances = variance.mutable_device_data<Wide>();
    parallel_each(g.c, g.grain(), [&](int64_t c) {
      const Moments m = channel_moments(g, c, in);
      means[c] = static_cast<T>(m.mean);
      variances[c] = static_cast<Wide>(m.variance);
    });
  };
  dispatch_float(x.dtype(), "batch_norm_statistics", [&]<class T>() {
    if (variance.dtype() == DType::f64)
      statistics.template operator()<T, double>();
    else
      statistics.template operator()<T, T>();
  });
}

void batch_norm_apply(Tensor& out, const Tensor& x, const Tensor& mean, const Tensor& rstd,
                      const Tensor& weight, const Tensor& bias) {
  const Geometry g(x);
  dispatch_float(x.dtype(), "batch_norm_apply", [&]<class T>() {
    const T *in = x.device_data<T>(), *m = mean.device_data<T>(), *r = rstd.device_data<T>();
    const T* w = weight.defined() ? weight.device_data<T>() : nullptr;
    const T* b = bias.defined() ? bias.device_data<T>() : nullptr;
    T* to = out.mutable_device_data<T>();
    parallel_each(g.n * g.c, 16384 / std::max<int64_t>(1, g.inner), [&](int64_t row) {
      const int64_t c = row % g.c;
      const T scale = w != nullptr ? r[c] * w[c] : r[c], centre = m[c];
      const T shift = b != nullptr ? b[c] : T(0);
      for (int64_t i = row * g.inner; i < (row + 1) * g.inner; ++i) to[i] = (in[i] - centre) * scale + shift;
    });
  });
}

// With x^ = (x - mean) rstd and N values per channel: dbias = sum dout, dweight = sum dout x^, and
// dx = weight rstd (dout - (dbias + x^ dweight) / N) in training, weight rstd dout with fixed statistics.
void batch_norm_backward(BatchNormBackward a) {
  const Geometry g(a.x);
  dispatch_float(a.x.dtype(), "batch_norm_backward", [&]<class T>() {
    const T *in = a.x.device_data<T>(), *grad = a.dout.device_data<T>(), *m = a.mean.device_data<T>(),
            *r = a.rstd.device_data<T>();
    const T* w = a.weight.defined() ? a.weight.device_data<T>() : nullptr;
    T *to = a.dx.mutable_device_data<T>(), *dw = a.dweight.mutable_device_data<T>(),
      *db = a.dbias.mutable_device_data<T>();
    parallel_each(g.c, g.grain(), [&](int64_t c) {
      const T centre = m[c], rs = r[c], scale = w != nullptr ? rs * w[c] : rs;
      const auto [sum, product] = channel_sums<T>(g, c, [=]<class V>(std::type_identity<V>, int64_t i) {
        const V gradient = read<V>(grad + i);
        return std::pair(gradient, gradient * ((read<V>(in + i) - centre) * rs));
      });
      db[c] = static_cast<T>(sum);
      dw[c] = static_cast<T>(product);
      const auto count = static_cast<double>(std::max<int64_t>(1, g.count()));
      const T mean_sum = a.train ? static_cast<T>(sum / count) : T(0);
      const T mean_product = a.train ? static_cast<T>(product / count) : T(0);
      for (int64_t image = 0; image < g.n; ++image) {
        const int64_t first = g.row(image, c);
        for (int64_t i = first; i < first + g.inner; ++i)
          to[i] = scale * (grad[i] - mean_sum - (in[i] - centre) * rs * mean_product);
      }
    });
  });
}

}  // namespace tensor::cpu
