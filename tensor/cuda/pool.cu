#include "tensor/adaptive_cell.h"
#include "tensor/cuda/bad_index.h"
#include "tensor/cuda/device.h"
#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/rows.h"
#include "tensor/cuda/window_axis.h"
#include "tensor/kernels.h"

namespace tensor::cuda {
namespace {

using Cell = internal::AdaptiveCell;

// A thread has one window. Bytes: what the windows see of x, out and indices. FLOPs: 1 for each number of a
// window.
template <class T>
__global__ void greatest(T* out, int64_t* indices, const T* x, Windows windows, int64_t planes, bool narrow) {
  const int64_t at = thread_index();
  if (at >= planes * windows.outputs()) return;
  const Division row = divide(at, windows.x.out, narrow), plane = divide(row.quotient, windows.y.out, narrow);
  const T* from = x + plane.quotient * windows.inputs();
  T best = -kInfinity<T>;
  int64_t place = -1;
  for (int64_t i = 0; i < windows.y.taps; ++i) {
    const int64_t iy = windows.y.input(plane.rest, i);
    if (!windows.y.has(iy)) continue;
    for (int64_t j = 0; j < windows.x.taps; ++j) {
      const int64_t ix = windows.x.input(row.rest, j);
      if (!windows.x.has(ix)) continue;
      const T value = from[iy * windows.x.in + ix];
      // The first of equals; a NaN wins, so that it is seen.
      if (place < 0 || value > best || value != value) best = value, place = iy * windows.x.in + ix;
    }
  }
  out[at] = best;
  indices[at] = place;
}

// A warp has a plane. Windows overlap, so of 32 cells at a time the first one of each place adds what all of
// them have for it, in their order. Bytes: dx, dout and indices. FLOPs: 1 a cell.
template <class T>
__global__ void give_to_greatest(T* dx, const T* dout, const int64_t* indices, int64_t planes, int64_t inputs,
                                 int64_t cells, IndexCheck check) {
  const int64_t plane = row_index();
  const int lane = static_cast<int>(threadIdx.x);
  T* to = dx + plane * inputs;
  for (int64_t i = lane; plane < planes && i < inputs; i += kWarp) to[i] = 0;
  __syncwarp();
  for (int64_t first = 0; plane < planes && first < cells; first += kWarp) {
    const int64_t cell = first + lane, at = plane * cells + cell;
    int64_t place = cell < cells ? indices[at] : -1;  // -1: a window of padding only
    const T gradient = cell < cells ? dout[at] : T(0);
    if (place >= 0 && !is_good(check, place, inputs, at)) place = -1;
    bool is_first = place >= 0;
    T sum = is_first ? to[place] : T(0);
    for (int k = 0; k < kWarp; ++k) {
      const int64_t other = of_lane(place, k);
      const T more = of_lane(gradient, k);
      if (other != place) continue;
      sum += more;
      is_first = is_first && k >= lane;
    }
    if (is_first) to[place] = sum;
    __syncwarp();
  }
}

// A thread, or a warp where cells are large, has one cell; sums in f64. Bytes: x and out. FLOPs: 1 for each
// number of a cell.
template <bool by_warp, class T>
__global__ void average(T* out, const T* x, int64_t cells, int64_t h, int64_t w, int64_t oh, int64_t ow,
                        bool narrow) {
  const int64_t at = by_warp ? row_index() : thread_index();
  const int64_t lane = by_warp ? threadIdx.x : 0;
  double sum = 0, count = 1;
  if (at < cells) {
    const Division row = divide(at, ow, narrow), plane = divide(row.quotient, oh, narrow);
    const Cell rows(plane.rest, h, oh), columns(row.rest, w, ow);
    const T* from = x + (plane.quotient * h + rows.begin) * w + columns.begin;
    const int64_t size = rows.size() * columns.size();
    for (int64_t i = lane; i < size; i += by_warp ? kWarp : 1) {
      const Division place = divide(i, columns.size(), narrow);
      sum += static_cast<double>(from[place.quotient * w + place.rest]);
    }
    count = static_cast<double>(size);
  }
  if constexpr (by_warp) sum = join_warp(sum, Add{});
  if (at < cells && lane == 0) out[at] = static_cast<T>(sum / count);
}

// A thread has one input, and adds its shares of the cells that it is in, in f64. Bytes: dx and dout. FLOPs: 3
// for each cell that an input is in.
template <class T>
__global__ void share(T* dx, const T* dout, int64_t inputs, int64_t h, int64_t w, int64_t oh, int64_t ow,
                      bool narrow) {
  const int64_t at = thread_index();
  if (at >= inputs) return;
  const Division row = divide(at, w, narrow), plane = divide(row.quotient, h, narrow);
  const Cell rows(plane.rest, oh, h), columns(row.rest, ow, w);
  double sum = 0;
  for (int64_t y = rows.begin; y < rows.end; ++y) {
    const auto height = static_cast<double>(Cell(y, h, oh).size());
    for (int64_t q = columns.begin; q < columns.end; ++q)
      sum += static_cast<double>(dout[(plane.quotient * oh + y) * ow + q]) /
             (height * static_cast<double>(Cell(q, w, ow).size()));
  }
  dx[at] = static_cast<T>(sum);
}

bool is_narrow(const Tensor& a, const Tensor& b) { return a.numel() <= INT32_MAX && b.numel() <= INT32_MAX; }

double in_cells(int64_t in, int64_t out) {
  int64_t count = 0;
  for (int64_t i = 0; i < out; ++i) count += Cell(i, in, out).size();
  return static_cast<double>(count);
}

// How many pairs of a number of `large` and a cell of `small` there are.
double in_cells(const Tensor& large, const Tensor& small) {
  return static_cast<double>(large.size(0) * large.size(1)) * in_cells(large.size(2), small.size(2)) *
         in_cells(large.size(3), small.size(3));
}

double bytes_of(const Tensor& a, const Tensor& b) { return static_cast<double>(a.bytes() + b.bytes()); }

}  // namespace

void max_pool2d(Tensor& out, Tensor& indices, const Tensor& x, const Pool2dOptions& options) {
  if (out.numel() == 0) return;
  const Pool2dOptions& p = options;
  const Windows windows{.y = {x.size(2), out.size(2), p.kernel_h, p.stride_h, p.pad_h, p.dilation_h},
                        .x = {x.size(3), out.size(3), p.kernel_w, p.stride_w, p.pad_w, p.dilation_w}};
  const int64_t planes = x.size(0) * x.size(1);
  const auto count = static_cast<double>(planes);
  dispatch_float(x.dtype(), "max_pool2d", [&]<class T>() {
    launch({.op = "max_pool2d",
            .device = out.device(),
            .grid = grid_of(out.numel()),
            .block = kThreads,
            .flops = count * windows.pairs(),
            .bytes = count * windows.seen() * sizeof(T) + bytes_of(out, indices)},
           greatest<T>, out.mutable_device_data<T>(), indices.mutable_device_data<int64_t>(),
           x.device_data<T>(), windows, planes, is_narrow(out, x));
  });
}

void max_pool2d_backward(Tensor& dx, const Tensor& dout, const Tensor& indices) {
  if (dx.numel() == 0) return;
  const int64_t planes = dx.size(0) * dx.size(1), in = dx.size(2) * dx.size(3);
  const IndexCheck check = check_indices(dx.device(), [in](int64_t index, int64_t) {
    return format("max_pool2d_backward: index {} for planes of {} elements", index, in);
  });
  constexpr int64_t kWarps = kThreads / kWarp;
  dispatch_float(dx.dtype(), "max_pool2d_backward", [&]<class T>() {
    launch({.op = "max_pool2d_backward",
            .device = dx.device(),
            .grid = dim3(static_cast<unsigned>((planes + kWarps - 1) / kWarps)),
            .block = dim3(kWarp, kWarps),
            .barriers = Barriers::some,
            .flops = static_cast<double>(dout.numel()),
            .bytes = bytes_of(dout, indices) + static_cast<double>(dx.bytes())},
           give_to_greatest<T>, dx.mutable_device_data<T>(), dout.device_data<T>(),
           indices.device_data<int64_t>(), planes, in, dout.size(2) * dout.size(3), check);
  });
}

void adaptive_avg_pool2d(Tensor& out, const Tensor& x) {
  const int64_t cells = out.numel();
  if (cells == 0) return;
  constexpr int64_t kFew = 16;  // numbers of a cell that keep no warp busy
  const bool by_warp = x.numel() / cells > kFew;
  const RowLaunch rows(cells, kWarp);
  const Launch config{.op = "adaptive_avg_pool2d",
                      .device = out.device(),
                      .grid = by_warp ? rows.grid : grid_of(cells),
                      .block = by_warp ? rows.block : dim3(kThreads),
                      .barriers = by_warp ? Barriers::some : Barriers::none,
                      .flops = in_cells(x, out),
                      .bytes = bytes_of(x, out)};
  dispatch_float(x.dtype(), "adaptive_avg_pool2d", [&]<class T>() {
    launch(config, by_warp ? average<true, T> : average<false, T>, out.mutable_device_data<T>(),
           x.device_data<T>(), cells, x.size(2), x.size(3), out.size(2), out.size(3), is_narrow(out, x));
  });
}

void adaptive_avg_pool2d_backward(Tensor& dx, const Tensor& dout) {
  if (dx.numel() == 0) return;
  dispatch_float(dx.dtype(), "adaptive_avg_pool2d_backward", [&]<class T>() {
    launch({.op = "adaptive_avg_pool2d_backward",
            .device = dx.device(),
            .grid = grid_of(dx.numel()),
            .block = kThreads,
            .flops = 3 * in_cells(dx, dout),
            .bytes = bytes_of(dx, dout)},
           share<T>, dx.mutable_device_data<T>(), dout.device_data<T>(), dx.numel(), dx.size(2), dx.size(3),
           dout.size(2), dout.size(3), is_narrow(dx, dout));
  });
}

}  // namespace tensor::cuda
