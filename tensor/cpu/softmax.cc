#include "tensor/cpu/softmax.h"

#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

constexpr int64_t kGrain = 8192;  // elements per tile

// Calls f(out row, x row, length) for each row, in parallel.
template <class F>
void for_rows(Tensor& out, const Tensor& x, const char* op, F f) {
  if (x.numel() == 0) return;
  const int64_t length = x.shape().back();
  dispatch_float(x.dtype(), op, [&]<class T>() {
    const T* source = x.device_data<T>();
    T* target = out.mutable_device_data<T>();
    parallel_each(x.numel() / length, kGrain / length,
                  [&](int64_t i) { f(target + i * length, source + i * length, length); });
  });
}

}  // namespace

void softmax(Tensor& out, const Tensor& x) {
  for_rows(out, x, "softmax", []<class T>(T* y, const T* row, int64_t n) {
    const T top = extreme<false>(row, n);
    SumOf<T> sum{};
    for (int64_t first = 0; first < n; first += kRowBlock)
      sum += exp_block(y + first, row + first, std::min(kRowBlock, n - first), top);
    const T divisor = static_cast<T>(static_cast<double>(sum));
    IMGCAP_VECTORIZE
    for (int64_t i = 0; i < n; ++i) y[i] /= divisor;
  });
}

void log_softmax(Tensor& out, const Tensor& x) {
  for_rows(out, x, "log_softmax", []<class T>(T* y, const T* row, int64_t n) {
    const auto [top, sum] = row_statistics(row, n);
    const T log_sum = static_cast<T>(std::log(sum)), shift = top;
    IMGCAP_VECTORIZE
    for (int64_t i = 0; i < n; ++i) y[i] = (row[i] - shift) - log_sum;
  });
}

}  // namespace tensor::cpu
