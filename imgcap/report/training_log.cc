#include "imgcap/report/training_log.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "imgcap/data/text_file.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"

namespace imgcap {
namespace {

using nlohmann::json;
using tensor::check;
using tensor::ErrorKind;

// Far over any real run's; keeps sums and axes finite.
constexpr int64_t kMostSteps = int64_t{1} << 50;
constexpr double kLargest = 1e100;

// A parser that keeps neither depth nor size: a line of a log is a flat object of few members.
json parse_flat(std::string_view line) {
  const auto shallow = [](int depth, json::parse_event_t event, json&) {
    return !(depth > 1 &&
             (event == json::parse_event_t::object_start || event == json::parse_event_t::array_start));
  };
  return json::parse(line.begin(), line.end(), shallow, false);
}

// Reads the members of one line; each failure names the place.
class Line {
 public:
  Line(json object, std::string place) : json_(std::move(object)), place_(std::move(place)) {}

  int64_t step() const {
    const json& value = member("step");
    check(value.is_number_integer() && value >= 0 && value <= kMostSteps, ErrorKind::data,
          "{}: \"step\" is no step number", place_);
    return value.get<int64_t>();
  }
  double number(const char* name) const {
    const json& value = member(name);
    check(value.is_number() && std::fabs(value.get<double>()) <= kLargest, ErrorKind::data,
          "{}: \"{}\" is no finite number", place_, name);
    return value.get<double>();
  }
  bool flag(const char* name) const {
    const auto found = json_.find(name);
    if (found == json_.end()) return false;
    check(found->is_boolean(), ErrorKind::data, "{}: \"{}\" is neither true nor false", place_, name);
    return found->get<bool>();
  }

 private:
  const json& member(const char* name) const {
    const auto found = json_.find(name);
    check(found != json_.end(), ErrorKind::data, "{}: \"{}\" is missing", place_, name);
    return *found;
  }

  json json_;
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
    const std::string place = fmt::format("{}:{}", name, lines.line_number());
    json object = parse_flat(*line);
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
