// The LSTM cell (Hochreiter and Schmidhuber 1997, with forget gate) between its matrix products:
//   i, f, o = sigmoid(pre),  g = tanh(pre),  c = f c_prev + i g,  h = o tanh(c)
#include <cmath>

#include "tensor/cuda/device.h"
#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/kernels.h"

namespace tensor::cuda {
namespace {

// A matrix whose columns are next to each other.
template <class T>
struct Rows {
  T* data;
  int64_t stride;
  __device__ T* operator[](int64_t i) const { return data + i * stride; }
};

template <class T>
Rows<const T> rows(const Tensor& x) {
  return {x.device_data<T>(), x.strides()[0]};
}
template <class T>
Rows<T> mutable_rows(Tensor& x) {
  return {x.mutable_device_data<T>(), x.strides()[0]};
}

// A thread has one element of a row, a block neighbouring ones.
struct Cell {
  int64_t row, j;
};

__device__ Cell cell_of_thread(int64_t hidden) {
  const unsigned blocks = static_cast<unsigned>((hidden + kThreads - 1) / kThreads);
  return {blockIdx.x / blocks, int64_t{blockIdx.x % blocks} * kThreads + threadIdx.x};
}

Launch launch_of(const char* op, const Tensor& h, double flops, double moved) {
  const int64_t blocks = (h.size(-1) + kThreads - 1) / kThreads;
  return {.op = op,
          .device = h.device(),
          .grid = dim3(static_cast<unsigned>(h.size(0) * blocks)),
          .block = kThreads,
          .flops = flops * static_cast<double>(h.numel()),
          .bytes = moved * static_cast<double>(h.bytes())};
}

template <class T>
__device__ T sigmoid(T x) {
  return T(1) / (T(1) + std::exp(-x));
}

// `gates` may be `pre`. Bytes: for each element of h 11 elements: pre, gates, c_prev, c and h. FLOPs: 9 an element
// of h, e^x and tanh being one.
template <class T>
__global__ void cell_forward(Rows<T> h, Rows<T> c, Rows<T> gates, Rows<const T> pre, Rows<const T> c_prev,
                             int64_t hidden) {
  const auto [row, j] = cell_of_thread(hidden);
  if (j >= hidden) return;
  const T* p = pre[row] + j;
  const T i = sigmoid(p[0]), f = sigmoid(p[hidden]), g = std::tanh(p[2 * hidden]), o = sigmoid(p[3 * hidden]);
  T* out = gates[row] + j;
  out[0] = i, out[hidden] = f, out[2 * hidden] = g, out[3 * hidden] = o;
  const T cell = f * c_prev[row][j] + i * g;
  c[row][j] = cell;
  h[row][j] = o * std::tanh(cell);
}

// dpre may be the gates, dc_prev may be dc. Bytes: for each element of dh 13 elements. FLOPs: 24 an element of dh.
template <class T>
__global__ void cell_backward(Rows<T> dpre, Rows<T> dc_prev, Rows<const T> dh, Rows<const T> dc,
                              Rows<const T> gates, Rows<const T> c, Rows<const T> c_prev, int64_t hidden) {
  const auto [row, j] = cell_of_thread(hidden);
  if (j >= hidden) return;
  const T* in = gates[row] + j;
  const T i = in[0], f = in[hidden], g = in[2 * hidden], o = in[3 * hidden];
  const T gh = dh[row][j], th = std::tanh(c[row][j]);
  const T dcell = dc[row][j] + gh * o * (1 - th * th);
  T* d = dpre[row] + j;
  d[0] = dcell * g * i * (1 - i);
  d[hidden] = dcell * c_prev[row][j] * f * (1 - f);
  d[2 * hidden] = dcell * i * (1 - g * g);
  d[3 * hidden] = gh * th * o * (1 - o);
  dc_prev[row][j] = dcell * f;
}

}  // namespace

void lstm_cell(Tensor& h, Tensor& c, Tensor& gates, const Tensor& pre, const Tensor& c_prev) {
  if (h.numel() == 0) return;
  dispatch_float(h.dtype(), "lstm_cell", [&]<class T>() {
    launch(launch_of("lstm_cell", h, 9, 11), cell_forward<T>, mutable_rows<T>(h), mutable_rows<T>(c),
           mutable_rows<T>(gates), rows<T>(pre), rows<T>(c_prev), h.size(-1));
  });
}

void lstm_cell_backward(LstmCellBackward a) {
  if (a.dh.numel() == 0) return;
  dispatch_float(a.dh.dtype(), "lstm_cell_backward", [&]<class T>() {
    launch(launch_of("lstm_cell_backward", a.dh, 24, 13), cell_backward<T>, mutable_rows<T>(a.dpre),
           mutable_rows<T>(a.dc_prev), rows<T>(a.dh), rows<T>(a.dc), rows<T>(a.gates), rows<T>(a.c),
           rows<T>(a.c_prev), a.dh.size(-1));
  });
}

}  // namespace tensor::cuda
