// The sums of a matrix's rows by a kernel of one's own, on a real device or an emulated one. docs/cuda_on_a_laptop.md walks
// through it.
//   build/bin/row_sums [--wrong]
// --wrong leaves out a barrier. The emulated device says so; on a real one the sums may be right for years.
#include <cstdio>
#include <cstring>

#include "tensor/cuda/device.h"
#include "tensor/cuda/launch.h"
#include "tensor/error.h"
#include "tensor/tensor.h"

namespace {

using tensor::Device;
using tensor::Tensor;

constexpr unsigned kThreads = 64;

// A block has one row. Each thread adds up every 64th number, then half of the threads add what the other half has,
// again and again.
__global__ void row_sums(float* sums, const float* x, int64_t columns, bool wrong) {
  IMGCAP_SHARED(float, parts, [kThreads]);
  const unsigned t = threadIdx.x;
  float part = 0;
  for (int64_t c = t; c < columns; c += kThreads) part += x[blockIdx.x * columns + c];
  parts[t] = part;
  for (unsigned half = kThreads / 2; half > 0; half /= 2) {
    if (!wrong) __syncthreads();
    if (t < half) parts[t] += parts[t + half];
  }
  if (t == 0) sums[blockIdx.x] = parts[0];
}

Tensor sums_of_rows(const Tensor& x, bool wrong) {
  const int64_t rows = x.shape()[0], columns = x.shape()[1];
  Tensor sums = Tensor::empty({rows}, x.dtype(), x.device());
  tensor::cuda::launch({.op = "row_sums",
                        .device = x.device(),
                        .grid = static_cast<unsigned>(rows),
                        .block = kThreads,
                        .barriers = tensor::cuda::Barriers::some,
                        .flops = static_cast<double>(x.numel()),
                        .bytes = static_cast<double>(x.bytes() + sums.bytes())},
                       row_sums, sums.mutable_device_data<float>(), x.device_data<float>(), columns, wrong);
  return sums;
}

}  // namespace

int main(int count, char** arguments) try {
  const bool wrong = count == 2 && std::strcmp(arguments[1], "--wrong") == 0;
  const Tensor x = Tensor::full({3, 1000}, 0.5, tensor::DType::f32, Device::cuda());
  for (const float sum : sums_of_rows(x, wrong).to_vector<float>()) std::printf("%g\n", sum);
  return 0;
} catch (const tensor::Error& error) {
  std::printf("%s\n", error.what());
  return 1;
}
