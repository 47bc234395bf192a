// Host code alone: cuBLASLt multiplies (driver/blas_lt.h). It takes operands that lie row by row or column by
// column with any stride between; others are copied first.
#include "tensor/cuda/driver/blas_lt.h"
#include "tensor/kernels.h"

namespace tensor::cuda {
namespace {

// How `x` lies in memory, where rows or columns lie in one piece, next to one another or apart. Those of one
// element may have any stride.
bool describe_operand(const Tensor& x, BlasOperand& operand) {
  const int64_t rows = x.size(-2), columns = x.size(-1);
  const int64_t down = x.strides().at(-2), along = x.strides().at(-1);
  const bool batched = x.rank() == 3 && x.size(0) > 1;
  operand = {x.device_raw(), false, down, batched ? x.strides()[0] : 0};
  if ((columns == 1 || along == 1) && down >= columns) return true;
  operand.transposed = true;
  operand.row_stride = along;
  return (rows == 1 || down == 1) && along >= rows;
}

// The same for what lies in another way, which becomes a copy. A batch that is one matrix again and again is
// copied once.
BlasOperand operand_of(Tensor& x) {
  BlasOperand operand;
  if (describe_operand(x, operand)) return operand;
  if (x.rank() == 3 && x.strides()[0] == 0) x = x.slice(0, 0, 1);
  x = x.contiguous();
  describe_operand(x, operand);
  return operand;
}

// Whether cuBLASLt multiplies numbers of these types as they are.
bool is_native(const Tensor& out, const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() &&
         (out.dtype() == a.dtype() || (is_half(a.dtype()) && out.dtype() == DType::f32));
}

// By numbers that are widened, and rounded once.
void multiply_widened(Tensor& out, const Tensor& a, const Tensor& b, double alpha, double beta) {
  Tensor wide = !is_half(out.dtype()) ? out
                : beta == 0           ? Tensor::empty(out.shape(), DType::f32, out.device())
                                      : out.to(DType::f32);
  matmul(wide, tensor::internal::widen(a), tensor::internal::widen(b), alpha, beta);
  if (is_half(out.dtype())) out.copy_(wide);
}

// Sums of nothing: those of one zero, which cuBLASLt takes.
void multiply_nothing(Tensor& out, double beta) {
  const bool batched = out.rank() == 3;
  const int64_t m = out.size(-2), n = out.size(-1);
  const auto zeros = [&](int64_t rows, int64_t columns) {
    return Tensor::zeros(batched ? Shape{1, rows, columns} : Shape{rows, columns}, out.dtype(), out.device());
  };
  matmul(out, zeros(m, 1), zeros(1, n), 0, beta);
}

}  // namespace

void matmul(Tensor& out, const Tensor& a, const Tensor& b, double alpha, double beta) {
  check(is_floating(out.dtype()), ErrorKind::dtype, "matmul: f32 or f64 is needed, not {}",
        name_of(out.dtype()));
  if (out.numel() == 0) return;
  if (a.size(-1) == 0) return multiply_nothing(out, beta);
  if (!is_native(out, a, b)) return multiply_widened(out, a, b, alpha, beta);
  const bool batched = out.rank() == 3 && out.size(0) > 1;
  const int64_t m = out.size(-2), n = out.size(-1);
  Tensor left = a, right = b;
  multiply({.op = "matmul",
            .device = out.device(),
            .m = m,
            .n = n,
            .k = a.size(-1),
            .batches = batched ? out.size(0) : 1,
            .input = a.dtype(),
            .output = out.dtype(),
            .a = operand_of(left),
            .b = operand_of(right),
            .out = out.mutable_device_raw(),
            .out_row_stride = m == 1 ? n : out.strides().at(-2),
            .out_batch_stride = batched ? out.strides()[0] : 0,
            .alpha = alpha,
            .beta = beta});
}

}  // namespace tensor::cuda
