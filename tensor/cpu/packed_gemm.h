// Products by oneDNN's batch-reduce kernels, which reach nearly all of a processor's multiplications (AVX-512,
// AVX512-BF16, AMX) when they are given a right operand in the order of their registers and dense rows. T is
// float or bf16; sums are f32.
#pragma once

#include <cstdint>

#include "tensor/cpu/gemm.h"
#include "tensor/dtype.h"
#include "tensor/half.h"

namespace tensor::cpu {

// Whether this processor and build have them for T. Without, multiply_packed() is right, but slow.
template <class T>
bool has_packed_gemm();

// b (k, n) in blocks of 64 columns, in each blocks of 16 f32 or 32 bf16 rows, of which bf16 stand in pairs side
// by side; zeros past k (up to `depth` rows) and n. oneDNN calls it BA16a64b and BA16a64b2a. `packed` has packed_size elements.
template <class T>
int64_t packed_size(int64_t k, int64_t n);
template <class T>
void pack(T* packed, int64_t k, int64_t n, MatrixView<const T> b, int64_t depth = 0);

// x (rows, columns) as a dense matrix of `width` columns, zeros past its own.
template <class T>
void lay_out(T* out, int64_t rows, int64_t columns, MatrixView<const T> x, int64_t width);

// The depth of a product whose left operand is laid out anyway: batches of any number of words need few primitives.
inline int64_t padded_depth(int64_t k) { return (k + 63) / 64 * 64; }

// c = alpha a b + beta c; beta 0 does not read c. c is f32 or, of bf16 operands, bf16, rounded once.
template <class T>
struct PackedGemm {
  int64_t m, n, k;
  const T* a;       // (m, k), dense
  const T* packed;  // of b (k, n)
  void* c;
  DType c_type;
  int64_t c_row;  // columns are next to each other
  float alpha = 1, beta = 0;
};

// The bits of a row depend neither on the other rows nor on the number of threads. Not to be called where
// oneDNN is gone (onednn.h), but for bf16, whose fallback it holds.
template <class T>
void multiply_packed(const PackedGemm<T>& product);

// The whole of it for bf16 operands of any strides: c = alpha a b + beta c, c f32 or bf16.
void gemm_bf16(int64_t m, int64_t n, int64_t k, float alpha, MatrixView<const bf16> a,
               MatrixView<const bf16> b, float beta, void* c, DType c_type, int64_t c_row);

}  // namespace tensor::cpu
