// What launches on devices say that they compute and move, added up.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace tensor::cuda {

struct LaunchCount {
  int64_t launches = 0;
  double flops = 0, bytes = 0;  // as the launches state them (launch.h)
};

// By op, since the program began, on all devices. Transfers are beside the kernels: "upload" and "download" (bytes that
// cross), "copy_between". Null in a program without devices, as in runtime.h, and where nobody counts.
[[gnu::weak]] std::map<std::string, LaunchCount> launch_statistics();

}  // namespace tensor::cuda
