// Headers that device code includes, under the device's compiler.
#include "tensor/half.h"
#include "tensor/kernels.h"
#include "tensor/philox.h"

namespace tests {

__global__ void use(float* x, double* y, uint16_t* bits) {
  __shared__ tensor::f16 shared[4];
  __shared__ tensor::bf16 shared_too[4];
  shared[0] = tensor::f16(x[3]), shared_too[0] = tensor::bf16(x[3]);
  bits[4] = shared[0].bits, bits[5] = shared_too[0].bits;
  const tensor::f16 a(x[0]), b(y[0]);
  const tensor::bf16 c(x[1]), d(y[1]);
  bits[0] = a.bits, bits[1] = b.bits, bits[2] = c.bits, bits[3] = d.bits;
  x[2] = static_cast<float>(a) + static_cast<float>(c) + tensor::uniform_float(tensor::philox(1, 2, 3)[3]);
  y[2] = static_cast<double>(b) + static_cast<double>(d);
}

}  // namespace tests

namespace tensor::cuda {

void softmax(Tensor& out, const Tensor& x) {
  dispatch_float(x.dtype(), "softmax", [&]<class T>() {
    static_cast<void>(x.device_data<T>());
    static_cast<void>(out.mutable_device_data<T>());
  });
}

}  // namespace tensor::cuda
