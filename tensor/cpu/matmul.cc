#include "tensor/cpu/gemm.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {

void matmul(Tensor& out, const Tensor& a, const Tensor& b, double alpha, double beta) {
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
