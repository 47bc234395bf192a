// Scores with their intervals, and two files side by side, for people and for programs.
#pragma once

#include <string>

#include "imgcap/metrics/diversity.h"
#include "imgcap/metrics/resample.h"
#include "tensor/io/json.h"

namespace imgcap::cli {

// A line of each score. Lines end in '\n'.
std::string intervals_text(const ScoreIntervals& intervals, const ResampleOptions& options);
// "intervals" (score -> [low, high]), "samples", "seed" and "confidence" for the object of the scores.
void add_intervals(tensor::io::Json& json, const ScoreIntervals& intervals, const ResampleOptions& options);

// Two files of captions for the same images.
struct Compared {
  std::string file_a, file_b;
  Scores a, b;
  Diversity diversity_a, diversity_b;
  Comparison comparison;
};

std::string comparison_text(const Compared& compared, const ResampleOptions& options);
// {"a": scores with "file" and "intervals", "b": the same, "difference": score -> {"value", "interval", "p"},
// "samples", "seed", "confidence"}
tensor::io::Json comparison_json(const Compared& compared, const ResampleOptions& options);

}  // namespace imgcap::cli
