// The LSTM cell (Hochreiter and Schmidhuber 1997, with forget gate) between its matrix products:
//   i, f, o = sigmoid(pre),  g = tanh(pre),  c = f c_prev + i g,  h = o tanh(c)
#include "tensor/cpu/half_rows.h"
#include "tensor/cpu/vector_math.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

// Rows of a matrix whose columns are next to each other.
template <class T>
struct Rows {
  T* data = nullptr;
  int64_t stride = 0;
  T* operator[](int64_t i) const { return data + i * stride; }
};

template <class T>
Rows<const T> rows(const Tensor& x) {
  return {x.device_data<T>(), x.strides()[0]};
}

template <class T>
Rows<T> mutable_rows(Tensor& x) {
  return {x.mutable_device_data<T>(), x.strides()[0]};
}

int64_t row_grain(int64_t hidden) { return 4096 / std::max<int64_t>(hidden, 1); }

}  // namespace

void lstm_cell(LstmCell a) {
  const int64_t n = a.h.size(0), hidden = a.h.size(-1);
  const NarrowRows operand(a.h_operand);
  dispatch_float(a.h.dtype(), "lstm_cell", [&]<class T>() {
    const auto out_h = mutable_rows<T>(a.h), out_c = mutable_rows<T>(a.c),
               out_gates = mutable_rows<T>(a.gates);
    const auto in = rows<T>(a.pre), before = rows<T>(a.c_prev);
    parallel_each(n, row_grain(hidden), [&](int64_t r) {
      const T *p = in[r], *cp = before[r];
      T *g = out_gates[r], *ch = out_c[r], *hh = out_h[r];
      for (int64_t j = 0; j < 2 * hidden; ++j) g[j] = fast_sigmoid(p[j]);
      for (int64_t j = 2 * hidden; j < 3 * hidden; ++j) g[j] = fast_tanh(p[j]);
      for (int64_t j = 3 * hidden; j < 4 * hidden; ++j) g[j] = fast_sigmoid(p[j]);
      for (int64_t j = 0; j < hidden; ++j) {
        const T cell = g[hidden + j] * cp[j] + g[j] * g[2 * hidden + j];
        ch[j] = cell;
        hh[j] = g[3 * hidden + j] * fast_tanh(cell);
      }
      if (operand.wanted()) operand.write(r, hh);
    });
  });
}

void lstm_cell_backward(LstmCellBackward a) {
  const int64_t n = a.dh.size(0), hidden = a.dh.size(-1);
  const NarrowRows operand(a.dpre_operand);
  dispatch_float(a.dh.dtype(), "lstm_cell_backward", [&]<class T>() {
    const auto out = mutable_rows<T>(a.dpre), out_c = mutable_rows<T>(a.dc_prev);
    const auto in_h = rows<T>(a.dh), in_c = rows<T>(a.dc), g_rows = rows<T>(a.gates), c_rows = rows<T>(a.c);
    const auto before = rows<T>(a.c_prev);
    parallel_each(n, row_grain(hidden), [&](int64_t r) {
      const T *gh = in_h[r], *gc = in_c[r], *g = g_rows[r], *cell = c_rows[r], *cp = before[r];
      T *d = out[r], *dcp = out_c[r];
      for (int64_t j = 0; j < hidden; ++j) {
        const T i = g[j], f = g[hidden + j], z = g[2 * hidden + j], o = g[3 * hidden + j];
        const T th = fast_tanh(cell[j]);
        const T dcell = gc[j] + gh[j] * o * (1 - th * th);
        d[j] = dcell * z * i * (1 - i);
        d[hidden + j] = dcell * cp[j] * f * (1 - f);
        d[2 * hidden + j] = dcell * i * (1 - z * z);
        d[3 * hidden + j] = gh[j] * th * o * (1 - o);
        dcp[j] = dcell * f;
      }
      if (operand.wanted()) operand.write(r, d);
    });
  });
}

}  // namespace tensor::cpu
