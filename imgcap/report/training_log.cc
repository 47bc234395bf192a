#include "imgcap/report/training_log.h"

#include <algorithm>
#include <cmath>

#include "imgcap/data/text_file.h"
#include "imgcap/report/event_log.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/json.h"

namespace imgcap {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::io::Json;

constexpr double kLargest = 1e100;  // keeps sums finite

// Reads the members of one line; each failure names the place.
class Line {
 public:
  Line(Json object, std::string place) : json_(std::move(object)), place_(std::move(place)) {}

  int64_t step() const {
    const Json& value = member("step");
    check(value.is_integer() && value.as_double() >= 0 && value.as_double() <= kMostTrainingSteps,
          ErrorKind::data, "{}: \"step\" is no step number", place_);
    return value.as_int64();
  }
  double number(const char* name) const {
    const Json& value = member(name);
    check(value.is_number() && std::fabs(value.as_double()) <= kLargest, ErrorKind::data,
          "{}: \"{}\" is no finite number", place_, name);
    return value.as_double();
  }
  bool flag(const char* name) const {
    const Json* found = json_.find(name);
    if (found == nullptr) return false;
    check(found->is_bool(), ErrorKind::data, "{}: \"{}\" is neither true nor false", place_, name);
    return found->as_bool();
  }

 private:
  const Json& member(const char* name) const {
    const Json* found = json_.find(name);
    check(found != nullptr, ErrorKind::data, "{}: \"{}\" is missing", place_, name);
    return *found;
  }

  Json json_;
  std::string place_;
};

template <class Entry>
void rewind(std::vector<Entry>& entries, int64_t step) {
  while (!entries.empty() && entries.back().step >= step) entries.pop_back();
}

// A run that was resumed has an event file for each part, with the time when it began in its name.
std::vector<std::filesystem::path> event_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (entry.path().filename().string().find("tfevents") != std::string::npos) files.push_back(entry.path());
  check(!error, ErrorKind::io, "{}: cannot be read: {}", folder.string(), error.message());
  check(!files.empty(), ErrorKind::data, "{}: a folder without event files of TensorBoard", folder.string());
  std::sort(files.begin(), files.end());
  return files;
}

void add_event_file(std::string_view bytes, const std::string& name, TrainingLog& log) {
  add_events(tensor::io::parse_events(bytes, name), name, log);
}

TrainingLog with_entries(TrainingLog log, const std::string& name) {
  check(!log.steps.empty() || !log.validations.empty(), ErrorKind::data,
        "{}: no {} and no validation among its scalars", name, scalar_names::kLoss);
  return log;
}

}  // namespace

void TrainingLog::add(const Step& step) {
  rewind(steps, step.step);
  // A validation follows the step that it is named by.
  rewind(validations, step.step);
  steps.push_back(step);
}

void TrainingLog::add(const Validation& validation) {
  rewind(validations, validation.step);
  validations.push_back(validation);
}

TrainingLog parse_training_log(std::string_view text, const std::string& name) {
  if (tensor::io::looks_like_events(text)) {
    TrainingLog log;
    add_event_file(text, name, log);
    return with_entries(std::move(log), name);
  }
  check_text(text, name);
  TrainingLog log;
  LineReader lines(text);
  while (const auto line = lines.next()) {
    if (line->find_first_not_of(" \t") == std::string_view::npos) continue;
    const std::string place = tensor::format("{}:{}", name, lines.line_number());
    Json object = Json::try_parse(*line, 2).value_or(Json());
    check(object.is_object(), ErrorKind::data, "{}: no JSON object, as each line of a training log is",
          place);
    const Line entry(std::move(object), place);
    const int64_t step = entry.step();
    if (entry.flag("validation")) {
      log.add(TrainingLog::Validation{step, entry.number("loss"), entry.number("BLEU-4"),
                                      entry.number("CIDEr"), entry.flag("best")});
    } else {
      log.add(TrainingLog::Step{step, entry.number("loss")});
    }
  }
  check(!log.steps.empty() || !log.validations.empty(), ErrorKind::data, "{}: no line of a training run",
        name);
  return log;
}

TrainingLog read_training_log(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::is_directory(file, error))
    return parse_training_log(tensor::io::read_file(file, kMaxTrainingLogBytes), file.string());
  TrainingLog log;
  for (const std::filesystem::path& part : event_files(file)) {
    const std::string bytes = tensor::io::read_file(part, kMaxTrainingLogBytes);
    // A run that was killed as it began has nothing in it.
    if (!bytes.empty()) add_event_file(bytes, part.string(), log);
  }
  return with_entries(std::move(log), file.string());
}

}  // namespace imgcap
