// What a device of type cuda can do at most: the scale for its rows.
#pragma once

#include <optional>

#include "tensor/device.h"

namespace imgcap::bench {

struct DeviceCeilings {
  double copy_gb_per_second = 0;          // read and written, within its memory
  double f32_tflops = 0, f16_tflops = 0;  // of large products with sums in f32
};

// Measures for about a second; nothing for an emulated device, which is as fast as the processor that it is on. Takes
// 2 GiB. Errors: cuda, device.
std::optional<DeviceCeilings> measure_ceilings(const tensor::Device& device);

}  // namespace imgcap::bench
