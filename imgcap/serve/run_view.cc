#include "imgcap/serve/run_view.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>

#include "tensor/error.h"
#include "tensor/io/atomic_file.h"

namespace imgcap::serve {

namespace fs = std::filesystem;
using tensor::io::Json;

namespace {

constexpr size_t kMostSteps = 600, kMostSamples = 200;
constexpr size_t kLongestLine = 1 << 20, kPiece = 1 << 20;
constexpr int64_t kMostFileBytes = int64_t{4} << 20;

double number_in(const Json& json, const char* name) {
  const Json* found = json.find(name);
  return found != nullptr && found->is_number() ? found->as_double() : 0.0;
}

int64_t step_in(const Json& json) {
  const Json* found = json.find("step");
  return found != nullptr && found->is_integer() ? std::max<int64_t>(found->as_int64(), 0) : 0;
}

// "mine" of runs/mine and runs/mine/.
std::string name_of(const fs::path& folder) {
  const fs::path normal = folder.lexically_normal();
  return (normal.filename().empty() ? normal.parent_path() : normal).filename().string();
}

// Null where the file is missing, is being written, or is none of ours.
Json json_file(const fs::path& file) {
  try {
    return Json::try_parse(tensor::io::read_file(file, kMostFileBytes)).value_or(Json());
  } catch (const tensor::Error&) {
    return {};
  }
}

}  // namespace

RunView::RunView(fs::path folder) : folder_(std::move(folder)), log_(folder_ / "log.jsonl") {
  std::error_code ignored;
  tensor::check(fs::is_directory(folder_, ignored), tensor::ErrorKind::argument,
                "--run {}: it is no folder of a training run (imgcap train --out)", folder_.string());
}

// The log grows at its end; when a run goes on after a kill, another file takes its place.
void RunView::read_log() {
  struct stat now {};
  if (::stat(log_.c_str(), &now) != 0) return;
  const auto size = static_cast<uint64_t>(now.st_size);
  if (now.st_ino != inode_ || size < read_) {
    inode_ = now.st_ino;
    read_ = 0;
    begun_.clear();
    steps_.clear();
    validations_.clear();
  }
  std::ifstream file(log_, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(read_));
  std::string piece(kPiece, '\0');
  while (read_ < size &&
         file.read(piece.data(), static_cast<std::streamsize>(std::min<uint64_t>(kPiece, size - read_)))
                 .gcount() > 0) {
    read_ += static_cast<uint64_t>(file.gcount());
    begun_.append(piece, 0, static_cast<size_t>(file.gcount()));
    size_t begin = 0;
    for (size_t end; (end = begun_.find('\n', begin)) != std::string::npos; begin = end + 1)
      add_line(std::string_view(begun_).substr(begin, end - begin));
    begun_.erase(0, begin);
    if (begun_.size() > kLongestLine) begun_.clear();
  }
}

void RunView::add_line(std::string_view line) {
  const std::optional<Json> json = Json::try_parse(line, 8);
  if (!json || !json->is_object()) return;
  epoch_ = static_cast<int64_t>(number_in(*json, "epoch"));
  const Json* validation = json->find("validation");
  if (validation != nullptr && validation->is_bool() && validation->as_bool())
    validations_.push_back(*json);
  else
    steps_.push_back({step_in(*json), number_in(*json, "loss"), number_in(*json, "lr"),
                      number_in(*json, "captions_per_second"), number_in(*json, "loss_scale")});
}

// As fast as it has been since it began or went on.
double RunView::seconds_left(const Json& run) const {
  struct stat log {};
  if (steps_.empty() || ::stat(log_.c_str(), &log) != 0) return -1;
  const double steps = static_cast<double>(steps_.back().step) - number_in(run, "step"),
               seconds = static_cast<double>(log.st_mtime) - number_in(run, "time"),
               left = number_in(run, "total_steps") - static_cast<double>(steps_.back().step);
  return steps >= 1 && seconds > 0 && left >= 0 ? seconds / steps * left : -1;
}

Json RunView::now() {
  const std::lock_guard lock(mutex_);
  read_log();
  Json json = Json::object({{"name", name_of(folder_)}, {"epoch", epoch_}});
  json["step"] = steps_.empty() ? int64_t{0} : steps_.back().step;
  const Json run = json_file(folder_ / "samples" / "run.json");
  if (run.is_object()) {
    json["total_steps"] = static_cast<int64_t>(number_in(run, "total_steps"));
    if (const double left = seconds_left(run); left >= 0) json["seconds_left"] = std::round(left);
    if (const Json* photos = run.find("photos")) json["photos"] = *photos;
  }
  struct stat log {};
  if (::stat(log_.c_str(), &log) == 0)
    json["seconds_silent"] = std::max<int64_t>(0, static_cast<int64_t>(std::time(nullptr) - log.st_mtime));
  Json columns = Json::object();
  for (const char* name : {"step", "loss", "lr", "captions_per_second", "loss_scale"})
    columns[name] = Json::array();
  const size_t every = std::max<size_t>(1, (steps_.size() + kMostSteps - 1) / kMostSteps);
  // The mean of each stretch: single losses are noise.
  for (size_t begin = 0; begin < steps_.size(); begin += every) {
    const size_t end = std::min(begin + every, steps_.size());
    double loss = 0;
    for (size_t i = begin; i < end; ++i) loss += steps_[i].loss / static_cast<double>(end - begin);
    const Step& last = steps_[end - 1];
    columns["step"].push_back(last.step);
    columns["loss"].push_back(loss);
    columns["lr"].push_back(last.lr);
    columns["captions_per_second"].push_back(last.captions_per_second);
    columns["loss_scale"].push_back(last.loss_scale);
  }
  json["steps"] = std::move(columns);
  json["validations"] = Json::array();
  for (const Json& validation : validations_) json["validations"].push_back(validation);
  json["samples"] = Json::array();
  std::vector<fs::path> files;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_ / "samples", ignored))
    if (entry.path().filename().string().starts_with("step_")) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  if (files.size() > kMostSamples) files.erase(files.begin(), files.end() - kMostSamples);
  for (const fs::path& file : files)
    if (Json sample = json_file(file); sample.is_object()) json["samples"].push_back(std::move(sample));
  return json;
}

std::optional<std::string> RunView::preview(size_t number) {
  try {
    return tensor::io::read_file(folder_ / "samples" / tensor::format("{}.jpg", number), kMostFileBytes);
  } catch (const tensor::Error&) {
    return std::nullopt;
  }
}

}  // namespace imgcap::serve
