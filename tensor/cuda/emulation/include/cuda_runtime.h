// Stands where NVIDIA's header of that name would, for the emulated device: the part of CUDA that we use, with the same
// names, values and signatures (tests/emulation/as_nvidia.h is compiled against both).
#pragma once

#include "tensor/cuda/emulation/cuda_types.h"
//
#include "tensor/cuda/emulation/cuda_api.h"
#include "tensor/cuda/emulation/cuda_device.h"
#include "tensor/cuda/emulation/cuda_launch.h"
