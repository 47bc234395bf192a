// Memory of devices: released blocks are handed out again, in the order of the work that uses them.
#include <cuda_runtime.h>
#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "tensor/cuda/driver/streams.h"
#include "tensor/cuda/emulation/emulation.h"
#include "tensor/cuda/runtime.h"
#include "tensor/kernels.h"
#include "tensor/tensor.h"
#include "tests/emulation/simple_kernels.h"
#include "tests/refused.h"

namespace {

using tensor::AllocatorStatistics;
using tensor::Device;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Tensor;

const Device kFirst = Device::cuda(0), kSecond = Device::cuda(1);

AllocatorStatistics statistics(Device device) {
  return tensor::cuda::linked_runtime()->memory_statistics(device.index);
}

constexpr int64_t kMiB = int64_t{1} << 20;

Tensor bytes(int64_t n, Device device) { return Tensor::empty({n}, DType::u8, device); }

// What is found fault with when out[i] = x[i] + 1 is worked out for n elements.
std::string fault_of_adding(float* out, const float* x, int64_t n) {
  tensor::cuda::emulation::show_reports(false);
  std::string fault;
  try {
    tests::launch_add_one({.op = "add_one", .device = kFirst, .grid = 8, .block = 128}, out, x, n);
    tensor::cuda::linked_runtime()->wait(0);
  } catch (const tensor::Error& error) {
    fault = error.what();
  }
  for (const std::string& report : tensor::cuda::emulation::take_reports()) fault += "; " + report;
  tensor::cuda::emulation::show_reports(true);
  cudaGetLastError();
  return fault;
}

}  // namespace

TEST_CASE("a released block is handed out again, for any size of its class") {
  const std::byte* first = bytes(100000, kFirst).device_raw();
  const AllocatorStatistics released = statistics(kFirst);
  const Tensor again = bytes(99000, kFirst);
  CHECK(again.device_raw() == first);
  CHECK(reinterpret_cast<uintptr_t>(first) % 256 == 0);
  const AllocatorStatistics used = statistics(kFirst);
  CHECK(used.bytes_cached < released.bytes_cached);
  CHECK(used.bytes_in_use == released.bytes_in_use + (released.bytes_cached - used.bytes_cached));
  CHECK(used.blocks_in_use == released.blocks_in_use + 1);
  CHECK(used.blocks_handed_out == released.blocks_handed_out + 1);
  CHECK(used.peak_bytes >= used.bytes_in_use);
  CHECK(bytes(99000, kFirst).device_raw() != first);
  CHECK(bytes(99000, kSecond).device_raw() != first);
  CHECK(bytes(0, kFirst).device_raw() != bytes(300, kFirst).device_raw());
}

TEST_CASE("a block may be handed out while work that was queued before still uses it") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    tensor::cuda::emulation::set_seed(seed);
    const Tensor kept = Tensor::empty({1000}, DType::f32, kFirst);
    Tensor result = kept;
    const std::byte* place = nullptr;
    {
      Tensor block = Tensor::full({5000}, 1, DType::f32, kFirst);
      place = block.device_raw();
      result.copy_(block.slice(0, 0, 1000));  // reads it when it runs
    }
    // By the copy stream, into the same place.
    const Tensor uploaded = Tensor::full({5000}, 2).to(kFirst);
    CHECK(uploaded.device_raw() == place);
    const Tensor copy = uploaded.clone();
    CHECK(result.to_vector<float>() == std::vector<float>(1000, 1));
    CHECK(uploaded.to_vector<float>() == std::vector<float>(5000, 2));
    CHECK(copy.to_vector<float>() == std::vector<float>(5000, 2));
  }
}

TEST_CASE("a copy into memory that nobody uses any more does not wait for kernels") {
  cudaEvent_t filled = nullptr;
  REQUIRE(cudaEventCreateWithFlags(&filled, cudaEventDisableTiming) == cudaSuccess);
  int copied_before = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    tensor::cuda::emulation::set_seed(seed);
    const std::byte* place = Tensor::zeros({5000}, DType::f32, kFirst).device_raw();
    const Tensor first = Tensor::full({1}, 1).to(kFirst);
    const Tensor other = Tensor::full({100}, 7, DType::f32, kFirst);  // a kernel
    REQUIRE(cudaEventRecord(filled, tensor::cuda::compute_stream(kFirst)) == cudaSuccess);
    const Tensor there = Tensor::full({5000}, 2).to(kFirst);
    CHECK(there.device_raw() == place);
    REQUIRE(cudaStreamSynchronize(tensor::cuda::copy_stream(kFirst)) == cudaSuccess);
    copied_before += cudaEventQuery(filled) == cudaErrorNotReady;
    cudaGetLastError();
    CHECK(there.to_vector<float>() == std::vector<float>(5000, 2));
    CHECK(cudaEventQuery(filled) == cudaSuccess);
  }
  CHECK(copied_before > 0);
  cudaEventDestroy(filled);
}

TEST_CASE("kernels stay in their tensors, though blocks are larger and full of what others wrote") {
  Tensor out = Tensor::empty({1000}, DType::f32, kFirst), x = Tensor::full({990}, 1, DType::f32, kFirst);
  float* target = out.mutable_device_data<float>();
  CHECK(fault_of_adding(target, x.device_data<float>(), 990) == "");
  CHECK(fault_of_adding(target, x.device_data<float>(), 991).find("add_one: cuda:0: ") != std::string::npos);
  // It is x's block, whose elements were written.
  const float* dropped = x.device_data<float>();
  x = Tensor();
  CHECK(fault_of_adding(target, dropped, 990).find("add_one: cuda:0: ") != std::string::npos);
  x = Tensor::empty({990}, DType::f32, kFirst);
  CHECK(x.device_data<float>() == dropped);
  CHECK(fault_of_adding(target, dropped, 990).find("add_one: cuda:0: ") != std::string::npos);
  x.fill_(2);
  CHECK(fault_of_adding(target, dropped, 990) == "");
}

TEST_CASE("threads release and ask for blocks at one time") {
  const AllocatorStatistics before = statistics(kFirst);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (int i = 0; i < 20; ++i) {
        const Tensor mine = Tensor::full({1000 + 10 * i}, t, DType::f32, kFirst);
        const Tensor host = mine.to(Device::cpu());
        for (const float value : host.to_vector<float>()) REQUIRE(value == t);
        std::thread([given = mine.clone()] {}).join();  // released by another
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(statistics(kFirst).blocks_in_use == before.blocks_in_use);
  CHECK(statistics(kFirst).bytes_in_use == before.bytes_in_use);
}

TEST_CASE("kept blocks go back when there is no room, and then there is an error") {
  // 256 MiB in all
  for (const int64_t n : {90 * kMiB, 70 * kMiB, 50 * kMiB}) bytes(n, kSecond);
  CHECK(statistics(kSecond).bytes_cached >= 200 * kMiB);
  {
    Tensor large = bytes(200 * kMiB, kSecond);
    large.slice(0, 0, 8).fill_(7);
    CHECK(large.slice(0, 7, 8).item<uint8_t>() == 7);
    CHECK(statistics(kSecond).bytes_cached < 56 * kMiB);
    CHECK(tests::refused([] { bytes(100 * kMiB, kSecond); }, ErrorKind::cuda) ==
          "empty: cuda:1 has no room for 104857600 bytes");
    CHECK(tests::refused([] { bytes(int64_t{1} << 50, kSecond); }, ErrorKind::cuda) ==
          "empty: cuda:1 has no room for 1125899906842624 bytes");
    CHECK(large.slice(0, 7, 8).item<uint8_t>() == 7);
  }
  CHECK(Tensor::full({10}, 3, DType::f32, kSecond).to_vector<float>() == std::vector<float>(10, 3));
}
