// What matmul asks the emulated cuBLASLt's heuristic.
#include "tensor/cuda/emulation/cublaslt.h"
#include "tests/tensor/reference.h"

using namespace tests;
using tensor::Device;
using tensor::cuda::emulation::heuristic_calls;

TEST_CASE("matmul of a device: the heuristic is asked once for products of the same kind") {
  const Tensor a = random({11, 13}, DType::f32, 1, -1, 1).to(Device::cuda()),
               b = random({13, 6}, DType::f32, 2, -1, 1).to(Device::cuda());
  Tensor out = Tensor::zeros({11, 6}, DType::f32, Device::cuda());
  tensor::kernels::matmul(out, a, b, 1, 0);
  const int64_t asked = heuristic_calls();
  for (int i = 0; i < 3; ++i) tensor::kernels::matmul(out, a, b, 2, i);
  CHECK(heuristic_calls() == asked);
  // Less aligned addresses, other strides: other algorithms may be needed.
  const auto shifted = [](const Tensor& x) {
    Tensor room = Tensor::full({1 + x.numel()}, 1, DType::f32, Device::cuda());
    return room.slice(0, 1, 1 + x.numel()).view(x.shape());
  };
  Tensor shifted_out = shifted(out);
  tensor::kernels::matmul(out, shifted(a), b, 1, 0);
  tensor::kernels::matmul(out, a, shifted(b), 1, 0);
  tensor::kernels::matmul(shifted_out, a, b, 1, 0);
  CHECK(heuristic_calls() == asked + 3);
  tensor::kernels::matmul(out, Tensor::zeros({13, 11}, DType::f32, Device::cuda()).t(), b, 1, 0);
  CHECK(heuristic_calls() == asked + 4);
}

TEST_CASE("matmul of a device: no algorithm is an error that names the product") {
  const tensor::cuda::emulation::NoAlgorithms none;
  Tensor out = Tensor::zeros({3, 17}, DType::f16, Device::cuda());
  const Tensor a = Tensor::zeros({3, 19}, DType::f16, Device::cuda()),
               b = Tensor::zeros({19, 17}, DType::f16, Device::cuda());
  check_error(ErrorKind::cuda,
              {"matmul: cuda:0: cuBLASLt has no algorithm for (3, 19) x (19, 17), f16 into f16"},
              [&] { tensor::kernels::matmul(out, a, b, 1, 0); });
}
