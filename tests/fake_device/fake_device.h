// Two devices of type cuda that nobody may touch: their memory lies on closed pages. A kernel opens them, runs as it does
// on the CPU, and closes them, so whatever else reads or writes a device's memory from the host ends the program, with
// a sentence, at its line. A program has them when these objects are linked into it; nothing else knows of them.
#pragma once

#include <cstdint>

namespace tests {

struct FakeDeviceCounts {
  int64_t launches = 0;  // kernels that ran, those inside of others not counted
  int64_t waits = 0;     // for results, from the host
  int64_t uploads = 0;   // copies from the host to a device
  int64_t bytes_uploaded = 0, bytes_downloaded = 0;
  int64_t bytes_in_use = 0;   // of all devices
  int64_t blocks_in_use = 0;  // the same
};
FakeDeviceCounts fake_device_counts();

// How much memory a fake device has.
inline constexpr int64_t kFakeDeviceBytes = int64_t{1} << 32;

}  // namespace tests
