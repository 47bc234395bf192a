#include "imgcap/bench/device_ceilings.h"

#include "imgcap/bench/jobs.h"
#include "imgcap/bench/timing.h"
#include "tensor/cuda/runtime.h"
#include "tensor/kernels.h"
#include "tensor/tensor.h"

namespace imgcap::bench {
namespace {

using tensor::Device;
using tensor::DType;
using tensor::Tensor;

constexpr int64_t kWarmUp = 3, kCalls = 20;

double copy_bandwidth(const Device& device) {
  constexpr int64_t kBytes = int64_t{1} << 30;
  const Tensor from = Tensor::zeros({kBytes / 4}, DType::f32, device);
  Tensor to = Tensor::empty(from.shape(), DType::f32, device);
  const Timing timing = measure([&] { to.copy_(from); }, kWarmUp, kCalls, device);
  return 2.0 * kBytes / timing.median / 1e9;
}

// Of random numbers: products of zeros take less power, and so are faster.
double product_tflops(const Device& device, DType type, int64_t size) {
  tensor::Generator generator(1);
  const Tensor x = random_normal({size, size}, generator).to(device).to(type);
  Tensor out = Tensor::empty({size, size}, type, device);
  const Timing timing = measure([&] { tensor::kernels::matmul(out, x, x, 1, 0); }, kWarmUp, kCalls, device);
  const auto n = static_cast<double>(size);
  return 2 * n * n * n / timing.median / 1e12;
}

}  // namespace

std::optional<DeviceCeilings> measure_ceilings(const Device& device) {
  if (tensor::cuda::runtime_of(device, "bench").is_emulated()) return std::nullopt;
  return DeviceCeilings{copy_bandwidth(device), product_tflops(device, DType::f32, 4096),
                        product_tflops(device, DType::f16, 8192)};
}

}  // namespace imgcap::bench
