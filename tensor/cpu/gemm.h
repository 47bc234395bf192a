// The one door to matrix products on the CPU.
#pragma once

#include <cstdint>

namespace tensor::cpu {

// A matrix in memory: element (i, j) is at data[i * row + j * col]. Strides are in elements; one of them
// should be 1 (else the matrix is copied first).
template <class T>
struct MatrixView {
  T* data;
  int64_t row, col;
};

// c = alpha a b + beta c, with a (m, k), b (k, n), c (m, n), c.col == 1 and c.row >= n. beta 0 does not read
// c. Parallel over fixed tiles of c; on the caller alone when called from inside a parallel_for. float and
// double.
template <class T>
void gemm(int64_t m, int64_t n, int64_t k, T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta,
          MatrixView<T> c);

extern template void gemm(int64_t, int64_t, int64_t, float, MatrixView<const float>, MatrixView<const float>,
                          float, MatrixView<float>);
extern template void gemm(int64_t, int64_t, int64_t, double, MatrixView<const double>,
                          MatrixView<const double>, double, MatrixView<double>);

}  // namespace tensor::cpu
