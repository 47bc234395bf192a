#include "imgcap/bench/rows.h"

#include <algorithm>

#include "imgcap/bench/jobs.h"
#include "tensor/cuda/runtime.h"
#include "tensor/error.h"

namespace imgcap::bench {
namespace {

using tensor::Device;

constexpr bool anywhere(Precision, const Device&) { return true; }
bool only_on_devices(Precision, const Device& device) { return !device.is_cpu(); }

struct Job {
  const char* name;
  bool (*runs_in)(Precision, const Device&);
  Row (*run)(const RowOptions&);
};
constexpr Job kJobs[] = {
    {"train-attention", anywhere, train_attention},
    {"train-plain", anywhere, train_plain},
    {"lstm", anywhere, lstm},
    {"resnet50-b1", anywhere, resnet50_b1},
    {"resnet50-b8", anywhere, resnet50_b8},
    {"lite2-b1", anywhere, lite2_b1},
    {"lite2-b16", anywhere, lite2_b16},
    {"prepare", anywhere, prepare},
    {"caption-resnet50", anywhere, caption_resnet50},
    {"resnet50-b256", only_on_devices, resnet50_b256},
    {"lite2-b256", only_on_devices, lite2_b256},
    {"search-1000", only_on_devices, search_1000},
    {"train-attention-640", only_on_devices, train_attention_640},
    {"encode-31783", only_on_devices, encode_31783},
};

}  // namespace

std::vector<std::string> row_names(Precision precision, const Device& device) {
  std::vector<std::string> names;
  for (const Job& job : kJobs)
    if (job.runs_in(precision, device)) names.emplace_back(job.name);
  return names;
}

std::string rows_of(Precision precision, const Device& device) {
  return device.is_cpu() ? to_string(precision) : to_string(precision) + " on " + to_string(device);
}

Row run_row(const std::string& name, const RowOptions& options) {
  const auto job = std::find_if(std::begin(kJobs), std::end(kJobs), [&](const Job& j) {
    return j.name == name && j.runs_in(options.precision, options.device);
  });
  tensor::check(job != std::end(kJobs), tensor::ErrorKind::argument,
                "bench: there is no row '{}' in {}; there are {}", name,
                rows_of(options.precision, options.device),
                tensor::join(row_names(options.precision, options.device), ", "));
  Row row = job->run(options);
  row.name = name;
  if (!options.device.is_cpu())
    row.device_peak_mib = static_cast<double>(tensor::cuda::runtime_of(options.device, "bench")
                                                  .memory_statistics(options.device.index)
                                                  .peak_bytes) /
                          (1 << 20);
  return row;
}

}  // namespace imgcap::bench
