// The LSTM cell (Hochreiter and Schmidhuber 1997, with forget gate) between its matrix products:
//   i, f, o = sigmoid(pre),  g = tanh(pre),  c = f c_prev + i g,  h = o tanh(c)
#include <cmath>

#include "tensor/cuda/device.h"
#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/kernels.h"
#include "tensor/operand_types.h"

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

// Those of an operand, which may be undefined: then none.
template <class T>
Rows<T> operand_rows(Tensor& x) {
  return x.defined() ? mutable_rows<T>(x) : Rows<T>{nullptr, 0};
}

// A thread has one element of a row, a block neighbouring ones.
struct Cell {
  int64_t row, j;
};

__device__ Cell cell_of_thread(int64_t hidden) {
  const unsigned blocks = static_cast<unsigned>((hidden + kThreads - 1) / kThreads);
  return {blockIdx.x / blocks, int64_t{blockIdx.x % blocks} * kThreads + threadIdx.x};
}

// f.operator()<T, K>() with T the type that is computed in and K that of the operand, T where there is none.
template <class F>
void dispatch(const char* op, const Tensor& x, const Tensor& operand, const F& f) {
  dispatch_operands(x.dtype(), operand.defined() ? operand.dtype() : x.dtype(), op, f);
}

Launch launch_of(const char* op, const Tensor& h, double flops, double moved, const Tensor& operand) {
  const int64_t blocks = (h.size(-1) + kThreads - 1) / kThreads;
  return {.op = op,
          .device = h.device(),
          .grid = dim3(static_cast<unsigned>(h.size(0) * blocks)),
          .block = kThreads,
          .flops = flops * static_cast<double>(h.numel()),
          .bytes = moved * static_cast<double>(h.bytes()) +
                   (operand.defined() ? static_cast<double>(operand.bytes()) : 0.0)};
}

template <class T>
__device__ T sigmoid(T x) {
  return T(1) / (T(1) + std::exp(-x));
}

// `gates` may be `pre`, `operand` null. Bytes: for each element of h 11 elements: pre, gates, c_prev, c and h; and the
// operand. FLOPs: 9 an element of h, e^x and tanh being one.
template <class T, class K>
__global__ void cell_forward(Rows<T> h, Rows<T> c, Rows<T> gates, Rows<K> operand, Rows<const T> pre,
                             Rows<const T> c_prev, int64_t hidden) {
  const auto [row, j] = cell_of_thread(hidden);
  if (j >= hidden) return;
  const T* p = pre[row] + j;
  const T i = sigmoid(p[0]), f = sigmoid(p[hidden]), g = std::tanh(p[2 * hidden]), o = sigmoid(p[3 * hidden]);
  T* out = gates[row] + j;
  out[0] = i, out[hidden] = f, out[2 * hidden] = g, out[3 * hidden] = o;
  const T cell = f * c_prev[row][j] + i * g;
  c[row][j] = cell;
  const T state = o * std::tanh(cell);
  h[row][j] = state;
  if (operand.data != nullptr) operand[row][j] = static_cast<K>(state);
}

// dpre may be the gates, dc_prev may be dc, `operand` null. Bytes: for each element of dh 13 elements; and the operand.
// FLOPs: 24 an element of dh.
template <class T, class K>
__global__ void cell_backward(Rows<T> dpre, Rows<T> dc_prev, Rows<K> operand, Rows<const T> dh,
                              Rows<const T> dc, Rows<const T> gates, Rows<const T> c, Rows<const T> c_prev,
                              int64_t hidden) {
  const auto [row, j] = cell_of_thread(hidden);
  if (j >= hidden) return;
  const T* in = gates[row] + j;
  const T i = in[0], f = in[hidden], g = in[2 * hidden], o = in[3 * hidden];
  const T gh = dh[row][j], th = std::tanh(c[row][j]);
  const T dcell = dc[row][j] + gh * o * (1 - th * th);
  const T of_gates[] = {dcell * g * i * (1 - i), dcell * c_prev[row][j] * f * (1 - f),
                        dcell * i * (1 - g * g), gh * th * o * (1 - o)};
  for (int gate = 0; gate < 4; ++gate) {
    dpre[row][gate * hidden + j] = of_gates[gate];
    if (operand.data != nullptr) operand[row][gate * hidden + j] = static_cast<K>(of_gates[gate]);
  }
  dc_prev[row][j] = dcell * f;
}

}  // namespace

void lstm_cell(LstmCell a) {
  if (a.h.numel() == 0) return;
  dispatch("lstm_cell", a.h, a.h_operand, [&]<class T, class K>() {
    launch(launch_of("lstm_cell", a.h, 9, 11, a.h_operand), cell_forward<T, K>, mutable_rows<T>(a.h),
           mutable_rows<T>(a.c), mutable_rows<T>(a.gates), operand_rows<K>(a.h_operand), rows<T>(a.pre),
           rows<T>(a.c_prev), a.h.size(-1));
  });
}

void lstm_cell_backward(LstmCellBackward a) {
  if (a.dh.numel() == 0) return;
  dispatch("lstm_cell_backward", a.dh, a.dpre_operand, [&]<class T, class K>() {
    launch(launch_of("lstm_cell_backward", a.dh, 24, 13, a.dpre_operand), cell_backward<T, K>,
           mutable_rows<T>(a.dpre), mutable_rows<T>(a.dc_prev), operand_rows<K>(a.dpre_operand),
           rows<T>(a.dh), rows<T>(a.dc), rows<T>(a.gates), rows<T>(a.c), rows<T>(a.c_prev), a.dh.size(-1));
  });
}

}  // namespace tensor::cuda
