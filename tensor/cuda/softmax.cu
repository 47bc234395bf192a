#include <cmath>

#include "tensor/cuda/device.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/rows.h"
#include "tensor/cuda/softmax.h"
#include "tensor/kernels.h"

// 16-bit rows are computed in f32 and rounded once.
namespace tensor::cuda {
namespace {

struct Softmax {
  template <class C>
  __device__ C operator()(C x, const RowSum<C>& row) const {
    return std::exp(x - row.top) / row.sum;
  }
};

struct LogSoftmax {
  template <class C>
  __device__ C operator()(C x, const RowSum<C>& row) const {
    return (x - row.top) - std::log(row.sum);
  }
};

// Reads x twice, the second time mostly from the cache. Bytes: x and out. FLOPs: 7 an element, e^x being one.
template <int P, class F, class T>
__global__ void softmax_rows(T* out, const T* x, int64_t rows, int64_t length, F f) {
  using C = Computed<T>;
  const int64_t packs = length / P, row = row_index();
  const auto* source = reinterpret_cast<const Pack<T, P>*>(x) + row * packs;
  auto* target = reinterpret_cast<Pack<T, P>*>(out) + row * packs;
  const int64_t work = row < rows ? packs : 0;
  const RowSum<C> sum = row_sum(source, work);
  for (int64_t i = threadIdx.x; i < work; i += blockDim.x) {
    Pack<T, P> y = source[i];
    for (int k = 0; k < P; ++k) y.at[k] = static_cast<T>(f(static_cast<C>(y.at[k]), sum));
    target[i] = y;
  }
}

template <class F>
void launch_rows(Tensor& out, const Tensor& x, const char* op, F f) {
  if (x.numel() == 0) return;
  const int64_t length = x.shape().back(), rows = x.numel() / length;
  dispatch_floating(x.dtype(), op, [&]<class T>() {
    const T* source = x.device_data<T>();
    T* target = out.mutable_device_data<T>();
    const RowLaunch shape(rows, length);
    const Launch config{.op = op,
                        .device = out.device(),
                        .grid = shape.grid,
                        .block = shape.block,
                        .barriers = Barriers::some,
                        .flops = 7.0 * static_cast<double>(x.numel()),
                        .bytes = 2.0 * static_cast<double>(x.bytes())};
    if (in_packs<T>(length, {source, target}))
      launch(config, softmax_rows<kPack<T>, F, T>, target, source, rows, length, f);
    else
      launch(config, softmax_rows<1, F, T>, target, source, rows, length, f);
  });
}

}  // namespace

void softmax(Tensor& out, const Tensor& x) { launch_rows(out, x, "softmax", Softmax{}); }

void log_softmax(Tensor& out, const Tensor& x) { launch_rows(out, x, "log_softmax", LogSoftmax{}); }

}  // namespace tensor::cuda
