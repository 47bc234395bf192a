#include "tensor/cuda/emulation/report.h"

#include <cstdio>
#include <mutex>
#include <utility>
#include <vector>

#include "tensor/cuda/emulation/emulation.h"
#include "tensor/cuda/emulation/memory.h"
#include "tensor/cuda/emulation/streams.h"

namespace tensor::cuda::emulation {
namespace {

struct Reports {
  std::vector<std::string> texts;
  bool shown = true;
};
Reports& reports() {
  static auto* const them = new Reports;
  return *them;
}

}  // namespace

void report(cudaError_t error, const std::string& text) {
  const int device = running_stream()->device;
  reports().texts.push_back(std::string(running_work()) + ": cuda:" + std::to_string(device) + ": " + text);
  if (reports().shown) std::fprintf(stderr, "%s\n", reports().texts.back().c_str());
  if (sticky_error(device) == cudaSuccess) sticky_error(device) = error;
}

std::vector<std::string> take_reports() {
  const std::lock_guard lock(api_mutex());
  for (int device = 0; device < kDevices; ++device) sticky_error(device) = cudaSuccess;
  return std::exchange(reports().texts, {});
}

void show_reports(bool shown) {
  const std::lock_guard lock(api_mutex());
  reports().shown = shown;
}

}  // namespace tensor::cuda::emulation
