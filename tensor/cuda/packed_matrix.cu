// Host code alone: cuBLASLt needs no layout of its own, so a packed matrix is the matrix itself, where it lies in
// a way that a product takes as it is, and else a copy. Unlike the CPU's, the bits of a row may depend on how many
// rows there are: cuBLASLt chooses by that.
#include "tensor/kernels.h"

namespace tensor::cuda {

void pack_matrix(Tensor& packed, const Tensor& b, PackedFor) {
  const int64_t down = b.strides()[0], along = b.strides()[1];
  const bool by_rows = along == 1 && down >= b.size(1), by_columns = down == 1 && along >= b.size(0);
  packed = by_rows || by_columns ? b : b.contiguous();
}

void packed_matmul(Tensor& out, const Tensor& a, const Tensor& packed, PackedFor, bool accumulate) {
  check(packed.shape() == Shape{a.size(1), out.size(1)}, ErrorKind::shape,
        "packed_matmul: {} by another packed matrix into {}", describe(a), describe(out));
  matmul(out, a, packed, 1, accumulate ? 1 : 0);
}

}  // namespace tensor::cuda
