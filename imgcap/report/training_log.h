// The log of a training run, log.jsonl, as numbers.
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
  // Both by rising step. A run that was killed and resumed has steps twice: the later line holds.
  std::vector<Step> steps;
  std::vector<Validation> validations;
};

inline constexpr int64_t kMaxTrainingLogBytes = int64_t{256} << 20;

// JSON Lines as the trainer writes them: a line a step with "step" and "loss", and a line a validation with
// "validation": true, "step", "loss", "BLEU-4", "CIDEr" and "best"; other keys are ignored, blank lines too.
// Kind io: the file cannot be read. Kind data: it is over kMaxTrainingLogBytes; "file:line: ..." of the first
// line that is not one of these, or no line at all.
TrainingLog read_training_log(const std::filesystem::path& file);

// The same for a text in memory; `name` stands for the file in messages.
TrainingLog parse_training_log(std::string_view text, const std::string& name);

}  // namespace imgcap
