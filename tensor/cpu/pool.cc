// Max and adaptive average pooling; a plane (image, channel) belongs to one tile.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/adaptive_cell.h"
#include "tensor/cpu/sums.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

using Cell = internal::AdaptiveCell;

int64_t plane_grain(int64_t work) { return 16384 / std::max<int64_t>(1, work); }

template <class T>
double rectangle_sum(const T* plane, int64_t width, const Cell& rows, const Cell& columns) {
  const auto term = [plane](int64_t i) { return plane[i]; };
  if (columns.size() == width) return wide_sum(rows.begin * width, rows.end * width, term);
  RunningSum sum;
  for (int64_t i = rows.begin; i < rows.end; ++i)
    sum += wide_sum(i * width + columns.begin, i * width + columns.end, term);
  return static_cast<double>(sum);
}

// The gradient of each input from the cells that it is in, for more cells than inputs: then many are.
template <class T>
void gather_shares(T* to, const T* from, int64_t planes, int64_t h, int64_t w, int64_t oh, int64_t ow) {
  parallel_each(planes * h, plane_grain(w + (oh * ow) / h), [&](int64_t row) {
    const T* gradient = from + row / h * oh * ow;
    const Cell rows(row % h, oh, h);
    for (int64_t j = 0; j < w; ++j) {
      const Cell columns(j, ow, w);
      RunningSum sum;
      for (int64_t y = rows.begin; y < rows.end; ++y) {
        const auto height = static_cast<double>(Cell(y, h, oh).size());
        sum += wide_sum(columns.begin, columns.end, [&](int64_t q) {
          return static_cast<double>(gradient[y * ow + q]) /
                 (height * static_cast<double>(Cell(q, w, ow).size()));
        });
      }
      to[row * w + j] = static_cast<T>(static_cast<double>(sum));
    }
  });
}

}  // namespace

void max_pool2d(Tensor& out, Tensor& indices, const Tensor& x, const Pool2dOptions& options) {
  const int64_t h = x.size(2), w = x.size(3), oh = out.size(2), ow = out.size(3);
  const Pool2dOptions& p = options;
  dispatch_float(x.dtype(), "max_pool2d", [&]<class T>() {
    const T* input = x.device_data<T>();
    T* values = out.mutable_device_data<T>();
    int64_t* places = indices.mutable_device_data<int64_t>();
    parallel_each(x.size(0) * x.size(1), plane_grain(oh * ow * p.kernel_h * p.kernel_w), [&](int64_t plane) {
      const T* from = input + plane * h * w;
      for (int64_t y = 0; y < oh; ++y) {
        for (int64_t q = 0; q < ow; ++q) {
          const int64_t y0 = y * p.stride_h - p.pad_h, x0 = q * p.stride_w - p.pad_w;
          T best = -std::numeric_limits<T>::infinity();
          int64_t place = -1;
          for (int64_t i = 0; i < p.kernel_h; ++i) {
            const int64_t iy = y0 + i * p.dilation_h;
            if (iy < 0 || iy >= h) continue;
            for (int64_t j = 0; j < p.kernel_w; ++j) {
              const int64_t ix = x0 + j * p.dilation_w;
              if (ix < 0 || ix >= w) continue;
              const T value = from[iy * w + ix];
              // The first of equals; a NaN wins, so that it is seen.
              if (place < 0 || value > best || std::isnan(value)) best = value, place = iy * w + ix;
            }
          }
          const int64_t at = (plane * oh + y) * ow + q;
          values[at] = best;
          places[at] = place;
        }
      }
    });
  });
}

void max_pool2d_backward(Tensor& dx, const Tensor& dout, const Tensor& indices) {
  const int64_t in = dx.size(2) * dx.size(3), cells = dout.size(2) * dout.size(3);
  dispatch_float(dx.dtype(), "max_pool2d_backward", [&]<class T>() {
    T* to = dx.mutable_device_data<T>();
    const T* from = dout.device_data<T>();
    const int64_t* places = indices.device_data<int64_t>();
    parallel_each(dx.size(0) * dx.size(1), plane_grain(in + cells), [&](int64_t plane) {
      std::fill_n(to + plane * in, in, T(0));
      for (int64_t i = plane * cells; i < (plane + 1) * cells; ++i) {
        if (places[i] < 0) continue;  // -1: a window of padding only
        check(places[i] < in, ErrorKind::index, "max_pool2d_backward: index {} for planes of {} elements",
              places[i], in);
        to[plane * in + places[i]] += from[i];
      }
    });
  });
}

void adaptive_avg_pool2d(Tensor& out, const Tensor& x) {
  const int64_t h = x.size(2), w = x.size(3), oh = out.size(2), ow = out.size(3);
  dispatch_float(x.dtype(), "adaptive_avg_pool2d", [&]<class T>() {
    const T* input = x.device_data<T>();
    T* output = out.mutable_device_data<T>();
    parallel_each(x.size(0) * x.size(1), plane_grain(h * w), [&](int64_t plane) {
      for (int64_t y = 0; y < oh; ++y) {
        const Cell rows(y, h, oh);
        for (int64_t q = 0; q < ow; ++q) {
          const Cell columns(q, w, ow);
          const double sum = rectangle_sum(input + plane * h * w, w, rows, columns);
          output[(plane * oh + y) * ow + q] =
              static_cast<T>(sum / static_cast<double>(rows.size() * columns.size()));
        }
      }
    });
  });
}

void adaptive_avg_pool2d_backward(Tensor& dx, const Tensor& dout) {
  const int64_t h = dx.size(2), w = dx.size(3), oh = dout.size(2), ow = dout.size(3);
  dispatch_float(dx.dtype(), "adaptive_avg_pool2d_backward", [&]<class T>() {
    T* to = dx.mutable_device_data<T>();
    const T* from = dout.device_data<T>();
    if (oh > h || ow > w) return gather_shares(to, from, dx.size(0) * dx.size(1), h, w, oh, ow);
    parallel_each(dx.size(0) * dx.size(1), plane_grain(h * w), [&](int64_t plane) {
      std::fill_n(to + plane * h * w, h * w, T(0));
      for (int64_t y = 0; y < oh; ++y) {
        const Cell rows(y, h, oh);
        for (int64_t q = 0; q < ow; ++q) {
          const Cell columns(q, w, ow);
          const T share = from[(plane * oh + y) * ow + q] / static_cast<T>(rows.size() * columns.size());
          for (int64_t i = rows.begin; i < rows.end; ++i)
            for (int64_t j = columns.begin; j < columns.end; ++j) to[(plane * h + i) * w + j] += share;
        }
      }
    });
  });
}

}  // namespace tensor::cpu
