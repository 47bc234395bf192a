#include "imgcap/training/training_log.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>

#include "imgcap/data/text_file.h"
#include "imgcap/data/utf8.h"
#include "imgcap/training/event_log.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/json.h"

namespace imgcap {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::io::Json;

constexpr double kLargest = 1e100;  // keeps sums finite

// What a line is told by, and what both sides know of it; the scores' own names come from to_json.
constexpr const char *kStep = "step", *kLoss = "loss", *kValidation = "validation", *kBest = "best",
                     *kBleu4 = "BLEU-4", *kCider = "CIDEr", *kSets = "sets";

constexpr int kDepth = 4;  // of a line's JSON: a set's "references" are the deepest

std::optional<int64_t> step_number(const Json& value) {
  const bool is_one = value.is_integer() && value.as_double() >= 0 && value.as_double() <= kMostTrainingSteps;
  return is_one ? std::optional(value.as_int64()) : std::nullopt;
}

// Reads the members of one line; each failure names the place.
class Line {
 public:
  Line(Json object, std::string place) : json_(std::move(object)), place_(std::move(place)) {}

  int64_t step() const {
    const std::optional<int64_t> step = step_number(member(kStep));
    check(step.has_value(), ErrorKind::data, "{}: \"step\" is no step number", place_);
    return *step;
  }
  double number(const char* name) const {
    const Json& value = member(name);
    check(value.is_number() && std::fabs(value.as_double()) <= kLargest, ErrorKind::data,
          "{}: \"{}\" is no finite number", place_, name);
    return value.as_double();
  }
  // CIDEr by set, if the line has any.
  std::vector<std::pair<std::string, double>> sets() const {
    std::vector<std::pair<std::string, double>> all;
    const Json* found = json_.find(kSets);
    if (found == nullptr) return all;
    check(found->is_object(), ErrorKind::data, "{}: \"{}\" is no JSON object", place_, kSets);
    for (size_t i = 0; i < found->size(); ++i) {
      const std::string& name = found->keys()[i];
      all.emplace_back(
          name, Line(found->items()[i], tensor::format("{}: {}", place_, printable(name))).number(kCider));
    }
    return all;
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

// A line of a log as `rewind` sees it: what it does not understand has no step.
struct LogLine {
  std::string_view text;  // with its end, but for a last one that has none
  std::optional<int64_t> step;
  bool is_validation = false;
};

std::vector<LogLine> lines_of(std::string_view text) {
  std::vector<LogLine> lines;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, std::min(text.find('\n'), text.size() - 1) + 1);
    text.remove_prefix(line.size());
    LogLine& entry = lines.emplace_back(LogLine{line, {}, false});
    const Json object = Json::try_parse(line, kDepth).value_or(Json());
    if (!object.is_object()) continue;
    if (const Json* step = object.find(kStep); step != nullptr) entry.step = step_number(*step);
    const Json* validation = object.find(kValidation);
    entry.is_validation = validation != nullptr && validation->is_bool() && validation->as_bool();
  }
  return lines;
}

}  // namespace

void TrainingLogWriter::add(const StepReport& r) const {
  Json line = Json::object({{kStep, r.step},
                            {"epoch", r.epoch},
                            {kLoss, r.loss},
                            {"tokens", r.tokens},
                            {"gradient_norm", r.gradient_norm},
                            {"lr", r.lr},
                            {"teacher_forcing", r.teacher_forcing},
                            {"captions_per_second", r.captions_per_second}});
  if (r.loss_scale > 0) {
    line["loss_scale"] = r.loss_scale;
    line["skipped_steps"] = r.skipped;
    line["skipped"] = r.was_skipped;  // then the norm is null
  }
  if (r.reward) line["reward"] = *r.reward;
  write(line.dump());
}

void TrainingLogWriter::add(const ValidationReport& r) const {
  Json line = Json::object({{kValidation, true}, {kStep, r.step}, {"epoch", r.epoch}, {kLoss, r.loss}});
  const Json scores = to_json(r.scores);
  for (const std::string& key : scores.keys()) line[key] = scores.at(key);
  line["beam"] = r.beam;
  line[kBest] = r.best;
  for (const SetValidation& set : r.sets) {
    Json part = Json::object({{kLoss, set.loss}});
    const Json own = to_json(set.scores);
    for (const std::string& key : own.keys()) part[key] = own.at(key);
    line[kSets][set.set] = part;
  }
  write(line.dump());
}

void TrainingLogWriter::write(const std::string& line) const {
  std::ofstream file(file_, std::ios::app);
  file << line << '\n';
  file.flush();
  check(file.good(), ErrorKind::io, "{}: cannot be written", file_.string());
}

void TrainingLogWriter::rewind(int64_t step, int64_t validated) const {
  if (!std::filesystem::is_regular_file(file_)) return;
  const std::string text = tensor::io::read_file(file_, std::numeric_limits<int64_t>::max());
  std::vector<LogLine> lines = lines_of(text);
  // Steps from here on are made again. A later line takes back those before it: from the end on.
  int64_t made_again = std::min(step, kMostTrainingSteps) + 1;
  int64_t validated_again = std::min(validated, kMostTrainingSteps) + 1;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    bool stays = line->step.has_value() || line->text.ends_with('\n');
    if (line->step) {
      int64_t& again = line->is_validation ? validated_again : made_again;
      stays = *line->step < std::min(again, made_again);
      again = std::min(again, *line->step);
    }
    if (!stays) line->text = {};
  }
  std::string kept;
  for (const LogLine& line : lines) kept += line.text;
  if (!kept.empty() && kept.back() != '\n') kept += '\n';
  if (kept != text) tensor::io::write_file_atomically(file_, kept);
}

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
    Json object = Json::try_parse(*line, kDepth).value_or(Json());
    check(object.is_object(), ErrorKind::data, "{}: no JSON object, as each line of a training log is",
          place);
    const Line entry(std::move(object), place);
    const int64_t step = entry.step();
    if (entry.flag(kValidation)) {
      log.add(TrainingLog::Validation{step, entry.number(kLoss), entry.number(kBleu4), entry.number(kCider),
                                      entry.flag(kBest), entry.sets()});
    } else {
      log.add(TrainingLog::Step{step, entry.number(kLoss)});
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
