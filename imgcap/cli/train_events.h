// A training run's numbers for TensorBoard, which follows them while it goes on.
#pragma once

#include <filesystem>
#include <optional>

#include "imgcap/training/reports.h"
#include "tensor/io/events.h"

namespace imgcap::cli {

// The original's names (training/event_log.h), by training step as in log.jsonl. When the file cannot be
// written any more (a full disk), one sentence on stderr says so and the run goes on without it.
class TrainEvents {
 public:
  // Io error: the file cannot be made.
  explicit TrainEvents(const std::filesystem::path& folder);

  void add(const StepReport& report);
  void add(const ValidationReport& report);

 private:
  void add(int64_t step, const tensor::io::Scalars& scalars);

  std::optional<tensor::io::EventWriter> writer_;
};

}  // namespace imgcap::cli
