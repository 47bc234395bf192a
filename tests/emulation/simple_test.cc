// Right kernels.
#include <doctest/doctest.h>

#include <numeric>
#include <vector>

#include "tensor/tensor.h"
#include "tests/emulation/simple_kernels.h"

using tensor::Device;
using tensor::Tensor;
using tensor::cuda::Barriers;

TEST_CASE("kernels run on a device") {
  std::vector<float> numbers(1000);
  std::iota(numbers.begin(), numbers.end(), 0.0f);
  const Tensor x = Tensor::from<float>(numbers, {1000}, Device::cuda());
  Tensor out = Tensor::empty({1000}, tensor::DType::f32, Device::cuda());
  tests::launch_add_one({"add_one", Device::cuda(), 8, 128}, out.mutable_device_data<float>(),
                        x.device_data<float>(), 1000);
  const std::vector<float> sums = out.to_vector<float>();
  for (size_t i = 0; i < sums.size(); ++i) CHECK(sums[i] == numbers[i] + 1);
}

TEST_CASE("threads of a block wait for each other") {
  std::vector<float> numbers(512);
  std::iota(numbers.begin(), numbers.end(), 0.0f);
  const Tensor x = Tensor::from<float>(numbers, {512}, Device::cuda());
  Tensor out = Tensor::empty({512}, tensor::DType::f32, Device::cuda());
  tests::launch_reverse_block({"reverse_block", Device::cuda(), 2, 256, Barriers::some},
                              out.mutable_device_data<float>(), x.device_data<float>());
  const std::vector<float> reversed = out.to_vector<float>();
  for (size_t i = 0; i < 256; ++i) CHECK(reversed[i] == numbers[255 - i]);
  for (size_t i = 256; i < 512; ++i) CHECK(reversed[i] == numbers[767 - i]);
}

TEST_CASE("lanes of a warp exchange values") {
  std::vector<float> numbers(32);
  std::iota(numbers.begin(), numbers.end(), 1.0f);
  const Tensor x = Tensor::from<float>(numbers, {32}, Device::cuda());
  Tensor out = Tensor::empty({1}, tensor::DType::f32, Device::cuda());
  tests::launch_sum_warp({"sum_warp", Device::cuda(), 1, 32, Barriers::some},
                         out.mutable_device_data<float>(), x.device_data<float>());
  CHECK(out.to_vector<float>()[0] == 528.0f);
}
