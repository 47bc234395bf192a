// Products of bf16 operands with f32 sums by oneDNN's matrix product, where has_bf16_products() (onednn.h).
// Elsewhere they are right, but slow.
#pragma once

#include <cstdint>

#include "tensor/cpu/gemm.h"
#include "tensor/half.h"
#include "tensor/tensor.h"

namespace tensor::cpu {

// b (k, n) in the order that the instructions want: blocks of 64 columns, in each blocks of 32 rows, in each
// pairs of rows side by side; zeros past k and n. oneDNN calls it BA16a64b2a. 1-D bf16.
int64_t bf16_packed_size(int64_t k, int64_t n);
void pack_bf16(bf16* packed, int64_t k, int64_t n, MatrixView<const bf16> b);

// x (rows, columns) as a dense matrix.
void lay_out_bf16(bf16* out, int64_t rows, int64_t columns, MatrixView<const bf16> x);

// What b was packed from is (k, n); c is f32 or bf16, rounded once.
struct Bf16Product {
  int64_t m, n, k;
  const bf16* a;  // (m, k), dense
  const bf16* packed;
  void* c;
  DType c_type;  // f32 or bf16
  int64_t c_row;
  bool accumulate;  // c += a b, in place of c = a b
};

// The bits of a row depend neither on the other rows nor on the number of threads.
void multiply_packed_bf16(const Bf16Product& product);

}  // namespace tensor::cpu
