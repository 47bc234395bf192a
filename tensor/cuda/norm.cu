#include <type_traits>

#include "tensor/cuda/device.h"
#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/rows.h"
#include "tensor/cuda/window_axis.h"
#include "tensor/kernels.h"

// Sums over a channel are made in f64, of tiles whose bounds depend on the shape alone: a block has one, and a
// warp joins those of a channel.
namespace tensor::cuda {
namespace {

constexpr int64_t kTile = 64 * kThreads;  // numbers of a tile

// x seen as (n, c, inner).
struct Channels {
  int64_t n, c, inner = 1;
  bool narrow;

  explicit Channels(const Tensor& x) : n(x.size(0)), c(x.size(1)), narrow(x.numel() <= INT32_MAX) {
    for (int d = 2; d < x.rank(); ++d) inner *= x.size(d);
  }
  IMGCAP_HOST_DEVICE int64_t count() const { return n * inner; }  // numbers of a channel
  int64_t tiles() const { return (count() + kTile - 1) / kTile; }

  // Where number i of a channel is.
  __device__ int64_t place(int64_t channel, int64_t i) const {
    const Division image = divide(i, inner, narrow);
    return (image.quotient * c + channel) * inner + image.rest;
  }
  __device__ int64_t channel_of(int64_t place) const {
    return divide(divide(place, inner, narrow).quotient, c, narrow).rest;
  }
};

// f(place) for the packs of P numbers that this thread has of a tile of a channel; blocks are (channel, tile).
template <int P, class F>
__device__ void for_each_pack(const Channels& g, int64_t tiles, F& f) {
  const int64_t block = blockIdx.x, channel = block / tiles, tile = block % tiles;
  const int64_t end = min(g.count(), (tile + 1) * kTile);
  for (int64_t i = tile * kTile + threadIdx.x * P; i < end; i += kThreads * P) f(g.place(channel, i));
}

// So many numbers, their mean, and the sum of the squares of what they are apart from it.
struct Moments {
  double count = 0, mean = 0, squares = 0;

  __device__ Moments from_lane(int mask) const {
    return {cuda::from_lane(count, mask), cuda::from_lane(mean, mask), cuda::from_lane(squares, mask)};
  }
};

// Chan, Golub and LeVeque 1979: nothing cancels.
struct JoinMoments {
  __device__ Moments operator()(const Moments& a, const Moments& b) const {
    if (a.count == 0) return b;
    if (b.count == 0) return a;
    const double count = a.count + b.count, apart = b.mean - a.mean, part = b.count / count;
    const bool is_finite = apart - apart == 0;
    return {count, is_finite ? a.mean + apart * part : a.mean + b.mean,
            a.squares + b.squares + apart * apart * a.count * part};
  }
};

// What a channel's means are counted from: a number that is known to be near, or its first one.
template <class T>
__device__ double origin_of(const T* origins, const T* x, const Channels& g, int64_t channel) {
  const auto origin = static_cast<double>(origins != nullptr ? origins[channel] : x[g.place(channel, 0)]);
  return origin - origin == 0 ? origin : 0;  // finite
}

// What a thread sees. Around the first number that it meets little cancels in the differences, not more than a
// factor of the number of values; around the mean nothing does.
template <int P, class T>
struct AddMoments {
  const T* x;
  double origin;
  bool is_mean;  // the origin is
  double count = 0, shift = 0, sum = 0, squares = 0;

  __device__ void operator()(int64_t place) {
    const auto pack = *reinterpret_cast<const Pack<T, P>*>(x + place);
    for (int k = 0; k < P; ++k) {
      const double value = static_cast<double>(pack.at[k]) - origin;
      if (!is_mean && count == 0 && value - value == 0) shift = value;  // finite
      const double d = value - shift;
      sum += d;
      squares += d * d;
      count += 1;
    }
  }
  __device__ Moments moments() const {
    if (count == 0) return {};
    const double rest = squares - sum * (sum / count);
    return {count, shift + sum / count, rest < 0 ? 0 : rest};
  }
};

// moments[channel][tile]. Bytes: x, moments and origins. FLOPs: 4 a number.
template <int P, class T>
__global__ void tile_moments(Moments* moments, const T* x, const T* origins, Channels g, int64_t tiles) {
  AddMoments<P, T> part{x, origin_of(origins, x, g, blockIdx.x / tiles), origins != nullptr};
  for_each_pack<P>(g, tiles, part);
  const Moments all = join_row(part.moments(), JoinMoments{});
  if (threadIdx.x == 0) moments[blockIdx.x] = all;
}

// join of a channel's `tiles` parts, for each lane of the warp that has it; of channels behind the last one,
// nothing.
template <class Part, class Join>
__device__ Part join_tiles(const Part* parts, int64_t channel, int64_t channels, int64_t tiles, Join join) {
  Part part{};
  for (int64_t i = threadIdx.x; channel < channels && i < tiles; i += kWarp)
    part = join(part, parts[channel * tiles + i]);
  return join_warp(part, join);
}

// Bytes: moments, mean, variance, and what channels are counted from. FLOPs: 8 a tile.
template <class T, class Wide>
__global__ void finish_moments(T* mean, Wide* variance, const Moments* moments, const T* x, const T* origins,
                               Channels g, int64_t tiles) {
  const int64_t channel = row_index();
  const Moments all = join_tiles(moments, channel, g.c, tiles, JoinMoments{});
  if (channel >= g.c || threadIdx.x != 0) return;
  mean[channel] = static_cast<T>(origin_of(origins, x, g, channel) + all.mean);
  variance[channel] = static_cast<Wide>(all.squares / all.count);
}

// A thread has a pack of P numbers. Bytes: x, out, and a number of each of the others for each channel. FLOPs: 3
// a number.
template <int P, class T>
__global__ void apply(T* out, const T* x, const T* mean, const T* rstd, const T* weight, const T* bias,
                      Channels g, int64_t packs) {
  const int64_t at = thread_index();
  if (at >= packs) return;
  const int64_t c = g.channel_of(at * P);
  const T scale = weight != nullptr ? rstd[c] * weight[c] : rstd[c], centre = mean[c];
  const T shift = bias != nullptr ? bias[c] : T(0);
  auto pack = reinterpret_cast<const Pack<T, P>*>(x)[at];
  for (int k = 0; k < P; ++k) pack.at[k] = (pack.at[k] - centre) * scale + shift;
  reinterpret_cast<Pack<T, P>*>(out)[at] = pack;
}

// Of dout, and of dout (x - mean) rstd.
struct Sums {
  double gradient = 0, product = 0;

  __device__ Sums operator+(const Sums& other) const {
    return {gradient + other.gradient, product + other.product};
  }
  __device__ Sums from_lane(int mask) const {
    return {cuda::from_lane(gradient, mask), cuda::from_lane(product, mask)};
  }
};

template <int P, class T>
struct AddGradients {
  const T *dout, *x;
  T centre, rstd;
  Sums sums = {};

  __device__ void operator()(int64_t place) {
    const auto gradient = *reinterpret_cast<const Pack<T, P>*>(dout + place);
    const auto input = *reinterpret_cast<const Pack<T, P>*>(x + place);
    for (int k = 0; k < P; ++k) {
      const auto g = static_cast<double>(gradient.at[k]);
      sums.gradient += g;
      sums.product += g * static_cast<double>((input.at[k] - centre) * rstd);
    }
  }
};

// sums[channel][tile]. Bytes: dout, x, mean, rstd and sums. FLOPs: 5 a number.
template <int P, class T>
__global__ void tile_sums(Sums* sums, const T* dout, const T* x, const T* mean, const T* rstd, Channels g,
                          int64_t tiles) {
  const int64_t channel = blockIdx.x / tiles;
  AddGradients<P, T> part{dout, x, mean[channel], rstd[channel]};
  for_each_pack<P>(g, tiles, part);
  const Sums all = join_row(part.sums, Add{});
  if (threadIdx.x == 0) sums[blockIdx.x] = all;
}

// Bytes: sums, dweight and dbias. FLOPs: 2 a tile.
template <class T>
__global__ void finish_sums(T* dweight, T* dbias, const Sums* sums, int64_t channels, int64_t tiles) {
  const int64_t channel = row_index();
  const Sums all = join_tiles(sums, channel, channels, tiles, Add{});
  if (channel >= channels || threadIdx.x != 0) return;
  dbias[channel] = static_cast<T>(all.gradient);
  dweight[channel] = static_cast<T>(all.product);
}

// What dx is made of, beside dout and x: a number for each channel.
template <class T>
struct InputGradient {
  const T *mean, *rstd, *weight, *dweight, *dbias;
  bool train;
};

// A thread has a pack of P numbers. With fixed statistics x, mean and the sums are not needed. Bytes: dout, x,
// dx and what channels have. FLOPs: 6 a number, or 1.
template <int P, class T>
__global__ void input_gradient(T* dx, const T* dout, const T* x, InputGradient<T> a, Channels g,
                               int64_t packs) {
  const int64_t at = thread_index();
  if (at >= packs) return;
  const int64_t c = g.channel_of(at * P);
  const T rstd = a.rstd[c], scale = a.weight != nullptr ? rstd * a.weight[c] : rstd;
  auto gradient = reinterpret_cast<const Pack<T, P>*>(dout)[at];
  if (a.train) {
    const auto input = reinterpret_cast<const Pack<T, P>*>(x)[at];
    const auto count = static_cast<double>(g.count());
    const T mean_sum = static_cast<T>(static_cast<double>(a.dbias[c]) / count),
            mean_product = static_cast<T>(static_cast<double>(a.dweight[c]) / count), centre = a.mean[c];
    for (int k = 0; k < P; ++k)
      gradient.at[k] = gradient.at[k] - mean_sum - (input.at[k] - centre) * rstd * mean_product;
  }
  for (int k = 0; k < P; ++k) gradient.at[k] *= scale;
  reinterpret_cast<Pack<T, P>*>(dx)[at] = gradient;
}

// f with the numbers of a pack.
template <class T, class F>
void dispatch_packs(const Channels& g, std::initializer_list<const void*> tensors, const F& f) {
  if (in_packs<T>(g.inner, tensors))
    f.template operator()<kPack<T>>();
  else
    f.template operator()<1>();
}

Launch by_tiles(const char* op, Device device, const Channels& g, double flops, double bytes) {
  return {.op = op,
          .device = device,
          .grid = dim3(static_cast<unsigned>(g.c * g.tiles())),
          .block = kThreads,
          .barriers = Barriers::some,
          .flops = flops,
          .bytes = bytes};
}

Launch by_channels(const char* op, Device device, const Channels& g, double flops, double bytes) {
  const RowLaunch rows(g.c, kWarp);
  return {.op = op,
          .device = device,
          .grid = rows.grid,
          .block = rows.block,
          .barriers = Barriers::some,
          .flops = flops,
          .bytes = bytes};
}

// Room for a part of each tile.
template <class Part>
Tensor empty_parts(const Channels& g, Device device) {
  return Tensor::empty({g.c * g.tiles(), int64_t{sizeof(Part) / sizeof(double)}}, DType::f64, device);
}

double bytes_of(const Tensor& t) { return t.defined() ? static_cast<double>(t.bytes()) : 0; }

}  // namespace

void batch_norm_statistics(Tensor& mean, Tensor& variance, const Tensor& x) {
  const Channels g(x);
  const char* op = "batch_norm_statistics";
  if (g.c == 0) return;
  if (g.count() == 0) return fill(mean, kNaN<double>), fill(variance, kNaN<double>);
  const Device device = x.device();
  const auto tiles = static_cast<double>(g.c * g.tiles());
  Tensor parts = empty_parts<Moments>(g, device);
  auto* moments = reinterpret_cast<Moments*>(parts.mutable_device_raw());
  const auto run = [&]<class T, class Wide>() {
    const T* source = x.device_data<T>();
    T* means = mean.mutable_device_data<T>();
    Wide* variances = variance.mutable_device_data<Wide>();
    const auto pass = [&](const T* origins) {
      const double known = origins != nullptr ? bytes_of(mean) : 0;
      dispatch_packs<T>(g, {source}, [&]<int P>() {
        launch(by_tiles(op, device, g, 4.0 * static_cast<double>(x.numel()),
                        bytes_of(x) + bytes_of(parts) + known),
               tile_moments<P, T>, moments, source, origins, g, g.tiles());
      });
      launch(by_channels(op, device, g, 8 * tiles, bytes_of(parts) + 2 * bytes_of(mean) + bytes_of(variance)),
             finish_moments<T, Wide>, means, variances, moments, source, origins, g, g.tiles());
    };
    pass(nullptr);
    // Again around the means: values of f64 have no digits to spare.
    if (std::is_same_v<T, double>) pass(means);
  };
  dispatch_float(x.dtype(), op, [&]<class T>() {
    if (variance.dtype() == DType::f64)
      run.template operator()<T, double>();
    else
      run.template operator()<T, T>();
  });
}

void batch_norm_apply(Tensor& out, const Tensor& x, const Tensor& mean, const Tensor& rstd,
                      const Tensor& weight, const Tensor& bias) {
  const Channels g(x);
  const int64_t n = x.numel();
  if (n == 0) return;
  dispatch_float(x.dtype(), "batch_norm_apply", [&]<class T>() {
    const T *source = x.device_data<T>(), *w = weight.defined() ? weight.device_data<T>() : nullptr,
            *b = bias.defined() ? bias.device_data<T>() : nullptr;
    T* target = out.mutable_device_data<T>();
    dispatch_packs<T>(g, {source, target}, [&]<int P>() {
      launch({.op = "batch_norm_apply",
              .device = out.device(),
              .grid = grid_of(n / P),
              .block = kThreads,
              .flops = 3.0 * static_cast<double>(n),
              .bytes = bytes_of(x) + bytes_of(out) + bytes_of(mean) + bytes_of(rstd) + bytes_of(weight) +
                       bytes_of(bias)},
             apply<P, T>, target, source, mean.device_data<T>(), rstd.device_data<T>(), w, b, g, n / P);
    });
  });
}

// With x^ = (x - mean) rstd and N values per channel: dbias = sum dout, dweight = sum dout x^, and
// dx = weight rstd (dout - (dbias + x^ dweight) / N) in training, weight rstd dout with fixed statistics.
void batch_norm_backward(BatchNormBackward a) {
  const Channels g(a.x);
  const char* op = "batch_norm_backward";
  const int64_t n = a.x.numel();
  if (n == 0) return fill(a.dweight, 0), fill(a.dbias, 0);
  const Device device = a.x.device();
  const auto numbers = static_cast<double>(n), tiles = static_cast<double>(g.c * g.tiles());
  Tensor parts = empty_parts<Sums>(g, device);
  auto* sums = reinterpret_cast<Sums*>(parts.mutable_device_raw());
  dispatch_float(a.x.dtype(), op, [&]<class T>() {
    const T *x = a.x.device_data<T>(), *dout = a.dout.device_data<T>(), *mean = a.mean.device_data<T>(),
            *rstd = a.rstd.device_data<T>();
    T *dx = a.dx.mutable_device_data<T>(), *dweight = a.dweight.mutable_device_data<T>(),
      *dbias = a.dbias.mutable_device_data<T>();
    const InputGradient<T> rest{mean,    rstd,  a.weight.defined() ? a.weight.device_data<T>() : nullptr,
                                dweight, dbias, a.train};
    const double channels = bytes_of(a.rstd) + bytes_of(a.weight) + (a.train ? 3 * bytes_of(a.mean) : 0);
    dispatch_packs<T>(g, {x, dout, dx}, [&]<int P>() {
      launch(by_tiles(op, device, g, 5 * numbers, 2 * bytes_of(a.x) + 2 * bytes_of(a.mean) + bytes_of(parts)),
             tile_sums<P, T>, sums, dout, x, mean, rstd, g, g.tiles());
      launch(by_channels(op, device, g, 2 * tiles, bytes_of(parts) + 2 * bytes_of(a.mean)), finish_sums<T>,
             dweight, dbias, sums, g.c, g.tiles());
      launch({.op = op,
              .device = device,
              .grid = grid_of(n / P),
              .block = kThreads,
              .flops = (a.train ? 6 : 1) * numbers,
              .bytes = (a.train ? 3 : 2) * bytes_of(a.x) + channels},
             input_gradient<P, T>, dx, dout, x, rest, g, n / P);
    });
  });
}

}  // namespace tensor::cuda
