#include "imgcap/cli/bench_scale.h"

#include <algorithm>

#include "imgcap/bench/scale.h"
#include "imgcap/cli/score_files.h"
#include "imgcap/metrics/scores.h"
#include "tensor/error.h"

namespace imgcap::cli {
namespace {

using bench::ScalePoint;
using bench::ScaleSeries;
using tensor::io::Json;

// Time for a unit of work may grow so much before it is said: neighbours on the machine do as much.
constexpr double kTolerance = 1.25;

std::vector<std::string> chosen(const std::vector<std::string>& only) {
  const std::vector<std::string> all = bench::scale_names();
  for (const std::string& name : only)
    tensor::check(std::find(all.begin(), all.end(), name) != all.end(), tensor::ErrorKind::argument,
                  "bench: there is no series '{}'; there are {}", name, tensor::join(all, ", "));
  return only.empty() ? all : only;
}

std::string text_of(const ScaleSeries& series) {
  std::string text = tensor::format("{}: {}; work: {}\n  {:>6}  {:>10}  {:>14}  time / work\n", series.name,
                                    series.what, series.work_unit, "size", "seconds", series.unit + "/s");
  for (const ScalePoint& p : series.points)
    text += tensor::format("  {:>6}  {:>10.4f}  {:>14.1f}  {:>11.2f}\n", p.size, p.seconds, p.per_second,
                           series.relative(p));
  return text + "\n";
}

Json json_of(const ScaleSeries& series) {
  Json points = Json::array();
  for (const ScalePoint& p : series.points)
    points.push_back(Json::object({{"size", p.size},
                                   {"seconds", p.seconds},
                                   {"per_second", p.per_second},
                                   {"work", p.work},
                                   {"relative_time_per_work", series.relative(p)}}));
  return Json::object({{"name", series.name},
                       {"what", series.what},
                       {"unit", series.unit},
                       {"work_unit", series.work_unit},
                       {"points", points}});
}

ScaleSeries series_of(const Json& json) {
  ScaleSeries series{json.at("name").as_text(),
                     json.at("what").as_text(),
                     json.at("unit").as_text(),
                     json.at("work_unit").as_text(),
                     {}};
  for (const Json& p : json.at("points").items())
    series.points.push_back({p.at("size").as_int64(), p.at("seconds").as_double(),
                             p.at("per_second").as_double(), p.at("work").as_double()});
  return series;
}

// "hidden (1.4 x at 2048)", where a unit of work takes longer in large sizes than in the smallest; else empty.
std::string growth(const ScaleSeries& series) {
  if (series.points.back().work < series.points.front().work) return "";  // threads share it
  const auto worst = std::max_element(
      series.points.begin(), series.points.end(),
      [&](const ScalePoint& a, const ScalePoint& b) { return series.relative(a) < series.relative(b); });
  const double times = series.relative(*worst);
  return times <= kTolerance ? "" : tensor::format("{} ({:.2f} x at {})", series.name, times, worst->size);
}

// Without what it prints.
void score(const std::string& references, const std::string& candidates) {
  const ScoreFiles files = read_score_files({references}, {candidates}, {});
  score_captions(files.candidates[0], files.references);
}

}  // namespace

void run_scale(const ScaleRequest& request, const std::function<std::string(const std::string&)>& worker) {
  Json all = Json::array();
  std::vector<std::string> growing;
  for (const std::string& name : chosen(request.only)) {
    const Json json = Json::parse(worker(name), "bench");
    const ScaleSeries series = series_of(json);
    if (const std::string text = growth(series); !text.empty()) growing.push_back(text);
    request.json ? all.push_back(json) : print(text_of(series));
  }
  if (request.json) return print(Json::object({{"series", all}}).dump(1) + "\n");
  print(growing.empty() ? "nothing grows faster than its work\n"
                        : "time per work grows in " + tensor::join(growing, ", ") + "\n");
}

void run_scale_worker(const std::string& name, const ScaleRequest& request) {
  print_line(json_of(bench::run_scale(name, {request.calls, request.photos, request.weights, score})));
}

}  // namespace imgcap::cli
