// Launches: what a real device would refuse is refused, the rest is queued.
#include "tensor/cuda/launch.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "tensor/cuda/emulation/api.h"
#include "tensor/cuda/emulation/block.h"
#include "tensor/cuda/emulation/emulation.h"
#include "tensor/cuda/emulation/limits.h"
#include "tensor/cuda/emulation/watch.h"

namespace tensor::cuda::emulation {
namespace {

constexpr size_t kMostLaunches = 100'000;  // that are remembered, if nobody asks

thread_local std::optional<Launch> noted;  // what is said of the launch that comes next

struct Chosen {
  uint64_t first = 0, count = 0;
};
thread_local std::optional<Chosen> chosen_blocks;

std::vector<LaunchRecord>& launches() {
  static auto* const records = new std::vector<LaunchRecord>;
  return *records;
}

void run_and_count(const Grid& grid, double flops, double bytes) {
  take_touched();
  run_grid(grid);
  const Touched touched = take_touched();
  if (launches().size() == kMostLaunches) launches().clear();
  launches().push_back({grid.what, flops, bytes, touched.read, touched.written, touched.distinct_read,
                        touched.distinct_written});
}

// By kernel: the dynamic shared memory that it may ask for.
std::map<const void*, size_t>& opted_in() {
  static auto* const kernels = new std::map<const void*, size_t>;
  return *kernels;
}

bool fits(const dim3& size, const unsigned (&most)[3]) {
  return size.x >= 1 && size.y >= 1 && size.z >= 1 && size.x <= most[0] && size.y <= most[1] &&
         size.z <= most[2];
}

size_t most_shared_memory(const void* kernel, const Limits& limits) {
  const auto found = opted_in().find(kernel);
  return found == opted_in().end() ? limits.shared : std::max(limits.shared, found->second);
}

cudaError_t check_limits(const cudaLaunchConfig_t& config, const KernelCall& call, const Limits& limits) {
  const dim3& block = config.blockDim;
  if (!fits(config.gridDim, limits.grid) || !fits(block, limits.block) ||
      uint64_t{block.x} * block.y * block.z > limits.threads)
    return cudaErrorInvalidConfiguration;
  if (config.dynamicSmemBytes > most_shared_memory(call.kernel, limits) ||
      call.parameter_bytes > limits.parameters)
    return cudaErrorInvalidValue;
  if (!is_stream(config.stream) || config.stream->device != current_device())
    return cudaErrorInvalidResourceHandle;
  return cudaSuccess;
}

}  // namespace

cudaError_t launch_kernel(const cudaLaunchConfig_t& config, const KernelCall& call) {
  const std::shared_ptr<const void> arguments(call.arguments, call.destroy);
  const std::optional<Launch> note = std::exchange(noted, std::nullopt);
  return api_call([&] {
    const Limits limits = device_limits();
    if (const cudaError_t error = check_limits(config, call, limits)) return error;
    if (counts_only()) return cudaSuccess;
    const uint64_t blocks = uint64_t{config.gridDim.x} * config.gridDim.y * config.gridDim.z;
    Grid grid{.what = note ? note->op : "a kernel",
              .grid = config.gridDim,
              .block = config.blockDim,
              .barriers = !note || note->barriers == Barriers::some,
              .dynamic_shared = config.dynamicSmemBytes,
              .most_shared = most_shared_memory(call.kernel, limits),
              .first_block = 0,
              .blocks = blocks,
              .run = call.run,
              .arguments = call.arguments,
              .argument_bytes = call.bytes};
    if (chosen_blocks) {
      grid.first_block = std::min(chosen_blocks->first, blocks - 1);
      grid.blocks = std::min(chosen_blocks->count, blocks - grid.first_block);
    }
    const double flops = note ? note->flops : 0, bytes = note ? note->bytes : 0;
    queue_work(config.stream, grid.what,
               [grid, arguments, flops, bytes] { run_and_count(grid, flops, bytes); });
    return cudaSuccess;
  });
}

ChosenBlocks::ChosenBlocks(uint64_t first, uint64_t count) { chosen_blocks = {first, count}; }
ChosenBlocks::~ChosenBlocks() { chosen_blocks.reset(); }

std::vector<LaunchRecord> take_launches() {
  const std::lock_guard lock(api_mutex());
  return std::exchange(launches(), {});
}

}  // namespace tensor::cuda::emulation

namespace tensor::cuda {

void note_launch(const Launch& launch) { emulation::noted = launch; }

}  // namespace tensor::cuda

using namespace tensor::cuda::emulation;

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  return api_call([&] {
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
    if (value < 0 || static_cast<size_t>(value) > device_limits().shared_opt_in) return cudaErrorInvalidValue;
    opted_in()[kernel] = static_cast<size_t>(value);
    return cudaSuccess;
  });
}
