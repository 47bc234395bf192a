// The log of a training run, written and read: log.jsonl. TensorBoard's event files are read as one, too.
//
// JSON Lines. A step's line has "step" (from 1), "epoch" (from 0), "loss" (nats per token), "gradient_norm"
// (null when it is not finite), "lr", "teacher_forcing" and "captions_per_second"; in f16 "loss_scale",
// "skipped_steps" and "skipped"; self-critical "reward". A validation's has "validation": true, "step",
// "epoch", "loss", the scores (to_json of metrics/scores.h), "beam" and "best". Of several sets these are the
// means, and "sets" has, by name, each one's "loss" and scores.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "imgcap/training/reports.h"

namespace imgcap {

// Adds to a run's log; each line is on disk's way when `add` returns. Errors: io (names the file).
class TrainingLogWriter {
 public:
  // The file need not be there.
  explicit TrainingLogWriter(std::filesystem::path file) : file_(std::move(file)) {}

  void add(const StepReport& report) const;
  void add(const ValidationReport& report) const;

  // Takes back what a run that was killed did after the checkpoint that it goes on from, so that a step that
  // is made again is there once: steps after `step`, validations of steps after `validated`, the piece of a
  // line at the end, and of steps that are there twice the earlier line. All other lines stay, byte for byte,
  // whatever is in them. The file is replaced as a whole, if at all: no crash loses a line that stays.
  void rewind(int64_t step, int64_t validated) const;

 private:
  void write(const std::string& line) const;

  std::filesystem::path file_;
};

struct TrainingLog {
  struct Step {
    int64_t step = 0;
    double loss = 0;
  };
  struct Validation {
    int64_t step = 0;
    double loss = 0, bleu4 = 0, cider = 0;
    bool best = false;
    std::vector<std::pair<std::string, double>> sets = {};  // of several: name, CIDEr
  };
  // Both by rising step.
  std::vector<Step> steps;
  std::vector<Validation> validations;

  // A run that was killed and resumed has steps twice in event files, and in logs of earlier versions: the
  // later one holds, and takes back what the run did after the checkpoint that it was resumed from.
  void add(const Step& step);
  void add(const Validation& validation);
};

inline constexpr int64_t kMaxTrainingLogBytes = int64_t{256} << 20;
inline constexpr int64_t kMostTrainingSteps = int64_t{1} << 50;  // far over any real run's

// Of a step's line "step" and "loss" are read, of a validation's "validation", "step", "loss", "BLEU-4",
// "CIDEr", "best" and the "CIDEr" of "sets"; other keys are ignored, blank lines too. Or an event file, which its content tells
// (event_log.h), or a folder of event files: those of one run that was resumed, in the order of the times in
// their names. Errors: io (the file cannot be read), data (it is over kMaxTrainingLogBytes; "file:line: ..."
// of the first line that is not one of these; no line at all; what event_log.h and tensor/io/events.h
// refuse).
TrainingLog read_training_log(const std::filesystem::path& file);

// The same for a file in memory; `name` stands for it in messages.
TrainingLog parse_training_log(std::string_view text, const std::string& name);

}  // namespace imgcap
