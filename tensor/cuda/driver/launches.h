// What was launched on devices, and how long it took, for tests and measurements.
#pragma once

#include <vector>

#include "tensor/cuda/launch.h"
#include "tensor/cuda/launch_count.h"
#include "tensor/cuda/runtime.h"

namespace tensor::cuda {

// What begin_launch counts, for what is queued on another stream.
void count_launch(const Launch& launch);

// As Runtime's.
void measure_launches();
std::vector<LaunchTime> measured_launches();

}  // namespace tensor::cuda
