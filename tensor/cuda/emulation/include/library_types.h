// Element types of NVIDIA's libraries, for the emulated device.
#pragma once

#include "tensor/cuda/emulation/cublaslt_names.h"

#define IMGCAP_VALUE(name, number) name = number,
enum cudaDataType_t { IMGCAP_CUDA_TYPES(IMGCAP_VALUE) };
#undef IMGCAP_VALUE
using cudaDataType = cudaDataType_t;
