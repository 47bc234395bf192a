// Matrix products by cuBLASLt. Here, and nowhere else, row-major matrices become its column-major ones: what lies
// in memory row by row is to cuBLASLt the transpose, so it is asked for out^T = b^T a^T.
#pragma once

#include <cstdint>

#include "tensor/device.h"
#include "tensor/dtype.h"

namespace tensor::cuda {

// An operand as it lies in the device's memory, rows without gaps between their elements.
struct BlasOperand {
  const void* data = nullptr;
  bool transposed = false;   // what lies there is the operand's transpose
  int64_t row_stride = 0;    // elements from one row of what lies there to the next; at least a row's
  int64_t batch_stride = 0;  // elements from one matrix to the next; 0: all have the same
};

// out (m, n) = relu(alpha a (m, k) b (k, n) + beta out + bias), for each matrix of a batch.
struct BlasProduct {
  const char* op;
  Device device;
  int64_t m, n, k, batches = 1;  // 1 to 2^31 - 1
  DType input;                   // of a and b
  DType output;                  // of out and bias: the same, or f32 for inputs of 16 bits
  BlasOperand a, b;
  void* out;
  int64_t out_row_stride, out_batch_stride = 0;
  double alpha = 1, beta = 0;  // beta 0 does not read out
  const void* bias = nullptr;  // (n), added to each row; null: none
  bool relu = false;
};

// Queues it on the device's compute stream. Sums are of f32, of f64 for f64; never TF32. The same numbers at
// addresses of the same alignment give the same bits. May be called from several threads. Errors: argument (a size
// past 2^31 - 1), cuda (no cuBLASLt, or what it says).
void multiply(const BlasProduct& product);

}  // namespace tensor::cuda
