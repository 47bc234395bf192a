// bench --scale: how time grows with the work.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace imgcap::cli {

struct ScaleRequest {
  std::vector<std::string> only;  // of bench::scale_names(); none: all
  int64_t calls = 3;              // of each size
  std::string photos, weights;
  bool json = false;
};

// Prints a table for each series as it is done, and at the end which of them grow faster than their work.
void run_scale(const ScaleRequest& request);

}  // namespace imgcap::cli
