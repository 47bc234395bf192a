// Wrong kernels are found, each by what it does, and the same kernels without the mistake are not.
#include "tests/emulation/wrong_kernels.h"

#include <doctest/doctest.h>

#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "tests/emulation/device_run.h"

using tensor::Device;
using tensor::cuda::Barriers;
using tensor::cuda::Launch;
using tests::DeviceRun;
using tests::WrongKernels;

namespace {

using Call = std::function<cudaError_t(DeviceRun&, WrongKernels)>;

// What is found with the mistake has all these words, in this order; without it there is nothing.
void check_found(const Launch& launch, const Call& call, const std::vector<std::string>& words) {
  for (const bool right : {true, false}) {
    DeviceRun run;
    CHECK(call(run, {launch, run.stream(), right}) == cudaSuccess);
    const std::string fault = run.fault();
    if (right) {
      CHECK(fault == "");
      continue;
    }
    size_t at = 0;
    for (const std::string& word : words) {
      at = fault.find(word, at);
      CHECK_MESSAGE(at != std::string::npos, word << " is missing in: " << fault);
      if (at == std::string::npos) break;
    }
  }
}

Launch with(const char* op, dim3 grid, dim3 block, Barriers barriers = Barriers::none) {
  return {.op = op, .device = Device::cuda(), .grid = grid, .block = block, .barriers = barriers};
}

}  // namespace

TEST_CASE("wrong kernel: missing barrier") {
  check_found(with("reverse", 2, 256, Barriers::some),
              [](DeviceRun& run, WrongKernels kernels) {
                return kernels.missing_barrier(run.empty<float>(512), run.numbers<float>(512));
              },
              {"reverse: cuda:0: ", "wrong_kernels.cu:", "[cudaErrorLaunchFailure]"});
}

TEST_CASE("wrong kernel: wrong bound") {
  check_found(with("twice", 4, 32),
              [](DeviceRun& run, WrongKernels kernels) {
                return kernels.wrong_bound(run.empty<float>(100), run.numbers<float>(100), 100);
              },
              {"block (3,0,0), thread (4,0,0) reads 4 bytes at tests/emulation/wrong_kernels.cu:",
               ", 0 bytes behind the end of a block of 400 bytes", "[cudaErrorIllegalAddress]"});
}

TEST_CASE("wrong kernel: race in shared memory") {
  check_found(with("sum_of_64", 2, 64, Barriers::some),
              [](DeviceRun& run, WrongKernels kernels) {
                return kernels.race_in_shared(run.empty<float>(2), run.numbers<float>(128));
              },
              {"race: block ", "4 bytes at tests/emulation/wrong_kernels.cu:", ", which thread ",
               "at tests/emulation/wrong_kernels.cu:", "no barrier is between"});
}

TEST_CASE("wrong kernel: race between blocks") {
  check_found(
      with("last_block", 3, 1),
      [](DeviceRun& run, WrongKernels kernels) { return kernels.race_between_blocks(run.empty<float>(1)); },
      {"race: block ", " writes 4 bytes at ", ", which block ", " wrote at ", "blocks don't wait"});
}

// clang copies packs by calls that tell no alignment.
#ifndef __clang__
TEST_CASE("wrong kernel: misaligned access") {
  check_found(with("copy_packs", 1, 4),
              [](DeviceRun& run, WrongKernels kernels) {
                return kernels.misaligned(run.empty<float>(20), run.numbers<float>(20));
              },
              {"wrong_kernels.cu:", "[cudaErrorMisalignedAddress]"});
}
#endif

TEST_CASE("wrong kernel: host pointer") {
  static float number = 1;
  float on_stack = 1;
  const std::vector<float> heap(1, 1.0f);
  for (const float* address : std::vector<const float*>{&number, &on_stack, heap.data()})
    check_found(with("first", 1, 1),
                [&](DeviceRun& run, WrongKernels kernels) {
                  return kernels.first(run.empty<float>(1), kernels.right ? run.numbers<float>(1) : address);
                },
                {"block (0,0,0), thread (0,0,0) reads 4 bytes at ", " in the host's memory",
                 "[cudaErrorIllegalAddress]"});
}

TEST_CASE("wrong kernel: another device's memory") {
  DeviceRun other(1);
  const float* elsewhere = other.numbers<float>(1);
  cudaStreamSynchronize(other.stream());
  check_found(with("first", 1, 1),
              [&](DeviceRun& run, WrongKernels kernels) {
                return kernels.first(run.empty<float>(1), kernels.right ? run.numbers<float>(1) : elsewhere);
              },
              {"reads 4 bytes at ", "in the memory of cuda:1"});
}

TEST_CASE("wrong kernel: memory that was given back") {
  check_found(with("first", 1, 1),
              [](DeviceRun& run, WrongKernels kernels) {
                float *out = run.empty<float>(1), *x = run.numbers<float>(1), *given_back = nullptr;
                cudaMalloc(&given_back, 4);
                cudaFree(given_back);
                return kernels.first(out, kernels.right ? x : given_back);
              },
              {"reads 4 bytes at ", "in a block that was given back [cudaErrorIllegalAddress]"});
}

TEST_CASE("wrong kernel: unwritten output") {
  for (const bool right : {true, false}) {
    DeviceRun run;
    float* out = run.empty<float>(100);
    CHECK(WrongKernels{with("count_up", 4, 32), run.stream(), right}.unwritten(out, 100) == cudaSuccess);
    const std::vector<float> values = run.values(out, 100);
    const std::string fault = run.fault();
    CHECK((fault == "") == right);
    if (right) CHECK(values[99] == 99.0f);
    if (!right)
      CHECK(fault ==
            "cudaMemcpyAsync: cuda:0: reads 400 bytes that nobody wrote, at byte 396 of a block of 400 bytes "
            "[cudaErrorLaunchFailure]");
  }
}

TEST_CASE("wrong kernel: 32-bit overflow of an index") {
  constexpr int64_t kStride = 1 << 20, kBlocks = 4100;  // more than 2^32 bytes
  check_found(with("mark", kBlocks, 1),
              [](DeviceRun&, WrongKernels kernels) {
                static auto* const bytes = static_cast<unsigned char*>(
                    tensor::cuda::emulation::reserve(0, static_cast<size_t>(kStride * kBlocks)));
                return kernels.index_of_32_bits(bytes, kStride);
              },
              {"race: ", "wrong_kernels.cu:"});
}

TEST_CASE("wrong kernel: overflow of a signed product") {
  check_found(
      with("product", 1, 1),
      [](DeviceRun& run, WrongKernels kernels) { return kernels.overflow(run.empty<int64_t>(1), 65536); },
      {"block (0,0,0), thread (0,0,0): a product overflows its type at tests/emulation/wrong_kernels.cu:"});
}

TEST_CASE("wrong kernel: a barrier that not all threads reach") {
  check_found(
      with("half_waits", 1, 64, Barriers::some),
      [](DeviceRun& run, WrongKernels kernels) { return kernels.divergent_barrier(run.empty<float>(64)); },
      {"a barrier that not all threads reach: block (0,0,0), thread ", "wrong_kernels.cu:", "has ended"});
}

TEST_CASE("wrong kernel: a shuffle from an absent lane") {
  check_found(with("next_lane", 1, 32, Barriers::some),
              [](DeviceRun& run, WrongKernels kernels) { return kernels.absent_lane(run.empty<float>(32)); },
              {"an absent lane: block (0,0,0), thread ", "wrong_kernels.cu:", "thread (16,0,0) has ended"});
}

TEST_CASE("wrong kernel: a warp that the block has only in part") {
  check_found(with("next_lane", 1, 31, Barriers::some),
              [](DeviceRun& run, WrongKernels kernels) {
                if (kernels.right) return kernels.divergent_barrier(run.empty<float>(32));
                return WrongKernels{kernels.launch, kernels.stream, true}.absent_lane(run.empty<float>(32));
              },
              {"an absent lane: block (0,0,0), thread ",
               "wrong_kernels.cu:", "lane 31, which the block does not have"});
}

TEST_CASE("wrong kernel: behind a shared array") {
  check_found(
      with("one_more", 1, 32, Barriers::some),
      [](DeviceRun& run, WrongKernels kernels) { return kernels.behind_shared(run.empty<float>(32)); },
      {"thread (31,0,0) writes 4 bytes at ", "0 bytes behind the end of a shared array of 128 bytes"});
}

TEST_CASE("wrong kernel: unwritten shared memory") {
  check_found(
      with("read_shared", 1, 32),
      [](DeviceRun& run, WrongKernels kernels) { return kernels.unwritten_shared(run.empty<float>(32)); },
      {"reads 4 bytes at ", "that nobody wrote (or not yet, for want of a barrier), at byte ",
       "of a shared array of 128 bytes"});
}

TEST_CASE("wrong kernel: another thread's stack") {
  check_found(with("by_address", 1, 32, Barriers::some),
              [](DeviceRun& run, WrongKernels kernels) { return kernels.other_stack(run.empty<float>(32)); },
              {"reads 4 bytes at ", "on another thread's stack"});
}

TEST_CASE("wrong kernel: missing wait for the warp") {
  check_found(
      with("next_in_warp", 1, 64, Barriers::some),
      [](DeviceRun& run, WrongKernels kernels) { return kernels.missing_syncwarp(run.empty<float>(64)); },
      {"", "wrong_kernels.cu:"});
}

TEST_CASE("wrong kernel: a sum without atomicAdd") {
  check_found(with("count_threads", 2, 32),
              [](DeviceRun& run, WrongKernels kernels) {
                int* out = run.numbers<int>(1);
                return kernels.race_of_sums(out);
              },
              {"race: ", "wrong_kernels.cu:"});
}

TEST_CASE("wrong launch: a barrier where there should be none") {
  check_found(with("half_waits", 1, 64),
              [](DeviceRun& run, WrongKernels kernels) {
                if (kernels.right) return kernels.unwritten(run.empty<float>(64), 64);
                return kernels.divergent_barrier(run.empty<float>(64));
              },
              {"has a barrier, in a launch that says it has none, at tests/emulation/wrong_kernels.cu:"});
}
