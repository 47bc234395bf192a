// The runtime of the emulated devices: which there are, in which order they work. any_runtime_test.cc has what holds for all.
#include <cuda_runtime.h>
#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "autograd/ops.h"
#include "autograd/profiler.h"
#include "tensor/cuda/driver/streams.h"
#include "tensor/cuda/emulation/emulation.h"
#include "tensor/cuda/runtime.h"
#include "tensor/kernels.h"
#include "tests/refused.h"

namespace {

using tensor::Device;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Tensor;

const Device kFirst = Device::cuda(0), kSecond = Device::cuda(1);

int current_device() {
  int device = -1;
  CHECK(cudaGetDevice(&device) == cudaSuccess);
  return device;
}

}  // namespace

TEST_CASE("there are two devices, and others are refused") {
  CHECK(tensor::cuda::device_count() == 2);
  CHECK(tests::refused([] { Tensor::zeros({1}, DType::f32, Device::cuda(2)); }, ErrorKind::device) ==
        "empty: cuda:2: there are 2 devices");
  Tensor out = Tensor::zeros({1}, DType::f32, kFirst);
  CHECK(
      tests::refused(
          [&] { tensor::kernels::unary(out, Tensor::zeros({1}, DType::f32, kSecond), tensor::UnaryOp::exp); },
          ErrorKind::device) == "unary: one tensor is on cuda:0, another on cuda:1; move one with to()");
}

TEST_CASE("each device has streams of its own") {
  const std::vector<cudaStream_t> all = {
      tensor::cuda::compute_stream(kFirst), tensor::cuda::copy_stream(kFirst),
      tensor::cuda::compute_stream(kSecond), tensor::cuda::copy_stream(kSecond)};
  for (size_t i = 0; i < all.size(); ++i) {
    CHECK(all[i] != nullptr);  // which is the legacy stream
    for (size_t k = 0; k < i; ++k) CHECK(all[i] != all[k]);
  }
  CHECK(tensor::cuda::compute_stream(kFirst) == all[0]);
}

TEST_CASE("the device is the thread's") {
  tensor::cuda::select(kFirst);
  std::thread([] {
    CHECK(current_device() == 0);
    tensor::cuda::select(kSecond);
    CHECK(current_device() == 1);
    {
      const tensor::cuda::DeviceGuard guard(kFirst);
      CHECK(current_device() == 0);
      tensor::cuda::select(kSecond);
      CHECK(current_device() == 1);
      tensor::cuda::select(kFirst);
    }
    CHECK(current_device() == 1);
    const Tensor there = Tensor::zeros({3}, DType::f32, kFirst);  // a launch
    CHECK(current_device() == 0);
  }).join();
  CHECK(current_device() == 0);
  const Tensor there = Tensor::empty({3}, DType::f32, kSecond);
  CHECK(current_device() == 0);
}

TEST_CASE("a copy to a device neither waits nor reads the source later") {
  Tensor source = Tensor::full({100000}, 3);
  const Tensor before = Tensor::full({10}, 1, DType::f32, kFirst);
  const Tensor there = source.to(kFirst);
  source.fill_(4);
  CHECK(cudaStreamQuery(tensor::cuda::compute_stream(kFirst)) == cudaErrorNotReady);
  cudaGetLastError();
  for (const float value : there.to_vector<float>()) REQUIRE(value == 3);
  CHECK(cudaStreamQuery(tensor::cuda::compute_stream(kFirst)) == cudaSuccess);
}

TEST_CASE("a profile has the launches of devices") {
  const autograd::Profile profile = autograd::profile([] {
    Tensor a = Tensor::zeros({10}, DType::f32, kFirst), b = Tensor::zeros({10}, DType::f32, kSecond);
    a.fill_(1);
  });
  REQUIRE(profile.launched.size() == 1);
  CHECK(profile.launched[0].name == "fill");
  CHECK(profile.launched[0].launches == 3);
  CHECK(profile.launched[0].ms >= 0);
  CHECK(profile.device_peak_bytes.size() == 2);
  std::vector<std::string> devices;
  for (const autograd::Profile::Event& event : profile.events)
    if (event.kind == "launch") devices.push_back(event.scope);
  CHECK(devices == std::vector<std::string>{"cuda:0", "cuda:1", "cuda:0"});
  CHECK(profile.table().find("\non devices") != std::string::npos);
  CHECK(autograd::profile([] { Tensor::zeros({10}); }).launched.empty());
}
