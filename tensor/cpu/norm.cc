// Batch normalisation over all dimensions but the second (Ioffe and Szegedy 2015). A channel belongs to one
// tile.
#include <algorithm>
#include <array>

#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

constexpr int kLanes = 16;  // partial sums of a row: vectorised, in one order

struct Geometry {
  int64_t n, c, inner;  // x seen as (n, c, inner)

  explicit Geometry(const Tensor& x) {
    n = x.size(0), c = x.size(1), inner = 1;
    for (int d = 2; d < x.rank(); ++d) inner *= x.size(d);
  }
  int64_t count() const { return n * inner; }
  int64_t grain() const { return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, count())); }
  int64_t row(int64_t image, int64_t channel) const { return (image * c + channel) * inner; }
};

// Sums of `term(i)` over a row, in the element type by lanes; rows are then added in double.
template <class T, class Term>
double row_sum(int64_t begin, int64_t count, Term term) {
  std::array<T, kLanes> lanes{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int l = 0; l < kLanes; ++l) lanes[static_cast<size_t>(l)] += term(begin + i + l);
  for (int l = 0; i + l < count; ++l) lanes[static_cast<size_t>(l)] += term(begin + i + l);
  double sum = 0;
  for (const T lane : lanes) sum += static_cast<double>(lane);
  return sum;
}

template <class T, class Term>
double channel_sum(const Geometry& g, int64_t channel, Term term) {
  double sum = 0;
  for (int64_t image = 0; image < g.n; ++image) sum += row_sum<T>(g.row(image, channel), g.inner, term);
  return sum;
}

}  // namespace

void batch_norm_statistics(Tensor& mean, Tensor& variance, const Tensor& x) {
  const Geometry g(x);
  dispatch_float(x.dtype(), "batch_norm_statistics", [&]<class T>() {
    const T* in = x.device_data<T>();
    T *mean_out = mean.mutable_device_data<T>(), *variance_out = variance.mutable_device_data<T>();
    parallel_for(g.c, g.grain(), [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        const auto count = static_cast<double>(g.count());
        const double m = channel_sum<T>(g, c, [&](int64_t i) { return in[i]; }) / count;
        // Two passes: the mean of squares minus the square of the mean cancels when the mean is large. The
        // last term takes out what rounding the mean to T put in.
        const T centre = static_cast<T>(m);
        const double squares =
            channel_sum<T>(g, c, [&](int64_t i) { return (in[i] - centre) * (in[i] - centre); });
        const double shift = m - static_cast<double>(centre);
        mean_out[c] = centre;
        variance_out[c] = static_cast<T>(std::max(0.0, squares / count - shift * shift));
        if (squares != squares) variance_out[c] = static_cast<T>(squares);  // max() would hide a NaN
      }
    });
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
    parallel_for(g.n * g.c, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, g.inner)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t row = begin; row < end; ++row) {
                     const int64_t c = row % g.c;
                     const T scale = w != nullptr ? r[c] * w[c] : r[c], centre = m[c];
                     const T shift = b != nullptr ? b[c] : T(0);
                     for (int64_t i = row * g.inner; i < (row + 1) * g.inner; ++i)
                       to[i] = (in[i] - centre) * scale + shift;
                   }
                 });
  });
}

// With x^ = (x - mean) rstd and N values a channel: dbias = sum dout, dweight = sum dout x^, and
// dx = weight rstd (dout - (dbias + x^ dweight) / N) in training, weight rstd dout with fixed statistics.
void batch_norm_backward(BatchNormBackward a) {
  Tensor &dx = a.dx, &dweight = a.dweight, &dbias = a.dbias;
  const Tensor &dout = a.dout, &x = a.x, &mean = a.mean, &rstd = a.rstd, &weight = a.weight;
  const bool train = a.train;
  const Geometry g(x);
  dispatch_float(x.dtype(), "batch_norm_backward", [&]<class T>() {
    const T *in = x.device_data<T>(), *grad = dout.device_data<T>(), *m = mean.device_data<T>(),
            *r = rstd.device_data<T>();
    const T* w = weight.defined() ? weight.device_data<T>() : nullptr;
    T *to = dx.mutable_device_data<T>(), *dw = dweight.mutable_device_data<T>(),
      *db = dbias.mutable_device_data<T>();
    parallel_for(g.c, g.grain(), [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        const T centre = m[c], rs = r[c], scale = w != nullptr ? rs * w[c] : rs;
        const double sum = channel_sum<T>(g, c, [&](int64_t i) { return grad[i]; });
        const double product =
            channel_sum<T>(g, c, [&](int64_t i) { return grad[i] * ((in[i] - centre) * rs); });
        db[c] = static_cast<T>(sum);
        dw[c] = static_cast<T>(product);
        const auto count = static_cast<double>(std::max<int64_t>(1, g.count()));
        const T mean_sum = train ? static_cast<T>(sum / count) : T(0);
        const T mean_product = train ? static_cast<T>(product / count) : T(0);
        for (int64_t image = 0; image < g.n; ++image) {
          const int64_t first = g.row(image, c);
          for (int64_t i = first; i < first + g.inner; ++i)
            to[i] = scale * (grad[i] - mean_sum - (in[i] - centre) * rs * mean_product);
        }
      }
    });
  });
}

}  // namespace tensor::cpu
