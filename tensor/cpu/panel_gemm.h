// Products by our own inner kernels (dense_tile.h), f32: the right operand lies in panels as wide as two registers,
// the left one is laid out piece by piece on the way. 70 to 75 % of a processor's multiplications with AVX2, for
// which oneDNN has nothing of the kind; and everywhere without oneDNN.
#pragma once

#include <cstdint>

#include "tensor/cpu/gemm.h"

namespace tensor::cpu {

// b (k, n) as (blocks of k, panels, k in the block, panel width), zeros past n: `packed` has panels_size numbers.
int64_t panels_size(int64_t k, int64_t n);
void pack_panels(float* packed, int64_t k, int64_t n, MatrixView<const float> b);

struct PanelGemm {
  int64_t m, n, k;            // k > 0
  MatrixView<const float> a;  // (m, k), any strides
  const float* packed;        // of b
  float* c;
  int64_t c_row;    // columns are next to each other
  bool accumulate;  // c += a b; else c = a b
};

// The bits of a row depend neither on the other rows nor on the number of threads.
void multiply_panels(const PanelGemm& product);

}  // namespace tensor::cpu
