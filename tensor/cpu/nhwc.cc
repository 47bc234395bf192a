#include "tensor/cpu/nhwc.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "tensor/thread_pool.h"
#include "tensor/window.h"

namespace tensor::cpu {
namespace {

using namespace dense;

Runs window_runs(const NhwcBatch& x, int64_t kh, int64_t kw, const Conv2dOptions& o) {
  Runs runs;
  const bool whole_rows = o.dilation_w == 1;
  for (int64_t i = 0; i < kh; ++i) {
    const int64_t row = i * o.dilation_h * x.row_stride();
    if (whole_rows) runs.offsets.push_back(row);
    for (int64_t j = 0; !whole_rows && j < kw; ++j) runs.offsets.push_back(row + j * o.dilation_w * x.c());
  }
  runs.length = whole_rows ? kw * x.c() : x.c();
  return runs;
}

// One row of a depthwise convolution for channels [c, c + width of V) and kPixels pixels at a time.
template <class V, auto Load, int kPixels>
void depthwise_pixels(const float* in, int64_t pixel_step, float* out, const float* residual, int64_t c,
                      const Runs& taps, const float* weights, const float* bias, int64_t channels,
                      Activation activation) {
  V sums[kPixels];
  for (int m = 0; m < kPixels; ++m) sums[m] = Load(bias + c);
  for (const int64_t offset : taps.offsets) {
    const V w = Load(weights + c);
    weights += channels;
#pragma GCC unroll 8
    for (int m = 0; m < kPixels; ++m) sums[m] += Load(in + offset + m * pixel_step + c) * w;
  }
  for (int m = 0; m < kPixels; ++m) {
    if (residual != nullptr) sums[m] += Load(residual + m * channels + c);
    sums[m] = activate(sums[m], activation);
    std::memcpy(out + m * channels + c, &sums[m], sizeof(V));
  }
}

}  // namespace

NhwcBatch::NhwcBatch(int64_t n, int64_t h, int64_t w, int64_t c, const Border& border)
    : n_(n), h_(h), w_(w), c_(c), border_(border) {
  storage_ = Tensor::empty({n, h + border.top + border.bottom, w + border.left + border.right, c});
  data_ = storage_.mutable_data<float>();
  for (int64_t image = 0; image < n; ++image) {
    for (int64_t y = -border.top; y < h + border.bottom; ++y) {
      if (y < 0 || y >= h) {
        std::fill_n(pixel(image, y, -border.left), row_stride(), 0.0f);
      } else {
        std::fill_n(pixel(image, y, -border.left), border.left * c, 0.0f);
        std::fill_n(pixel(image, y, w), border.right * c, 0.0f);
      }
    }
  }
}

NhwcBatch NhwcBatch::from_nchw(const Tensor& x, const Border& border) {
  check(x.rank() == 4, ErrorKind::shape, "channels last: input {} must be (n, c, h, w)",
        to_string(x.shape()));
  NhwcBatch result(x.size(0), x.size(2), x.size(3), x.size(1), border);
  const float* from = x.data<float>();
  const Shape& s = x.strides();
  parallel_for(result.n_ * result.h_,
               std::max<int64_t>(1, 16384 / std::max<int64_t>(1, result.w_ * result.c_)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   const int64_t image = row / result.h_, y = row % result.h_;
                   float* to = result.pixel(image, y, 0);
                   for (int64_t c = 0; c < result.c_; ++c) {
                     const float* line = from + image * s[0] + c * s[1] + y * s[2];
                     for (int64_t i = 0; i < result.w_; ++i) to[i * result.c_ + c] = line[i * s[3]];
                   }
                 }
               });
  return result;
}

Tensor NhwcBatch::to_nchw() const {
  return storage_.slice(1, border_.top, border_.top + h_)
      .slice(2, border_.left, border_.left + w_)
      .permute({0, 3, 1, 2});
}

PackedConv2d::PackedConv2d(const Tensor& weight, const std::vector<double>& scale,
                           const std::vector<double>& bias, int64_t groups)
    : shape_(weight.shape()), depthwise_(groups != 1) {
  check(weight.rank() == 4 && scale.size() == bias.size() &&
            static_cast<int64_t>(bias.size()) == weight.size(0),
        ErrorKind::shape,
        "packed conv2d: weight {} must be (o, c / groups, kh, kw), with o scales ({}) and biases ({})",
        to_string(weight.shape()), scale.size(), bias.size());
  const int64_t o = shape_[0], c = shape_[1], taps = shape_[2] * shape_[3];
  check(groups == 1 || (groups == o && c == 1), ErrorKind::argument,
        "packed conv2d: {} groups for weight {}: only one group or a depthwise convolution", groups,
        to_string(shape_));
  const int64_t width = depthwise_ ? o : kPanel, panels = depthwise_ ? 1 : (o + kPanel - 1) / kPanel;
  packed_ = Tensor::zeros({panels, shape_[2], shape_[3], c, width});
  bias_ = Tensor::zeros({panels * width});
  std::transform(bias.begin(), bias.end(), bias_.mutable_data<float>(),
                 [](double b) { return static_cast<float>(b); });
  float* to = packed_.mutable_data<float>();
  const Tensor source = weight.contiguous();
  dispatch_float(weight.dtype(), "packed conv2d", [&]<class T>() {
    const T* w = source.data<T>();
    parallel_for(panels, 1, [&](int64_t begin, int64_t end) {
      for (int64_t m = begin * width; m < std::min(o, end * width); ++m) {
        const double factor = scale[static_cast<size_t>(m)];
        for (int64_t k = 0; k < c; ++k)
          for (int64_t tap = 0; tap < taps; ++tap)
            to[((m / width * taps + tap) * c + k) * width + m % width] =
                static_cast<float>(static_cast<double>(w[(m * c + k) * taps + tap]) * factor);
      }
    });
  });
}

void PackedConv2d::run(NhwcBatch& out, const NhwcBatch& x, const Conv2dOptions& options,
                       const NhwcBatch* residual, Activation activation) const {
  Conv2dOptions o = options;
  o.groups = depthwise_ ? shape_[0] : 1;
  const Shape expected = conv2d_output_shape({x.n(), x.c(), x.h(), x.w()}, shape_, o, "packed conv2d");
  const auto fits = [&](const NhwcBatch& b) { return Shape{b.n(), b.c(), b.h(), b.w()} == expected; };
  check(fits(out) && (residual == nullptr || fits(*residual)), ErrorKind::shape,
        "packed conv2d: the output and the residual must be {}", to_string(expected));
  const Border& b = x.border();
  check(b.top >= o.pad_top && b.bottom >= o.pad_bottom && b.left >= o.pad_left && b.right >= o.pad_right,
        ErrorKind::internal, "packed conv2d: the input's border is smaller than the padding");
  if (expected.numel() == 0) return;
  depthwise_ ? run_depthwise(out, x, o, residual, activation) : run_dense(out, x, o, residual, activation);
}

void PackedConv2d::run_dense(NhwcBatch& out, const NhwcBatch& x, const Conv2dOptions& o,
                             const NhwcBatch* residual, Activation activation) const {
  const Runs runs = window_runs(x, shape_[2], shape_[3], o);
  const int64_t panels = bias_.numel() / kPanel, panel_size = packed_.numel() / std::max<int64_t>(1, panels);
  const int64_t pixels = out.n() * out.h() * out.w();
  // A job's input should stay in the second-level cache while panel after panel passes over it; the number of
  // jobs should suffice for several threads.
  const int64_t block = std::clamp<int64_t>(32768 / std::max<int64_t>(1, x.c()), 8 * kTile, 512);
  const int64_t blocks = (pixels + block - 1) / block;
  const int64_t group = std::clamp<int64_t>(panels * blocks / 16, 1, panels);
  const int64_t groups = (panels + group - 1) / group;
  const float *weights = packed_.data<float>(), *bias = bias_.data<float>();
  parallel_for(blocks * groups, 1, [&](int64_t begin, int64_t end) {
    std::vector<const float*> in, add;
    std::vector<float*> to;
    for (int64_t job = begin; job < end; ++job) {
      const int64_t first = job % blocks * block, count = std::min(block, pixels - first);
      in.clear(), add.clear(), to.clear();
      for (int64_t p = first; p < first + count; ++p) {
        const int64_t column = p % out.w(), row = p / out.w() % out.h(), image = p / out.w() / out.h();
        in.push_back(x.pixel(image, row * o.stride_h - o.pad_top, column * o.stride_w - o.pad_left));
        to.push_back(out.pixel(image, row, column));
        if (residual != nullptr) add.push_back(residual->pixel(image, row, column));
      }
      // Tiles of nearly equal size: a last tile of one pixel would take as long as one of three.
      const int64_t tiles = (count + kTile - 1) / kTile, least = count / tiles, larger = count % tiles;
      const int64_t last = std::min(panels, (job / blocks + 1) * group);
      for (int64_t panel = job / blocks * group; panel < last; ++panel) {
        const Epilogue epilogue{bias + panel * kPanel, activation,
                                std::min<int64_t>(kPanel, shape_[0] - panel * kPanel)};
        for (int64_t tile = 0, p = 0; tile < tiles; ++tile) {
          const int64_t rows = least + (tile < larger ? 1 : 0);
          const auto at = static_cast<size_t>(p);
          kDenseTiles[static_cast<size_t>(rows - 1)](&in[at], runs, weights + panel * panel_size,
                                                     residual != nullptr ? &add[at] : nullptr, &to[at],
                                                     panel * kPanel, epilogue);
          p += rows;
        }
      }
    }
  });
}

void PackedConv2d::run_depthwise(NhwcBatch& out, const NhwcBatch& x, const Conv2dOptions& o,
                                 const NhwcBatch* residual, Activation activation) const {
  Runs taps;
  for (int64_t i = 0; i < shape_[2]; ++i)
    for (int64_t j = 0; j < shape_[3]; ++j)
      taps.offsets.push_back(i * o.dilation_h * x.row_stride() + j * o.dilation_w * x.c());
  const int64_t channels = x.c(), step = o.stride_w * channels, ow = out.w();
  const float *weights = packed_.data<float>(), *bias = bias_.data<float>();
  const int64_t work = ow * channels * static_cast<int64_t>(taps.offsets.size());
  parallel_for(
      out.n() * out.h(), std::max<int64_t>(1, 65536 / std::max<int64_t>(1, work)),
      [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          const int64_t image = row / out.h(), y = row % out.h();
          const float* in = x.pixel(image, y * o.stride_h - o.pad_top, -o.pad_left);
          const float* add = residual != nullptr ? residual->pixel(image, y, 0) : nullptr;
          float* to = out.pixel(image, y, 0);
          constexpr int kPixels = 4;
          for (int64_t q = 0; q < ow; q += kPixels) {
            const bool whole = q + kPixels <= ow;
            for (int64_t p = q; p < std::min(ow, q + kPixels); p += whole ? kPixels : 1) {
              const float* more = add != nullptr ? add + p * channels : nullptr;
              int64_t c = 0;
              for (; c + kLanes <= channels; c += kLanes)
                (whole ? depthwise_pixels<Vector, load, kPixels>
                       : depthwise_pixels<Vector, load, 1>)(in + p * step, step, to + p * channels, more, c,
                                                            taps, weights, bias, channels, activation);
              for (; c < channels; ++c)
                (whole ? depthwise_pixels<float, load_one, kPixels>
                       : depthwise_pixels<float, load_one, 1>)(in + p * step, step, to + p * channels, more,
                                                               c, taps, weights, bias, channels, activation);
            }
          }
        }
      });
}

void max_pool2d_nhwc(NhwcBatch& out, const NhwcBatch& x, const Pool2dOptions& o) {
  const Shape expected = pool2d_output_shape({x.n(), x.c(), x.h(), x.w()}, o, "max_pool2d");
  check(expected == Shape{out.n(), out.c(), out.h(), out.w()}, ErrorKind::shape,
        "max_pool2d: the output must be {}", to_string(expected));
  const int64_t channels = x.c();
  parallel_for(out.n() * out.h(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t image = row / out.h(), y = row % out.h();
      for (int64_t q = 0; q < out.w(); ++q) {
        float* to = out.pixel(image, y, q);
        std::fill_n(to, channels, -std::numeric_limits<float>::infinity());
        for (int64_t i = 0; i < o.kernel_h; ++i) {
          const int64_t iy = y * o.stride_h - o.pad_h + i * o.dilation_h;
          if (iy < 0 || iy >= x.h()) continue;
          for (int64_t j = 0; j < o.kernel_w; ++j) {
            const int64_t ix = q * o.stride_w - o.pad_w + j * o.dilation_w;
            if (ix < 0 || ix >= x.w()) continue;
            const float* from = x.pixel(image, iy, ix);
            for (int64_t c = 0; c < channels; ++c)
              to[c] = from[c] > to[c] || from[c] != from[c] ? from[c] : to[c];  // a NaN wins
          }
        }
      }
    }
  });
}

}  // namespace tensor::cpu
