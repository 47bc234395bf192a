#include "imgcap/bench/machine.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "imgcap/bench/timing.h"
#include "tensor/error.h"
#include "tensor/onednn.h"
#include "tensor/thread_pool.h"

namespace imgcap::bench {
namespace {

// The value of the first line of /proc/cpuinfo that starts with `name`.
std::string cpuinfo(const std::string& name) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name))
      if (const size_t colon = line.find(": "); colon != std::string::npos) return line.substr(colon + 2);
  return "";
}

// A register's worth of floats of the instruction set that this program is compiled for.
#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
typedef float Packet __attribute__((vector_size(kBytes)));

// Twelve independent chains of multiply-adds hide their latency; what is left is throughput.
float multiply_adds(int64_t rounds) {
  constexpr int kChains = 12;
  Packet sum[kChains], factor, add;
  for (int k = 0; k < kChains; ++k) sum[k] = Packet{} + static_cast<float>(k);
  factor = Packet{} + 0.999999f;
  add = Packet{} + 1e-6f;
  for (int64_t i = 0; i < rounds; ++i) {
    for (int k = 0; k < kChains; ++k) sum[k] = sum[k] * factor + add;
    asm volatile("" : "+x"(factor));  // else the loop is worked out ahead
  }
  Packet all = sum[0];
  for (int k = 1; k < kChains; ++k) all += sum[k];
  return all[0];
}

double measure_gflops(int threads) {
  constexpr int64_t kRounds = 4'000'000;
  std::vector<float> results(static_cast<size_t>(threads));
  const Timing timing = measure(
      [&] {
        tensor::parallel_for(threads, 1, [&](int64_t begin, int64_t end) {
          for (int64_t t = begin; t < end; ++t) results[static_cast<size_t>(t)] = multiply_adds(kRounds);
        });
      },
      1, 5);
  tensor::check(results[0] > 0, tensor::ErrorKind::internal, "bench: the multiply-adds came to nothing");
  return 2.0 * 12 * (kBytes / 4) * static_cast<double>(kRounds) * threads / timing.min / 1e9;
}

double measure_bandwidth() {
  constexpr int64_t kFloats = int64_t{1} << 25;  // 128 MiB an array
  std::vector<float> a(kFloats, 1), b(kFloats, 2), c(kFloats, 0);
  const Timing timing = measure(
      [&] {
        tensor::parallel_for(kFloats, kFloats / 64, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i)
            c[static_cast<size_t>(i)] = a[static_cast<size_t>(i)] + 3 * b[static_cast<size_t>(i)];
        });
      },
      1, 5);
  return 3.0 * 4 * static_cast<double>(kFloats) / timing.min / 1e9;
}

}  // namespace

std::string processor_name() {
  const std::string name = cpuinfo("model name");
  return name.empty() ? "unknown processor" : name;
}

std::string products() { return tensor::uses_onednn() ? "oneDNN" : "Eigen"; }

std::vector<std::string> instruction_sets() {
  std::istringstream flags(cpuinfo("flags"));
  const std::vector<std::string> wanted = {"sse4_2",      "avx",      "avx2",        "fma",
                                           "f16c",        "avx512f",  "avx512_vnni", "avx512_bf16",
                                           "avx512_fp16", "amx_bf16", "amx_int8"};
  std::vector<std::string> found;
  for (std::string flag; flags >> flag;)
    if (std::find(wanted.begin(), wanted.end(), flag) != wanted.end()) found.push_back(flag);
  return found;
}

Machine describe_machine() {
  Machine machine;
  machine.processor = processor_name();
  machine.instruction_sets = instruction_sets();
  machine.processors = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  machine.threads = tensor::num_threads();
  machine.gflops = measure_gflops(machine.threads);
  machine.bf16 = measure_bf16(machine.instruction_sets, machine.threads);
  machine.bandwidth = measure_bandwidth();
  machine.products = products();
  return machine;
}

}  // namespace imgcap::bench
