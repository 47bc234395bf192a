#include "imgcap/bench/rows.h"

#include <algorithm>

#include "imgcap/bench/jobs.h"
#include "imgcap/training/precision.h"
#include "tensor/error.h"

namespace imgcap::bench {
namespace {

constexpr bool anywhere(Precision) { return true; }

struct Job {
  const char* name;
  bool (*runs_in)(Precision);
  Row (*run)(const RowOptions&);
};
constexpr Job kJobs[] = {
    {"train-attention", anywhere, train_attention},
    {"train-plain", anywhere, train_plain},
    {"lstm", anywhere, lstm},
    {"resnet50-b1", encodes_in, resnet50_b1},
    {"resnet50-b8", encodes_in, resnet50_b8},
    {"lite2-b1", encodes_in, lite2_b1},
    {"lite2-b16", encodes_in, lite2_b16},
    {"prepare", encodes_in, prepare},
    {"caption-resnet50", encodes_in, caption_resnet50},
};

}  // namespace

std::vector<std::string> row_names(Precision precision) {
  std::vector<std::string> names;
  for (const Job& job : kJobs)
    if (job.runs_in(precision)) names.emplace_back(job.name);
  return names;
}

Row run_row(const std::string& name, const RowOptions& options) {
  const auto job = std::find_if(std::begin(kJobs), std::end(kJobs),
                                [&](const Job& j) { return j.name == name && j.runs_in(options.precision); });
  tensor::check(job != std::end(kJobs), tensor::ErrorKind::argument,
                "bench: there is no row '{}' in {}; there are {}", name, to_string(options.precision),
                tensor::join(row_names(options.precision), ", "));
  Row row = job->run(options);
  row.name = name;
  return row;
}

}  // namespace imgcap::bench
