// The log of a training run as numbers: log.jsonl, or TensorBoard's event files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace imgcap {

struct TrainingLog {
  struct Step {
    int64_t step = 0;
    double loss = 0;
  };
  struct Validation {
    int64_t step = 0;
    double loss = 0, bleu4 = 0, cider = 0;
    bool best = false;
  };
  // Both by rising step.
  std::vector<Step> steps;
  std::vector<Validation> validations;

  // A run that was killed and resumed has steps twice: the later one holds, and takes back what the run did
  // after the checkpoint that it was resumed from.
  void add(const Step& step);
  void add(const Validation& validation);
};

inline constexpr int64_t kMaxTrainingLogBytes = int64_t{256} << 20;
inline constexpr int64_t kMostTrainingSteps = int64_t{1} << 50;  // far over any real run's

// JSON Lines as the trainer writes them: a line a step with "step" and "loss", and a line a validation with
// "validation": true, "step", "loss", "BLEU-4", "CIDEr" and "best"; other keys are ignored, blank lines too.
// Or an event file, which its content tells (event_log.h), or a folder of event files: those of one run that
// was resumed, in the order of the times in their names.
// Kind io: the file cannot be read. Kind data: it is over kMaxTrainingLogBytes; "file:line: ..." of the first
// line that is not one of these, or no line at all; what event_log.h and tensor/io/events.h refuse.
TrainingLog read_training_log(const std::filesystem::path& file);

// The same for a file in memory; `name` stands for it in messages.
TrainingLog parse_training_log(std::string_view text, const std::string& name);

}  // namespace imgcap
