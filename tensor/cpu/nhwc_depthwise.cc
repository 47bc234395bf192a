#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "tensor/cpu/conv_tile.h"
#include "tensor/cpu/nhwc_conv.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

using dense::kLanes;
using dense::load;
using dense::load_one;
using dense::store;
using dense::Vector;

constexpr int kMostPixels = 8;
constexpr int64_t kRows = 8;  // of the result in a job

// What a row of the result is made of. Weights are (kernel_h, kernel_w, channels).
struct Row {
  const float* in;  // the first pixel's window
  int64_t row_step, tap_step, pixel_step;
  const float *weights, *bias, *residual;  // residual may be null
  float* out;
  int64_t first_tap, last_tap;  // rows of the kernel that lie on the picture
  int64_t kernel_w, channels;
  conv::Bounds bounds;
};

template <class V, auto Load>
void finish(const Row& r, V sum, int64_t pixel, int64_t c) {
  if (r.residual != nullptr) sum += Load(r.residual + pixel * r.channels + c);
  sum = r.bounds(sum);
  std::memcpy(r.out + pixel * r.channels + c, &sum, sizeof(V));
}

// Channels [c, c + width of V) of one pixel, for any kernel.
template <class V, auto Load>
void one_pixel(const Row& r, int64_t pixel, int64_t c) {
  V sum = Load(r.bias + c);
  const float* weights = r.weights + r.first_tap * r.kernel_w * r.channels + c;
  for (int64_t i = r.first_tap; i < r.last_tap; ++i) {
    const float* in = r.in + i * r.row_step + pixel * r.pixel_step + c;
    for (int64_t j = 0; j < r.kernel_w; ++j, in += r.tap_step, weights += r.channels)
      sum += Load(in) * Load(weights);
  }
  finish<V, Load>(r, sum, pixel, c);
}

// One vector of channels of kPixels neighbours. A number of the input is read once for all of the windows that it
// is in.
template <int kKernel, int kStride, int kPixels>
void pixels(const Row& r, int64_t first, int64_t c) {
  Vector sums[kPixels];
  for (int m = 0; m < kPixels; ++m) sums[m] = load(r.bias + c);
  const float* weights = r.weights + r.first_tap * kKernel * r.channels + c;
  for (int64_t i = r.first_tap; i < r.last_tap; ++i) {
    Vector w[kKernel];
#pragma GCC unroll 5
    for (int j = 0; j < kKernel; ++j, weights += r.channels) w[j] = load(weights);
    const float* in = r.in + i * r.row_step + first * r.pixel_step + c;
#pragma GCC unroll 20
    for (int x = 0; x < (kPixels - 1) * kStride + kKernel; ++x, in += r.tap_step) {
      const Vector value = load(in);
#pragma GCC unroll 8
      for (int m = 0; m < kPixels; ++m)
        if (const int j = x - m * kStride; j >= 0 && j < kKernel) sums[m] += value * w[j];
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < kPixels; ++m) finish<Vector, load>(r, sums[m], first + m, c);
}

using Pixels = void (*)(const Row&, int64_t, int64_t);

// By the number of pixels less one.
template <int kKernel, int kStride, int... Count>
constexpr std::array<Pixels, kMostPixels> table(std::integer_sequence<int, Count...>) {
  return {pixels<kKernel, kStride, Count + 1>...};
}
template <int kKernel, int kStride>
constexpr auto kTable = table<kKernel, kStride>(std::make_integer_sequence<int, kMostPixels>{});

// Those for a square kernel, or null.
const std::array<Pixels, kMostPixels>* find_table(int64_t kernel_h, int64_t kernel_w,
                                                  const Conv2dOptions& o) {
  if (kernel_h != kernel_w || o.dilation_w != 1) return nullptr;
  if (kernel_h == 3 && o.stride_w == 1) return &kTable<3, 1>;
  if (kernel_h == 3 && o.stride_w == 2) return &kTable<3, 2>;
  if (kernel_h == 5 && o.stride_w == 1) return &kTable<5, 1>;
  if (kernel_h == 5 && o.stride_w == 2) return &kTable<5, 2>;
  return nullptr;
}

void run_vector(const Row& r, int64_t width, int64_t c, const std::array<Pixels, kMostPixels>* table) {
  if (table == nullptr) {
    for (int64_t p = 0; p < width; ++p) one_pixel<Vector, load>(r, p, c);
    return;
  }
  const int64_t tiles = (width + kMostPixels - 1) / kMostPixels;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t first = t * width / tiles, count = (t + 1) * width / tiles - first;
    (*table)[static_cast<size_t>(count - 1)](r, first, c);
  }
}

}  // namespace

void conv2d_depthwise(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& packed, const Conv2dOptions& o,
                      const NhwcBatch* residual, Activation activation) {
  const Shape& shape = packed.weight_shape;
  const auto* table = find_table(shape[2], shape[3], o);
  const auto row_at = [&](int64_t image, int64_t y) {
    const int64_t top = y * o.stride_h - o.pad_top, dilation = o.dilation_h;
    const auto taps_above = [&](int64_t end) {
      return std::clamp<int64_t>((end - top + dilation - 1) / dilation, 0, shape[2]);
    };
    return Row{x.pixel(image, top, -o.pad_left),
               dilation * x.row_stride(),
               o.dilation_w * x.c(),
               o.stride_w * x.c(),
               packed.weight.device_data<float>(),
               packed.bias.device_data<float>(),
               residual != nullptr ? residual->pixel(image, y, 0) : nullptr,
               out.pixel(image, y, 0),
               top < 0 ? taps_above(0) : 0,
               taps_above(x.h()),
               shape[3],
               x.c(),
               conv::Bounds(activation)};
  };
  // In a job vector after vector of channels, each over all rows: the weights and the part of the picture that one
  // needs stay in the first-level cache.
  const int64_t bands = (out.h() + kRows - 1) / kRows;
  parallel_each(out.n() * bands, 1, [&](int64_t job) {
    const int64_t image = job / bands, first = job % bands * kRows, last = std::min(out.h(), first + kRows);
    std::vector<Row> rows;
    for (int64_t y = first; y < last; ++y) rows.push_back(row_at(image, y));
    int64_t c = 0;
    for (; c + kLanes <= x.c(); c += kLanes)
      for (const Row& row : rows) run_vector(row, out.w(), c, table);
    for (; c < x.c(); ++c)
      for (const Row& row : rows)
        for (int64_t p = 0; p < out.w(); ++p) one_pixel<float, load_one>(row, p, c);
  });
}

}  // namespace tensor::cpu
