#include "tensor/cpu/pack_conv2d.h"

#include <algorithm>

#include "tensor/cpu/half_rows.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

constexpr int64_t kRun = 64;  // weights of a channel that are widened at a time
constexpr int64_t kLanes = 32;

void scale_run(const f16* in, float* out, int64_t n, double factor) {
  float wide[kRun];
  widen_row(wide, in, n);
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(static_cast<double>(wide[i]) * factor);
}
template <class T>
void scale_run(const T* in, float* out, int64_t n, double factor) {
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(static_cast<double>(in[i]) * factor);
}

// Channels [first, first + count) of `weight` into columns `at` on of rows of `width`: squares that stay in the
// first-level cache, since one side of a transposition jumps.
template <class T>
void pack_channels(float* to, const T* from, const double* scale, int64_t count, int64_t c, int64_t taps,
                   int64_t width) {
  const int64_t each = c * taps;
  float square[kLanes][kRun];
  for (int64_t begin = 0; begin < each; begin += kRun) {
    const int64_t n = std::min(kRun, each - begin);
    for (int64_t j = 0; j < count; ++j) scale_run(from + j * each + begin, square[j], n, scale[j]);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t row = taps == 1 ? begin + i : (begin + i) % taps * c + (begin + i) / taps;
      float* out = to + row * width;
      for (int64_t j = 0; j < count; ++j) out[j] = square[j][i];
    }
  }
}

template <class T>
void pack(float* packed, const T* from, const std::vector<double>& scale, const Shape& shape, int64_t width) {
  const int64_t o = shape[0], c = shape[1], taps = shape[2] * shape[3], rows = c * taps;
  const int64_t panels = (o + width - 1) / width, groups = (width + kLanes - 1) / kLanes;
  if (panels * width > o) {
    float* last = packed + (panels - 1) * rows * width;
    std::fill_n(last, rows * width, 0.0f);
  }
  parallel_each(panels * groups, (int64_t{1} << 15) / (rows * kLanes + 1), [&](int64_t job) {
    const int64_t panel = job / groups, at = job % groups * kLanes, first = panel * width + at;
    const int64_t count = std::min({kLanes, width - at, o - first});
    if (count > 0)
      pack_channels(packed + panel * rows * width + at, from + first * rows, scale.data() + first, count, c,
                    taps, width);
  });
}

}  // namespace

void pack_conv_weight(float* packed, const Tensor& weight, const std::vector<double>& scale, int64_t width) {
  const Tensor source = weight.contiguous();
  const auto run = [&]<class T>() { pack(packed, source.device_data<T>(), scale, weight.shape(), width); };
  if (weight.dtype() == DType::f16) return run.operator()<f16>();
  if (weight.dtype() == DType::bf16) return run.operator()<bf16>();
  dispatch_float(weight.dtype(), "packed conv2d", run);
}

}  // namespace tensor::cpu
