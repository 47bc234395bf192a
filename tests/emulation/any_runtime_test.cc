// The runtime of whatever device: what is counted, copied, fetched, and what goes wrong. runtime_test.cc has what only the
// emulated devices show.
#include <cuda_runtime.h>
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "tensor/cuda/driver/check.h"
#include "tensor/cuda/driver/launches.h"
#include "tensor/cuda/runtime.h"
#include "tensor/fetched.h"
#include "tensor/kernels.h"
#include "tests/child.h"
#include "tests/emulation/seeds.h"
#include "tests/refused.h"

namespace {

using tensor::Device;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Tensor;

const Device kFirst = Device::cuda(0), kOther = Device::cuda(1);

}  // namespace

TEST_CASE("a kernel without device code says so") {
  try {
    tensor::cuda::linked_runtime()->run_on_host("a_kernel", kOther, {});
    FAIL("it ran");
  } catch (const tensor::cuda::NoDeviceCode& error) {
    CHECK(error.kind() == ErrorKind::device);
    CHECK(error.kernel() == std::string("a_kernel"));
    CHECK(error.what() == std::string("a_kernel: cuda:1: there is no device code for it yet"));
  }
}

TEST_CASE("more copies to a device than there is pinned memory for") {
  std::vector<Tensor> small, large;
  for (int i = 0; i < 300; ++i) small.push_back(Tensor::full({3}, i).to(kFirst));
  for (int i = 0; i < 70; ++i) large.push_back(Tensor::full({1 << 18}, i).to(kFirst));
  for (int i = 0; i < 300; ++i) CHECK(small[static_cast<size_t>(i)].to_vector<float>()[2] == i);
  for (int i = 0; i < 70; ++i) CHECK(large[static_cast<size_t>(i)].to_vector<float>().back() == i);
}

TEST_CASE("kernels see what was copied before them, in any order of the streams") {
  const Device other = tests::second_device();
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    tests::set_order(seed);
    Tensor there = Tensor::full({1000}, 1).to(kFirst);
    tensor::kernels::fill(there, 2);       // after the copy
    there.copy_(Tensor::full({1000}, 3));  // after the fill
    Tensor second = there.to(other);       // after that copy
    tensor::kernels::fill(there, 4);       // after `second` has read it
    CHECK(second.to_vector<float>() == std::vector<float>(1000, 3));
    CHECK(there.to_vector<float>() == std::vector<float>(1000, 4));
    there.copy_(second);
    tensor::kernels::fill(second, 5);
    CHECK(there.to_vector<float>() == std::vector<float>(1000, 3));
  }
}

TEST_CASE("launches and copies are counted") {
  auto before = tensor::cuda::launch_statistics();
  Tensor there = Tensor::full({1000}, 1, DType::f16).to(kFirst);
  there.fill_(2);
  there.to(DType::f32).to(Device::cpu());
  auto after = tensor::cuda::launch_statistics();
  const auto counted = [&](const char* op) {
    return std::pair(after[op].launches - before[op].launches, after[op].bytes - before[op].bytes);
  };
  CHECK(counted("upload") == std::pair<int64_t, double>(1, 2000));
  CHECK(counted("fill") == std::pair<int64_t, double>(1, 2000));
  CHECK(counted("copy") == std::pair<int64_t, double>(1, 2000 + 4000));
  CHECK(counted("download") == std::pair<int64_t, double>(1, 4000));
}

TEST_CASE("CUDA's errors are ours") {
  using tensor::cuda::check_result;
  CHECK_NOTHROW(check_result(cudaSuccess, "softmax", kOther));
  CHECK(tests::refused([] { check_result(cudaErrorInvalidValue, "softmax", kOther); }, ErrorKind::cuda) ==
        std::string("softmax: cuda:1: ") + cudaGetErrorString(cudaErrorInvalidValue));
  CHECK(tests::refused([] { check_result(cudaErrorIllegalAddress, "copy", kFirst); }, ErrorKind::cuda) ==
        std::string("copy: cuda:0: ") + cudaGetErrorString(cudaErrorIllegalAddress) +
            "; with IMGCAP_CUDA_CHECK=1 the kernel that did it is named");
}

TEST_CASE("a child of fork() has no devices, and frees nothing of them") {
  CHECK(tests::in_fork([] { return tensor::cuda::device_count() == 0 ? 0 : 1; }) == 0);
  const Tensor there = Tensor::zeros({3}, DType::f32, kFirst);
  CHECK(tests::in_fork([&] {
          { const Tensor dropped = there; }
          return tests::refused([] { Tensor::zeros({3}, DType::f32, kFirst); }, ErrorKind::device)
                             .find("was used before fork()") != std::string::npos
                     ? 0
                     : 1;
        }) == 0);
  CHECK(there.to_vector<float>() == std::vector<float>{0, 0, 0});
}

TEST_CASE("values are fetched as they were, and nothing that is launched later is waited for") {
  for (const int64_t n : {int64_t{0}, int64_t{5}, int64_t{16384}, int64_t{16385}, int64_t{1100000}}) {
    CAPTURE(n);
    Tensor x = Tensor::arange(n, DType::f32, kFirst);
    tensor::Fetched fetched(x);
    x.fill_(7);
    const Tensor later = x.clone();
    const std::vector<float> values = fetched.take().to_vector<float>();
    REQUIRE(values.size() == static_cast<size_t>(n));
    for (size_t i = 0; i < values.size(); ++i) REQUIRE(values[i] == static_cast<float>(i));
    CHECK(later.to_vector<float>() == std::vector<float>(static_cast<size_t>(n), 7));
  }
}
