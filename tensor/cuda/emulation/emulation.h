// What tests ask of the emulated device that CUDA does not have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tensor::cuda::emulation {

// The order in which streams, blocks and threads take turns follows from this number. At first it is that of the
// environment's IMGCAP_EMULATION_SEED, or 1.
void set_seed(uint64_t seed);

// Whose limits the devices have: 75 (at first, or the environment's IMGCAP_EMULATION_SM), 80, 89 or 90. Errors:
// argument (another one).
void set_architecture(int sm);

// Whether launches are checked and counted, and none runs, as the environment's IMGCAP_EMULATION_COUNT=1 asks: a step of
// any size in a moment, for what launches say that they compute and move. The host finds what it has put there itself, and
// zeros elsewhere. Devices have 64 GiB each.
bool counts_only();

// What was found fault with since the last call, a sentence each. The devices work again.
std::vector<std::string> take_reports();
// Whether reports go to stderr as well, as they do at first.
void show_reports(bool shown);

// A block larger than a device's memory, of which only a few pages can be touched; null when there are no
// addresses left. cudaFree takes it back.
void* reserve(int device, size_t bytes);

// While one lives, launches run these of their blocks alone, by their number (x first).
class ChosenBlocks {
 public:
  ChosenBlocks(uint64_t first, uint64_t count);
  ~ChosenBlocks();
  ChosenBlocks(const ChosenBlocks&) = delete;
  ChosenBlocks& operator=(const ChosenBlocks&) = delete;
};

// What kernels did, a launch each.
struct LaunchRecord {
  std::string op;
  double stated_flops = 0, stated_bytes = 0;        // as the launch says
  int64_t read = 0, written = 0;                    // bytes of the device's memory, as often as asked for
  int64_t distinct_read = 0, distinct_written = 0;  // the same, each byte once
};
// Since the last call, in the order in which they ran.
std::vector<LaunchRecord> take_launches();

// How often the host has waited for a stream, an event or a device.
int64_t waits();

}  // namespace tensor::cuda::emulation
