// How sure scores are, and whether two files differ by more than chance: by drawing the images anew.
//
// What is drawn are images, each with all of its references, so CIDEr's document frequencies stay those of the
// whole set. BLEU is no mean: a sample's is made from the sums of its images' counts, like the corpus's.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "imgcap/metrics/scores.h"

namespace imgcap {

struct Interval {
  double low = 0, high = 0;
};

struct ResampleOptions {
  int64_t samples = 1000;  // of the bootstrap, and as many shuffles
  uint64_t seed = 1;
};

inline constexpr double kConfidence = 0.95;  // of every interval here
inline constexpr int64_t kMaxSamples = 1'000'000;

// By score, in the order of kScoreNames.
struct ScoreIntervals {
  ScoreValues value{};  // of all images
  std::array<Interval, kScores> interval;
};

struct ScoreDifference {
  double value = 0;  // B - A
  Interval interval;
  double p = 1;
};

struct Comparison {
  ScoreIntervals a, b;
  std::array<ScoreDifference, kScores> difference;  // in the order of kScoreNames
};

// The bootstrap's percentile intervals (Efron 1979; of corpus BLEU: Koehn 2004): a sample is as many images as
// there are, drawn with replacement. Sample s is stream s of the seed, so the result depends on the images'
// order and the options alone, not on the number of threads. Errors: argument (no images, samples outside
// 1..kMaxSamples).
ScoreIntervals score_intervals(std::span<const ImageScore> images, const ResampleOptions& options = {});

// The same of two files; a sample has the same images of both, which gives the difference's interval (Koehn
// 2004, section 4). `p` is of approximate randomization (Noreen 1989; Riezler and Maxwell 2005), two-sided:
// each shuffle exchanges the two captions of each image with probability 1/2, and p is
// (1 + shuffles whose difference is at least as large) / (1 + shuffles). Errors: those of score_intervals,
// data (the images are not the same ones, in the same order).
Comparison compare_scores(std::span<const ImageScore> a, std::span<const ImageScore> b,
                          const ResampleOptions& options = {});

}  // namespace imgcap
