// bench --scale: how time grows with the work.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace imgcap::cli {

struct ScaleRequest {
  std::vector<std::string> only;  // of bench::scale_names(); none: all
  int64_t calls = 3;              // of each size
  std::string photos, weights;
  bool json = false;
};

// Prints a table for each series as it is done, and at the end which of them grow faster than their work. Each
// series is `worker(its name)`: what a process of its own prints by run_scale_worker, as what one has in memory
// changes what the next one takes.
void run_scale(const ScaleRequest& request, const std::function<std::string(const std::string&)>& worker);

// One series in this process, as JSON.
void run_scale_worker(const std::string& name, const ScaleRequest& request);

}  // namespace imgcap::cli
