#include "imgcap/report/training_log.h"

#include <cmath>

#include "imgcap/data/text_file.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/json.h"

namespace imgcap {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::io::Json;

// Far over any real run's; keeps sums and axes finite.
constexpr int64_t kMostSteps = int64_t{1} << 50;
constexpr double kLargest = 1e100;

// Reads the members of one line; each failure names the place.
class Line {
 public:
  Line(Json object, std::string place) : json_(std::move(object)), place_(std::move(place)) {}

  int64_t step() const {
    const Json& value = member("step");
    check(value.is_integer() && value.as_double() >= 0 && value.as_double() <= kMostSteps, ErrorKind::data,
          "{}: \"step\" is no step number", place_);
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

// Takes back what a run did after the checkpoint that it was resumed from.
template <class Entry>
void rewind(std::vector<Entry>& entries, int64_t step) {
  while (!entries.empty() && entries.back().step >= step) entries.pop_back();
}

}  // namespace

TrainingLog parse_training_log(std::string_view text, const std::string& name) {
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
      rewind(log.validations, step);
      log.validations.push_back(
          {step, entry.number("loss"), entry.number("BLEU-4"), entry.number("CIDEr"), entry.flag("best")});
    } else {
      rewind(log.steps, step);
      // What comes after this step has been taken back; a validation follows the step that it is named by.
      rewind(log.validations, step);
      log.steps.push_back({step, entry.number("loss")});
    }
  }
  check(!log.steps.empty() || !log.validations.empty(), ErrorKind::data, "{}: no line of a training run",
        name);
  return log;
}

TrainingLog read_training_log(const std::filesystem::path& file) {
  return parse_training_log(tensor::io::read_file(file, kMaxTrainingLogBytes), file.string());
}

}  // namespace imgcap
