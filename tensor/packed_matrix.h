// A right operand that many products share, laid out once for the inner kernel: a recurrent network
// multiplies a few rows by the same weights at every step, and libraries lay them out anew in every call.
#pragma once

#include <cstdint>

#include "tensor/kernel_options.h"
#include "tensor/tensor.h"

namespace tensor {

inline PackedFor packed_for(int64_t rows) { return rows < 64 ? PackedFor::few_rows : PackedFor::many_rows; }

class PackedMatrix {
 public:
  PackedMatrix() = default;
  // b (k, n), any strides. Of f32, f16 and bf16 a packed copy is made; of f64 a reference is kept and
  // multiply() is matmul(). Later changes of b may or may not be seen.
  explicit PackedMatrix(const Tensor& b, PackedFor use = PackedFor::few_rows);

  // out = a b, or out += a b with `accumulate`: a (m, k) of b's dtype and out (m, n), which has contiguous rows,
  // of b's dtype or f32. Sums are in f32 for 16-bit operands, too. The bits of a row depend neither on the other
  // rows nor on the number of threads. Errors: argument (no matrix; rows of out that are not contiguous), shape,
  // dtype.
  void multiply(Tensor& out, const Tensor& a, bool accumulate) const;

  bool defined() const { return source_.defined() || packed_.defined(); }

 private:
  Tensor source_;  // where it is not packed: a copy must not keep the memory of what it was made of
  Tensor packed_;  // as the device wants it
  Shape shape_;
  PackedFor use_ = PackedFor::few_rows;
  DType dtype_ = DType::f32;
};

}  // namespace tensor
