// The emulated device's own rules: limits, memory, streams, events, orders.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "tests/emulation/device_run.h"
#include "tests/emulation/wrong_kernels.h"

using tensor::Device;
using tensor::cuda::Barriers;
using tensor::cuda::Launch;
using tests::DeviceRun;
using tests::WrongKernels;
namespace emulation = tensor::cuda::emulation;

namespace {

Launch of(dim3 grid, dim3 block, int64_t dynamic_shared = 0, int device = 0) {
  return {.op = "first",
          .device = Device::cuda(device),
          .grid = grid,
          .block = block,
          .dynamic_shared = dynamic_shared};
}

cudaError_t launch_empty(const Launch& launch, cudaStream_t stream) {
  return WrongKernels{launch, stream, true}.unwritten(nullptr, 0);
}

// What a child of this program says before a signal ends it.
std::string last_words(const std::function<void()>& deed) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], 2);
    deed();
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string words(1000, ' ');
  words.resize(static_cast<size_t>(std::max<ssize_t>(::read(ends[0], words.data(), words.size()), 0)));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
  return words;
}

const char* const kHeld =
    "emulated device: the host touched pinned memory that a queued copy reads or writes, without a wait for it, or "
    "that is nobody's\n";

}  // namespace

TEST_CASE("launches beyond a device's limits are refused") {
  DeviceRun run;
  CHECK(launch_empty(of(1, 1024), run.stream()) == cudaSuccess);
  CHECK(launch_empty(of(1, {1, 1024, 1}), run.stream()) == cudaSuccess);
  CHECK(launch_empty(of({1, 65535, 1}, 1), run.stream()) == cudaSuccess);
  const Launch refused[] = {of(1, 1025),          of(1, {1025, 1, 1}),  of(1, {1, 1, 65}),
                            of(1, {32, 33, 1}),   of(1, {1, 0, 1}),     of({0, 1, 1}, 1),
                            of({1, 65536, 1}, 1), of({1, 1, 65536}, 1), of({1u << 31, 1, 1}, 1)};
  for (const Launch& launch : refused)
    CHECK(launch_empty(launch, run.stream()) == cudaErrorInvalidConfiguration);
  CHECK(cudaPeekAtLastError() == cudaErrorInvalidConfiguration);
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
  CHECK(cudaGetLastError() == cudaSuccess);
  CHECK(run.fault() == "");
}

TEST_CASE("shared memory beyond 48 KiB is asked for, as much as the device has") {
  DeviceRun run;
  constexpr int64_t kKiB = 1024;
  CHECK(launch_empty(of(1, 1, 48 * kKiB), run.stream()) == cudaSuccess);
  CHECK(launch_empty(of(1, 1, 48 * kKiB + 1), run.stream()) == cudaErrorInvalidValue);
  const std::pair<int, int64_t> most[] = {{75, 64}, {80, 163}, {89, 99}, {90, 227}};
  for (const auto& [sm, kibibytes] : most) {
    emulation::set_architecture(sm);
    cudaDeviceProp properties;
    CHECK(cudaGetDeviceProperties(&properties, 0) == cudaSuccess);
    CHECK(properties.sharedMemPerBlockOptin == static_cast<size_t>(kibibytes * kKiB));
    CHECK(properties.major * 10 + properties.minor == sm);
    const WrongKernels kernels{of(1, 1, kibibytes * kKiB), run.stream(), true};
    CHECK(kernels.dynamic_shared(kibibytes * kKiB + 1) == cudaErrorInvalidValue);
    CHECK(kernels.dynamic_shared(kibibytes * kKiB) == cudaSuccess);
    CHECK(kernels.sum_dynamic(run.empty<int>(1)) == cudaSuccess);
    CHECK(run.fault() == "");
  }
  emulation::set_architecture(75);
}

TEST_CASE("more than 4 KB of arguments are refused") {
  DeviceRun run;
  CHECK(WrongKernels{of(1, 1), run.stream(), true}.large_argument() == cudaSuccess);
  CHECK(WrongKernels{of(1, 1), run.stream(), false}.large_argument() == cudaErrorInvalidValue);
}

TEST_CASE("a device's memory ends") {
  for (const auto& [device, mebibytes] : {std::pair<int, size_t>{0, 1024}, {1, 256}}) {
    const DeviceRun run(device);
    size_t free = 0, total = 0;
    CHECK(cudaMemGetInfo(&free, &total) == cudaSuccess);
    CHECK(total == mebibytes << 20);
    void *most = nullptr, *more = nullptr;
    CHECK(cudaMalloc(&more, total + 1) == cudaErrorMemoryAllocation);
    CHECK(cudaMalloc(&most, free) == cudaSuccess);
    CHECK(cudaMalloc(&more, 1) == cudaErrorMemoryAllocation);
    CHECK(cudaFree(most) == cudaSuccess);
    CHECK(cudaMalloc(&more, 1) == cudaSuccess);
    CHECK(cudaFree(more) == cudaSuccess);
    CHECK(cudaFree(more) == cudaErrorInvalidValue);
  }
  cudaGetLastError();
}

TEST_CASE("the host does not touch a device's memory") {
  DeviceRun run;
  float* x = run.numbers<float>(1);
  CHECK(run.fault() == "");
  CHECK(last_words([&] {
          *static_cast<volatile float*>(x) = 1;
        }).starts_with("emulated device: the host touched a device's memory"));
}

TEST_CASE("a stack that is full is said") {
  DeviceRun run;
  CHECK(last_words([&] {
          static_cast<void>(WrongKernels{of(1, 1), run.stream(), false}.recursion(run.empty<int>(1)));
          cudaStreamSynchronize(run.stream());
        }).starts_with("emulated device: the stack of a kernel's thread is full"));
}

TEST_CASE("wrong order of streams: what one writes another reads without an event") {
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6, 7, 8})
    for (const bool right : {true, false}) {
      emulation::set_seed(seed);
      DeviceRun run, other;
      float *x = run.numbers<float>(1), *middle = run.empty<float>(1), *out = run.empty<float>(1);
      CHECK(run.fault() == "");
      cudaEvent_t event = nullptr;
      cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
      CHECK(WrongKernels{of(1, 1), run.stream(), true}.first(middle, x) == cudaSuccess);
      CHECK(cudaEventRecord(event, run.stream()) == cudaSuccess);
      if (right) CHECK(cudaStreamWaitEvent(other.stream(), event, 0) == cudaSuccess);
      CHECK(WrongKernels{of(1, 1), other.stream(), true}.first(out, middle) == cudaSuccess);
      const std::string fault = other.fault() + run.fault();
      if (right) {
        CHECK(fault == "");
        CHECK(run.values(out, 1)[0] == 0.0f);
      } else {
        // By the seed: the second one came first, or not, and was in no order either way.
        CHECK((fault.find("that nobody wrote") != std::string::npos ||
               fault.find("first wrote at tests/emulation/wrong_kernels.cu:43 on another stream") !=
                   std::string::npos));
      }
      cudaEventDestroy(event);
    }
  emulation::set_seed(1);
}

TEST_CASE("missing wait: the host may not read pinned memory that a queued copy writes") {
  DeviceRun run;
  int* pinned = nullptr;
  CHECK(cudaMallocHost(&pinned, 4) == cudaSuccess);
  *pinned = -1;
  const int* x = run.numbers<int>(2);
  CHECK(run.fault() == "");
  CHECK(cudaMemcpyAsync(pinned, x + 1, 4, cudaMemcpyDeviceToHost, run.stream()) == cudaSuccess);
  CHECK(last_words([&] { ::_exit(*static_cast<volatile int*>(pinned)); }) == kHeld);
  CHECK(cudaStreamSynchronize(run.stream()) == cudaSuccess);
  CHECK(*pinned == 1);
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
  CHECK(last_words([&] { ::_exit(*static_cast<volatile int*>(pinned)); }) == kHeld);
}

TEST_CASE(
    "pinned memory is read when the copy runs, and closed to writing until then; other memory is read at once") {
  DeviceRun run;
  int* pinned = nullptr;
  CHECK(cudaMallocHost(&pinned, 4) == cudaSuccess);
  int pageable = *pinned = 1;
  int* out = run.empty<int>(2);
  CHECK(cudaMemcpyAsync(out, &pageable, 4, cudaMemcpyHostToDevice, run.stream()) == cudaSuccess);
  CHECK(cudaMemcpyAsync(out + 1, pinned, 4, cudaMemcpyHostToDevice, run.stream()) == cudaSuccess);
  pageable = 2;
  CHECK(*pinned == 1);
  CHECK(last_words([&] { *static_cast<volatile int*>(pinned) = 2; }) == kHeld);
  CHECK(run.values(out, 2) == std::vector<int>{1, 1});
  *pinned = 2;
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
}

TEST_CASE(
    "pinned memory opens when the host has waited for its copy, not when that has run, and only its own part is closed") {
  DeviceRun run;
  cudaStream_t other = nullptr;
  cudaEvent_t event = nullptr;
  CHECK(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking) == cudaSuccess);
  CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess);
  CHECK(cudaEventRecord(event, other) == cudaSuccess);
  CHECK(cudaEventSynchronize(event) == cudaSuccess);
  constexpr size_t kHalf = size_t{64} << 10;
  char* pinned = nullptr;
  CHECK(cudaMallocHost(&pinned, 2 * kHalf) == cudaSuccess);
  const char* x = run.numbers<char>(kHalf);
  CHECK(run.fault() == "");
  CHECK(cudaMemcpyAsync(pinned, x, kHalf, cudaMemcpyDeviceToHost, run.stream()) == cudaSuccess);
  pinned[kHalf] = 7;
  CHECK(cudaEventQuery(event) == cudaSuccess);  // gives the device time: there is nothing but the copy
  CHECK(last_words([&] { ::_exit(static_cast<volatile char*>(pinned)[3]); }) == kHeld);
  CHECK(cudaEventRecord(event, run.stream()) == cudaSuccess);
  CHECK(cudaEventSynchronize(event) == cudaSuccess);
  CHECK(pinned[3] == 3);
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
  cudaEventDestroy(event);
  cudaStreamDestroy(other);
}

TEST_CASE(
    "pinned memory beside which other bytes lie is not closed: what is read early is all ones, what is overwritten is reported") {
  DeviceRun run;
  int* pinned = nullptr;
  CHECK(cudaMallocHost(&pinned, 64) == cudaSuccess);
  for (int i = 0; i < 16; ++i) pinned[i] = i;
  const int* x = run.numbers<int>(4);
  int* out = run.empty<int>(4);
  CHECK(run.fault() == "");
  CHECK(cudaMemcpyAsync(pinned + 4, x, 16, cudaMemcpyDeviceToHost, run.stream()) == cudaSuccess);
  pinned[0] = pinned[8] = 7;  // others'
  CHECK(pinned[4] == -1);
  CHECK(run.fault() == "");
  CHECK(std::vector<int>(pinned, pinned + 9) == std::vector<int>{7, 1, 2, 3, 0, 1, 2, 3, 7});
  CHECK(cudaMemcpyAsync(out, pinned + 4, 16, cudaMemcpyHostToDevice, run.stream()) == cudaSuccess);
  pinned[3] = pinned[8] = 9;
  CHECK(run.values(out, 4) == std::vector<int>{0, 1, 2, 3});
  CHECK(run.fault() == "");
  CHECK(cudaMemcpyAsync(out, pinned + 4, 16, cudaMemcpyHostToDevice, run.stream()) == cudaSuccess);
  pinned[5] = 9;
  CHECK(run.fault() ==
        "cudaMemcpyAsync: cuda:0: the host wrote over pinned memory that this reads, without a wait for it "
        "[cudaErrorIllegalAddress]");
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
}

TEST_CASE("copies that follow each other through the same pinned memory need no wait between them") {
  for (const size_t count : {size_t{4}, size_t{50000}}) {  // beside other bytes, and whole pages
    DeviceRun run;
    int* pinned = nullptr;
    CHECK(cudaMallocHost(&pinned, count * 4 + 64) == cudaSuccess);
    const int *x = run.numbers<int>(count), *y = run.numbers<int>(2 * count) + count;
    int *out = run.empty<int>(count), *second = run.empty<int>(count);
    const auto copy = [&](int* to, const int* from, cudaMemcpyKind kind) {
      CHECK(cudaMemcpyAsync(to, from, count * 4, kind, run.stream()) == cudaSuccess);
    };
    copy(pinned, x, cudaMemcpyDeviceToHost);
    copy(out, pinned, cudaMemcpyHostToDevice);
    copy(pinned, y, cudaMemcpyDeviceToHost);
    copy(second, pinned, cudaMemcpyHostToDevice);
    CHECK(run.fault() == "");
    CHECK(pinned[1] == static_cast<int>(count) + 1);
    CHECK(run.values(out, count)[1] == 1);
    CHECK(run.values(second, count)[1] == static_cast<int>(count) + 1);
    CHECK(cudaFreeHost(pinned) == cudaSuccess);
  }
}

TEST_CASE("events: nothing has passed before somebody waits, and times are in order") {
  DeviceRun run;
  cudaEvent_t start = nullptr, end = nullptr, untimed = nullptr;
  CHECK(cudaEventCreateWithFlags(&start, 0) == cudaSuccess);
  CHECK(cudaEventCreateWithFlags(&end, 0) == cudaSuccess);
  CHECK(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming) == cudaSuccess);
  float milliseconds = -1;
  CHECK(cudaEventElapsedTime(&milliseconds, start, end) == cudaErrorInvalidResourceHandle);
  CHECK(cudaEventQuery(start) == cudaSuccess);  // never recorded
  CHECK(cudaEventRecord(start, run.stream()) == cudaSuccess);
  const int* x = run.numbers<int>(1000);
  CHECK(cudaEventRecord(end, run.stream()) == cudaSuccess);
  CHECK(cudaEventElapsedTime(&milliseconds, start, untimed) == cudaErrorInvalidResourceHandle);
  int asked = 0;
  while (cudaEventQuery(end) == cudaErrorNotReady) ++asked;
  CHECK(asked > 0);
  CHECK(cudaEventElapsedTime(&milliseconds, start, end) == cudaSuccess);
  CHECK(milliseconds >= 0);
  CHECK(run.values(x, 1000)[999] == 999);
  for (cudaEvent_t event : {start, end, untimed}) CHECK(cudaEventDestroy(event) == cudaSuccess);
  CHECK(cudaEventRecord(start, run.stream()) == cudaErrorInvalidResourceHandle);
  cudaGetLastError();
}

TEST_CASE("two devices: each has its stream, and copies go between them") {
  DeviceRun first(0), second(1);  // the second is the thread's
  CHECK(launch_empty(of(1, 1), first.stream()) == cudaErrorInvalidResourceHandle);
  CHECK(launch_empty(of(1, 1, 0, 1), second.stream()) == cudaSuccess);
  CHECK(launch_empty(of(1, 1), nullptr) == cudaErrorInvalidResourceHandle);  // the legacy stream
  CHECK(cudaSetDevice(2) == cudaErrorInvalidDevice);
  const int* x = second.numbers<int>(4);
  CHECK(second.fault() == "");
  int* out = first.empty<int>(4);  // the blocks of both are here on the second
  CHECK(cudaSetDevice(0) == cudaSuccess);
  int* there = first.empty<int>(4);
  CHECK(cudaMemcpyPeerAsync(there, 0, x, 1, 16, first.stream()) == cudaSuccess);
  CHECK(first.values(there, 4) == std::vector<int>{0, 1, 2, 3});
  CHECK(cudaMemcpyPeerAsync(out, 0, x, 1, 16, first.stream()) == cudaErrorInvalidValue);
  cudaGetLastError();
}

TEST_CASE("wrong copies are refused") {
  DeviceRun run;
  int* x = run.numbers<int>(4);
  int host[4] = {};
  CHECK(cudaMemcpyAsync(x, host, 16, cudaMemcpyDeviceToDevice, run.stream()) == cudaErrorInvalidValue);
  CHECK(cudaMemcpyAsync(x, host, 17, cudaMemcpyHostToDevice, run.stream()) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy2DAsync(x, 4, host, 8, 8, 2, cudaMemcpyHostToDevice, run.stream()) ==
        cudaErrorInvalidPitchValue);
  CHECK(cudaMemsetAsync(host, 0, 16, run.stream()) == cudaErrorInvalidValue);
  CHECK(cudaMemsetAsync(x, 1, 16, run.stream()) == cudaSuccess);
  CHECK(run.values(x, 4)[3] == 0x01010101);
  CHECK(cudaMemcpy2DAsync(x, 8, host, 4, 4, 2, cudaMemcpyHostToDevice, run.stream()) == cudaSuccess);
  CHECK(run.values(x, 4) == std::vector<int>{0, 0x01010101, 0, 0x01010101});
  cudaGetLastError();
}

TEST_CASE("an error stays until the reports are taken, on its device alone") {
  DeviceRun other(1), run(0);
  const float host = 1;
  float* out = run.empty<float>(1);
  CHECK(WrongKernels{of(1, 1), run.stream(), true}.first(out, &host) == cudaSuccess);
  CHECK(cudaStreamSynchronize(run.stream()) == cudaErrorIllegalAddress);
  CHECK(cudaDeviceSynchronize() == cudaErrorIllegalAddress);
  void* more = nullptr;
  CHECK(cudaMalloc(&more, 4) == cudaErrorIllegalAddress);
  CHECK(cudaSetDevice(1) == cudaSuccess);
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  CHECK(cudaSetDevice(0) == cudaSuccess);
  CHECK(emulation::take_reports().size() == 1);
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  cudaGetLastError();
}

TEST_CASE("threads take turns in another order with each seed") {
  std::vector<std::vector<int>> orders;
  for (const uint64_t seed : {1, 2, 1}) {
    emulation::set_seed(seed);
    DeviceRun run;
    int *next = run.numbers<int>(1), *turns = run.empty<int>(64);
    CHECK(WrongKernels{of(1, 64), run.stream(), true}.turns(turns, next) == cudaSuccess);
    orders.push_back(run.values(turns, 64));
    CHECK(run.fault() == "");
  }
  CHECK(orders[0] != orders[1]);
  CHECK(orders[0] == orders[2]);
  emulation::set_seed(1);
}

TEST_CASE("chosen blocks of a launch over more than 2^31 elements") {
  constexpr int64_t kElements = (int64_t{1} << 32) + 1000;
  DeviceRun run;
  auto* out = static_cast<float*>(emulation::reserve(0, kElements * sizeof(float)));
  REQUIRE(out != nullptr);
  const auto blocks = static_cast<unsigned>((kElements + 255) / 256);
  {
    const emulation::ChosenBlocks last(blocks - 2, 2);
    CHECK(WrongKernels{of(blocks, 256), run.stream(), true}.unwritten(out, kElements) == cudaSuccess);
  }
  const std::vector<float> end = run.values(out + kElements - 300, 300);
  CHECK(end[0] == static_cast<float>(kElements - 300));
  CHECK(end[299] == static_cast<float>(kElements - 1));
  CHECK(run.fault() == "");
  run.values(out + kElements - 1000, 1000);  // of blocks that did not run
  CHECK(run.fault().find("that nobody wrote") != std::string::npos);
  CHECK(cudaFree(out) == cudaSuccess);
}

TEST_CASE("what launches read and write is counted") {
  DeviceRun run;
  const float* x = run.numbers<float>(512);
  float* out = run.empty<float>(512);
  CHECK(run.fault() == "");
  emulation::take_launches();
  CHECK(WrongKernels{{.op = "reverse",
                      .device = Device::cuda(),
                      .grid = 2,
                      .block = 256,
                      .barriers = Barriers::some,
                      .flops = 3,
                      .bytes = 4096},
                     run.stream(),
                     true}
            .missing_barrier(out, x) == cudaSuccess);
  CHECK(WrongKernels{of(8, 64), run.stream(), true}.first_by_all(out, x) == cudaSuccess);
  CHECK(run.fault() == "");
  const std::vector<emulation::LaunchRecord> launches = emulation::take_launches();
  REQUIRE(launches.size() == 2);
  CHECK(launches[0].op == "reverse");
  CHECK(launches[0].stated_flops == 3);
  CHECK(launches[0].stated_bytes == 4096);
  CHECK(launches[0].read == 2048);
  CHECK(launches[0].written == 2048);
  CHECK(launches[0].distinct_read == 2048);
  CHECK(launches[0].distinct_written == 2048);
  CHECK(launches[1].read == 2048);
  CHECK(launches[1].distinct_read == 4);
  CHECK(launches[1].distinct_written == 2048);
}
