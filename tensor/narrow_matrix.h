// Weights that a search reads at every step, kept as narrow as their file has them. A step multiplies a few
// rows by whole matrices, so what it costs is the bytes that are read: 16 and 8 bits are widened in registers.
#pragma once

#include "tensor/tensor.h"

namespace tensor {

// A layer's weight (out, in) as a file stores it: f32, f16 or bf16; or u8 with a scale for each row (out) f16:
// `weight = (values - 128) * scale`, which is exact in f32.
struct StoredWeight {
  Tensor values, scales{};

  const Shape& shape() const { return values.shape(); }
  // In f32, a new tensor where that is not what `values` are.
  Tensor widened() const;
  // Rows `ids` (n) i64, each widened into a row of out (n, in) f32, whose rows may be strided. Errors: index.
  void rows(Tensor& out, const Tensor& ids) const;
  StoredWeight columns(int64_t begin, int64_t end) const { return {values.slice(1, begin, end), scales}; }
  StoredWeight to(const Device& device) const {
    return {values.to(device), scales.defined() ? scales.to(device) : scales};
  }
  // How many of the widened numbers are NaN or infinite.
  int64_t count_non_finite() const;
};

// Such a weight, laid out once for the inner kernel.
class NarrowMatrix {
 public:
  NarrowMatrix() = default;
  // On the weight's device; later changes of it may or may not be seen. Errors: shape (no matrix, scales that are not
  // (out)), dtype.
  explicit NarrowMatrix(const StoredWeight& weight);

  // out = x weight^T, or out += x weight^T with `accumulate`: x (m, in) and out (m, out) f32 with contiguous
  // rows. The same bits as for the widened weight, and on the CPU as PackedMatrix gives for that. Those of a row depend
  // neither on the other rows nor on the number of threads.
  void multiply(Tensor& out, const Tensor& x, bool accumulate) const;

  bool defined() const { return packed_.defined(); }
  int64_t out() const { return shape_[0]; }

 private:
  Tensor packed_, scales_;  // as the device wants them
  Shape shape_{0, 0};
};

}  // namespace tensor
