#include "tensor/cpu/gemm.h"
#include "tensor/cpu/packed_gemm.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

// Below this many multiplications laying b out costs more than it saves.
constexpr int64_t kSmallProduct = int64_t{1} << 18;

bool is_product_in_bf16(const Tensor& out, const Tensor& a, const Tensor& b) {
  return a.dtype() == DType::bf16 && b.dtype() == DType::bf16 &&
         (out.dtype() == DType::f32 || out.dtype() == DType::bf16) &&
         out.size(-2) * out.size(-1) * a.size(-1) >= kSmallProduct && has_packed_gemm<bf16>();
}

void multiply_bf16(Tensor& out, const Tensor& a, const Tensor& b, double alpha, double beta) {
  const int64_t m = out.size(-2), n = out.size(-1), k = a.size(-1);
  const auto matrix = [](const Tensor& x, int64_t i) -> MatrixView<const bf16> {
    const int64_t batch = x.rank() == 3 && x.size(0) > 1 ? x.strides()[0] : 0;
    return {x.device_data<bf16>() + i * batch, x.strides().at(-2), x.strides().at(-1)};
  };
  const int64_t batches = out.rank() == 3 ? out.size(0) : 1;
  Tensor packed = Tensor::empty({packed_size<bf16>(k, n)}, DType::bf16), rows;
  if (!a.is_contiguous()) rows = Tensor::empty({m, k}, DType::bf16);
  for (int64_t i = 0; i < batches; ++i) {
    if (i == 0 || b.size(0) > 1) pack(packed.mutable_device_data<bf16>(), k, n, matrix(b, i));
    const bf16* from = matrix(a, i).data;
    if (rows.defined()) {
      lay_out(rows.mutable_device_data<bf16>(), m, k, matrix(a, i));
      from = rows.device_data<bf16>();
    }
    Tensor c = out.rank() == 3 ? out.select(0, i) : out;
    multiply_packed<bf16>({m, n, k, from, packed.device_data<bf16>(), c.mutable_device_raw(), c.dtype(),
                           c.strides()[0], static_cast<float>(alpha), static_cast<float>(beta)});
  }
}

// By numbers that are widened, and rounded once.
void multiply_widened(Tensor& out, const Tensor& a, const Tensor& b, double alpha, double beta) {
  Tensor wide = !is_half(out.dtype()) ? out
                : beta == 0           ? Tensor::empty(out.shape(), DType::f32)
                                      : out.to(DType::f32);
  matmul(wide, tensor::internal::widen(a), tensor::internal::widen(b), alpha, beta);
  if (is_half(out.dtype())) out.copy_(wide);
}

}  // namespace

void matmul(Tensor& out, const Tensor& a, const Tensor& b, double alpha, double beta) {
  if (is_product_in_bf16(out, a, b)) return multiply_bf16(out, a, b, alpha, beta);
  if (is_half(out.dtype()) || is_half(a.dtype()) || is_half(b.dtype()))
    return multiply_widened(out, a, b, alpha, beta);
  const bool batched = out.rank() == 3;
  const int64_t m = out.size(-2), n = out.size(-1), k = a.size(-1);
  const int64_t batches = batched ? out.size(0) : 1;
  const auto batch_stride = [&](const Tensor& x, int64_t numel) {
    if (!batched) return int64_t{0};
    return x.size(0) == 1 || numel == 0 ? int64_t{0} : x.strides()[0];
  };
  const int64_t a_batch = batch_stride(a, a.numel()), b_batch = batch_stride(b, b.numel());
  const int64_t out_batch = batched ? out.strides()[0] : 0;
  dispatch_float(out.dtype(), "matmul", [&]<class T>() {
    T* c = out.mutable_device_data<T>();
    const T *pa = a.device_data<T>(), *pb = b.device_data<T>();
    const auto product = [&](int64_t i) {
      gemm<T>(m, n, k, static_cast<T>(alpha), {pa + i * a_batch, a.strides().at(-2), a.strides().at(-1)},
              {pb + i * b_batch, b.strides().at(-2), b.strides().at(-1)}, static_cast<T>(beta),
              {c + i * out_batch, out.strides().at(-2), 1});
    };
    // Many small products go side by side, a few large ones are cut themselves. Both cut each product into
    // the same tiles, so the bits are the same.
    parallel_each(batches, batches >= 8 ? 1 : batches, product);
  });
}

}  // namespace tensor::cpu
