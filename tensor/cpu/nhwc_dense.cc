#include <algorithm>
#include <utility>
#include <vector>

#include "tensor/cpu/conv_tile.h"
#include "tensor/cpu/nhwc_conv.h"
#include "tensor/cpu/onednn_conv.h"
#include "tensor/cpu/pack_conv2d.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

using dense::kLanes;
using dense::kPanel;
using dense::panels_of;
using dense::Runs;

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

// Where the pixels of a job are.
struct Pixels {
  std::vector<const float*> in, residual;
  std::vector<float*> out;

  void find(int64_t first, int64_t count, NhwcBatch& to, const NhwcBatch& x, const Conv2dOptions& o,
            const NhwcBatch* more) {
    in.clear(), residual.clear(), out.clear();
    int64_t column = first % to.w(), row = first / to.w() % to.h(), image = first / to.w() / to.h();
    while (count > 0) {
      const float* from = x.pixel(image, row * o.stride_h - o.pad_top, column * o.stride_w - o.pad_left);
      const float* add = more != nullptr ? more->pixel(image, row, column) : nullptr;
      float* there = to.pixel(image, row, column);
      for (; count > 0 && column < to.w(); ++column, --count) {
        in.push_back(from), from += o.stride_w * x.c();
        out.push_back(there), there += to.c();
        if (more != nullptr) residual.push_back(add), add += to.c();
      }
      column = 0;
      if (++row == to.h()) row = 0, ++image;
    }
  }
};

// All pixels times a group of output channels, in tiles of nearly equal size: a last tile of one pixel would take
// as long as one of three.
void run_group(const Pixels& pixels, int vectors, const Runs& runs, const conv::Group& group) {
  const auto count = std::ssize(pixels.in);
  const int64_t most = conv::pixels_of(vectors), tiles = (count + most - 1) / most;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t at = t * count / tiles, rows = (t + 1) * count / tiles - at;
    conv::kTiles[static_cast<size_t>(vectors - 1)][static_cast<size_t>(rows - 1)](
        pixels.in.data() + at, runs, group, pixels.residual.empty() ? nullptr : pixels.residual.data() + at,
        pixels.out.data() + at);
  }
}

}  // namespace

void conv2d_dense(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& packed, const Conv2dOptions& o,
                  const NhwcBatch* residual, Activation activation) {
  const Shape& shape = packed.weight_shape;
  const Runs runs = window_runs(x, shape[2], shape[3], o);
  const int64_t panel_size = runs.length * std::ssize(runs.offsets) * kPanel;
  // The output channels' vectors in groups of nearly equal size.
  const int64_t vectors = (shape[0] + kLanes - 1) / kLanes,
                groups = (vectors + conv::kMostVectors - 1) / conv::kMostVectors;
  const int64_t pixels = out.n() * out.h() * out.w();
  // A job's input should stay in the second-level cache while group after group passes over it; the number of
  // jobs should suffice for several threads.
  const int64_t block = std::clamp<int64_t>(32768 / std::max<int64_t>(1, x.c()), 96, 512);
  const int64_t blocks = (pixels + block - 1) / block;
  const int64_t share = std::clamp<int64_t>(groups * blocks / 16, 1, groups);  // groups of a job
  const int64_t shares = (groups + share - 1) / share;
  const float *weights = packed.weight.device_data<float>(), *bias = packed.bias.device_data<float>();
  parallel_for(blocks * shares, 1, [&](int64_t begin, int64_t end) {
    Pixels job_pixels;
    for (int64_t job = begin; job < end; ++job) {
      const int64_t first = job % blocks * block;
      job_pixels.find(first, std::min(block, pixels - first), out, x, o, residual);
      const int64_t last = std::min(groups, (job / blocks + 1) * share);
      for (int64_t g = job / blocks * share; g < last; ++g) {
        const int64_t at = g * vectors / groups, count = (g + 1) * vectors / groups - at;
        conv::Group group{
            {}, bias + at * kLanes, at * kLanes, shape[0] - at * kLanes, conv::Bounds(activation)};
        for (int64_t v = at; v < at + count; ++v)
          group.weights[v - at] = weights + v / 2 * panel_size + v % 2 * kLanes;
        run_group(job_pixels, static_cast<int>(count), runs, group);
      }
    }
  });
}

void pack_conv2d(PackedConv2d& out, const Tensor& weight, const std::vector<double>& scale,
                 const std::vector<double>& bias) {
  const Shape& shape = weight.shape();
  const int64_t o = shape[0], c = shape[1];
  const int64_t width = out.depthwise() ? o : kPanel, panels = out.depthwise() ? 1 : panels_of(o);
  out.weight = Tensor::empty({panels, shape[2], shape[3], c, width}, DType::f32, weight.device());
  out.onednn = make_onednn_conv();
  out.bias = Tensor::zeros({panels * width}, DType::f32, weight.device());
  std::transform(bias.begin(), bias.end(), out.bias.mutable_device_data<float>(),
                 [](double b) { return static_cast<float>(b); });
  pack_conv_weight(out.weight.mutable_device_data<float>(), weight, scale, width);
  if (is_half(out.dtype)) out.weight = out.weight.to(out.dtype).to(DType::f32);
}

}  // namespace tensor::cpu
