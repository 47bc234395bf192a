// What kernels must give in whatever order a device works, and how many launches they take. What only the emulated device
// can tell is asked through here: tests that ask it nothing else run on a real one as well (tests/CMakeLists.txt), where
// real/real_device.cc answers in place of emulated_device.cc.
#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <optional>
#include <string>

#include "tensor/cuda/driver/launches.h"
#include "tensor/cuda/runtime.h"
#include "tensor/tensor.h"

namespace tests {

// From now on work is done in the order that follows from this number. A real device has an order of its own.
void set_order(uint64_t seed);

// How often the host has waited for a device; nothing where nobody counts.
std::optional<int64_t> waits();

// Launches named `op` since forget_launches(): so many, whose kernels touched as many bytes as they said, and asked for
// each `reads` times at most. A real device does not tell.
void forget_launches();
void check_launches(const std::string& op, int64_t launches, double reads);

// Not the first device, where there are several.
inline tensor::Device second_device() {
  return tensor::Device::cuda(tensor::cuda::device_count() > 1 ? 1 : 0);
}

inline void expect_same_in_any_order(const std::function<tensor::Tensor()>& make) {
  const auto bits = [&](uint64_t seed) {
    set_order(seed);
    return make().to(tensor::Device::cpu()).contiguous();
  };
  const tensor::Tensor one = bits(1), two = bits(2);
  CHECK(one.bytes() > 0);
  CHECK(std::memcmp(one.raw(), two.raw(), static_cast<size_t>(one.bytes())) == 0);
}

// What the launches named `op` add up to while `call` runs; their kernels touch as many bytes as they say,
// and ask for each `reads` times at most. Of `products`, which are cuBLASLt's launches, nobody sees the bytes.
inline void expect_launches(const std::string& op, const tensor::cuda::LaunchCount& want,
                            const std::function<void()>& call, double reads = 1, int64_t products = 0) {
  tensor::cuda::runtime_of(tensor::Device::cuda(), "test").wait(0);
  forget_launches();
  const auto before = tensor::cuda::launch_statistics()[op];
  call();
  const auto after = tensor::cuda::launch_statistics()[op];
  CHECK(after.launches - before.launches == want.launches);
  CHECK(after.flops - before.flops == want.flops);
  CHECK(after.bytes - before.bytes == want.bytes);
  tensor::cuda::runtime_of(tensor::Device::cuda(), "test").wait(0);
  check_launches(op, want.launches - products, reads);
}

}  // namespace tests
