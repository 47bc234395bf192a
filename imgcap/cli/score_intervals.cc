#include "imgcap/cli/score_intervals.h"

#include <algorithm>
#include <cmath>

#include "tensor/format.h"

namespace imgcap::cli {
namespace {

using tensor::io::Json;

// What rounds to 0 has no minus.
std::string with_sign(double x) { return tensor::format("{:+.4f}", std::abs(x) < 0.00005 ? 0.0 : x); }

std::string plain(const Interval& i) { return tensor::format("{:.4f} to {:.4f}", i.low, i.high); }
std::string with_signs(const Interval& i) { return with_sign(i.low) + " to " + with_sign(i.high); }

std::string made_by(const ResampleOptions& options) {
  return tensor::format("{:.0f} % intervals: percentiles of {} bootstrap samples of the images, seed {}",
                        100 * kConfidence, options.samples, options.seed);
}

Json to_json(const Interval& interval) { return Json::array({interval.low, interval.high}); }

Json to_json(const std::array<Interval, kScores>& intervals) {
  Json json = Json::object();
  for (size_t k = 0; k < kScores; ++k) json[kScoreNames[k]] = to_json(intervals[k]);
  return json;
}

void add_options(Json& json, const ResampleOptions& options) {
  json["samples"] = options.samples;
  json["seed"] = static_cast<int64_t>(options.seed);
  json["confidence"] = kConfidence;
}

Json file_json(const std::string& file, const Scores& scores, const Diversity& diversity,
               const ScoreIntervals& intervals) {
  Json json = Json::object({{"file", file}});
  Json values = imgcap::to_json(scores);
  add_diversity(values, diversity);
  for (size_t i = 0; i < values.size(); ++i) json.add(values.keys()[i], values.items()[i]);
  json["intervals"] = to_json(intervals.interval);
  return json;
}

}  // namespace

std::string intervals_text(const ScoreIntervals& intervals, const ResampleOptions& options) {
  std::string text;
  for (size_t k = 0; k < kScores; ++k)
    text += tensor::format("{:<8}  {:.4f}  ({})\n", kScoreNames[k], intervals.value[k],
                           plain(intervals.interval[k]));
  return text + made_by(options) + "\n";
}

void add_intervals(Json& json, const ScoreIntervals& intervals, const ResampleOptions& options) {
  json["intervals"] = to_json(intervals.interval);
  add_options(json, options);
}

std::string comparison_text(const Compared& compared, const ResampleOptions& options) {
  const Comparison& c = compared.comparison;
  std::string text = tensor::format("A: {}\nB: {}\n{:<8}  {:<26}  {:<26}  {:<30}  p\n", compared.file_a,
                                    compared.file_b, "", "A", "B", "B - A");
  for (size_t k = 0; k < kScores; ++k) {
    const ScoreDifference& d = c.difference[k];
    text += tensor::format("{:<8}  {:.4f}  ({})  {:.4f}  ({})  {}  ({})  {:.3g}\n", kScoreNames[k],
                           c.a.value[k], plain(c.a.interval[k]), c.b.value[k], plain(c.b.interval[k]),
                           with_sign(d.value), with_signs(d.interval), d.p);
  }
  text += describe(compared.a) + "\n";
  if (describe(compared.b) != describe(compared.a)) text += describe(compared.b) + "\n";
  text += tensor::format("A: {}\nB: {}\n", describe(compared.diversity_a), describe(compared.diversity_b));
  return text + made_by(options) +
         tensor::format(
             ", the same images of both files.\np: paired randomization test, two-sided, {} shuffles: how "
             "often a difference this large comes by chance\n",
             options.samples);
}

Json comparison_json(const Compared& compared, const ResampleOptions& options) {
  const Comparison& c = compared.comparison;
  Json difference = Json::object();
  for (size_t k = 0; k < kScores; ++k)
    difference[kScoreNames[k]] = Json::object({{"value", c.difference[k].value},
                                               {"interval", to_json(c.difference[k].interval)},
                                               {"p", c.difference[k].p}});
  Json json = Json::object({{"a", file_json(compared.file_a, compared.a, compared.diversity_a, c.a)},
                            {"b", file_json(compared.file_b, compared.b, compared.diversity_b, c.b)},
                            {"difference", difference}});
  add_options(json, options);
  return json;
}

}  // namespace imgcap::cli
