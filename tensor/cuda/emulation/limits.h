// What a real device allows a launch.
#pragma once

#include <cstddef>

namespace tensor::cuda::emulation {

struct Limits {
  int architecture;      // 75: sm_75
  size_t shared;         // bytes of a block, static and dynamic
  size_t shared_opt_in;  // the same after cudaFuncSetAttribute
  unsigned threads = 1024;
  unsigned block[3] = {1024, 1024, 64};
  unsigned grid[3] = {2147483647, 65535, 65535};
  size_t parameters = 4096;  // bytes of arguments
};

Limits device_limits();

}  // namespace tensor::cuda::emulation
