#include "tensor/cuda/device.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/rows.h"
#include "tensor/kernels.h"

// The CPU's cumsum is in tensor/cpu/reduce.cc.
namespace tensor::cuda {
namespace {

// Sums in f64 and rounds each once: as many elements at a time as a row has threads. Bytes: x and out. FLOPs: 1 an
// element.
template <class T>
__global__ void cumsum_rows(T* out, const T* x, int64_t rows, int64_t length) {
  const int64_t row = row_index(), end = row < rows ? length : 0;
  const T* source = x + row * length;
  T* target = out + row * length;
  double before = 0;
  for (int64_t first = 0; first < end; first += blockDim.x) {
    const int64_t i = first + threadIdx.x;
    double all;
    const double sum = scan_row(i < end ? static_cast<double>(source[i]) : 0.0, all);
    if (i < end) target[i] = static_cast<T>(before + sum);
    before += all;
  }
}

}  // namespace

void cumsum(Tensor& out, const Tensor& x) {
  if (x.numel() == 0) return;
  const Tensor source = x.contiguous();
  const int64_t length = x.shape().back(), rows = x.numel() / length;
  const RowLaunch shape(rows, length);
  const Launch config{.op = "cumsum",
                      .device = out.device(),
                      .grid = shape.grid,
                      .block = shape.block,
                      .barriers = Barriers::some,
                      .flops = static_cast<double>(x.numel()),
                      .bytes = 2.0 * static_cast<double>(out.bytes())};
  dispatch_float(x.dtype(), "cumsum", [&]<class T>() {
    launch(config, cumsum_rows<T>, out.mutable_device_data<T>(), source.device_data<T>(), rows, length);
  });
}

}  // namespace tensor::cuda
