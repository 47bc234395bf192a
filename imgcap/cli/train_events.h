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
  // `first_step`: of a run that goes on; TensorBoard drops what an earlier part of it has from there on. (A
  // validation that is made again after the step before it is there twice, with equal values.) Errors: io
  // (the file cannot be made).
  explicit TrainEvents(const std::filesystem::path& folder, std::optional<int64_t> first_step = {});

  void add(const StepReport& report);
  void add(const ValidationReport& report);

 private:
  void add(int64_t step, const tensor::io::Scalars& scalars);

  std::optional<tensor::io::EventWriter> writer_;
};

}  // namespace imgcap::cli
