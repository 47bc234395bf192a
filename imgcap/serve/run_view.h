// A training run as it goes on elsewhere, from the files that it writes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/io/json.h"

namespace imgcap::serve {

class RunView {
 public:
  // `folder`: RUN of imgcap train --out. Errors: argument (there is no such folder).
  explicit RunView(std::filesystem::path folder);

  // {"name", "step", "epoch", "total_steps", "seconds_left", "seconds_silent" (since its log grew), "steps": {"step": [],
  // "loss": [], "lr": [], "captions_per_second": [], "loss_scale": []}, "validations": [...], "photos": [{"set",
  // "photo", "references", "preview"}], "samples": [{"step", "epoch", "captions"}]}. Of long runs steps are thinned
  // out. What is not known is missing. Reads only what is new since the last time. May be called by several threads.
  tensor::io::Json now();

  // The bytes of a photo's preview by its number; nothing where there is none.
  std::optional<std::string> preview(size_t number);

 private:
  struct Step {
    int64_t step = 0;
    double loss = 0, lr = 0, captions_per_second = 0, loss_scale = 0;
  };

  void read_log();
  void add_line(std::string_view line);
  double seconds_left(const tensor::io::Json& run) const;

  const std::filesystem::path folder_, log_;
  std::mutex mutex_;
  uint64_t inode_ = 0, read_ = 0;  // of the log: which file it was, and how much of it is in here
  std::string begun_;              // a line that has no end yet
  int64_t epoch_ = 0;
  std::vector<Step> steps_;
  std::vector<tensor::io::Json> validations_;
};

}  // namespace imgcap::serve
