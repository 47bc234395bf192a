#include "tensor/cpu/gemm.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {

void matmul(Tensor& out, const Tensor& a, const Tensor& b, double alpha, double beta) {
  const bool batched = out.rank() == 3;
  check((batched || out.rank() == 2) && a.rank() == out.rank() && b.rank() == out.rank(), ErrorKind::shape,
        "matmul: {} x {} into {}: two matrices, or two with one batch dimension, are needed",
        to_string(a.shape()), to_string(b.shape()), to_string(out.shape()));
  check(a.dtype() == b.dtype() && a.dtype() == out.dtype(), ErrorKind::dtype, "matmul: {} x {} into {}",
        describe(a), describe(b), describe(out));
  const int64_t m = out.size(-2), n = out.size(-1), k = a.size(-1);
  check(b.size(-2) == k, ErrorKind::shape, "matmul: inner sizes differ: {} x {}", to_string(a.shape()),
        to_string(b.shape()));
  check(a.size(-2) == m && b.size(-1) == n, ErrorKind::shape, "matmul: {} x {} does not give {}",
        to_string(a.shape()), to_string(b.shape()), to_string(out.shape()));
  check(n <= 1 || out.strides().at(-1) == 1, ErrorKind::argument,
        "matmul: the output's rows have to be contiguous");
  check(!out.may_overlap(a) && !out.may_overlap(b), ErrorKind::argument,
        "matmul: the output overlaps an input");
  const int64_t batches = batched ? out.size(0) : 1;
  const auto batch_stride = [&](const Tensor& x, int64_t numel) {
    if (!batched) return int64_t{0};
    check(x.size(0) == batches || x.size(0) == 1, ErrorKind::shape, "matmul: batches differ: {} x {} into {}",
          to_string(a.shape()), to_string(b.shape()), to_string(out.shape()));
    return x.size(0) == 1 || numel == 0 ? int64_t{0} : x.strides()[0];
  };
  const int64_t a_batch = batch_stride(a, a.numel()), b_batch = batch_stride(b, b.numel());
  const int64_t out_batch = batched ? out.strides()[0] : 0;
  dispatch_float(out.dtype(), "matmul", [&]<class T>() {
    T* c = out.mutable_data<T>();
    const T *pa = a.data<T>(), *pb = b.data<T>();
    const auto product = [&](int64_t i) {
      gemm<T>(m, n, k, static_cast<T>(alpha), {pa + i * a_batch, a.strides().at(-2), a.strides().at(-1)},
              {pb + i * b_batch, b.strides().at(-2), b.strides().at(-1)}, static_cast<T>(beta),
              {c + i * out_batch, out.strides().at(-2), 1});
    };
    // Many small products go side by side, a few large ones are cut themselves. Both cut each product into
    // the same tiles, so the bits are the same.
    if (batches >= 8)
      parallel_for(batches, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) product(i);
      });
    else
      for (int64_t i = 0; i < batches; ++i) product(i);
  });
}

}  // namespace tensor::cpu
