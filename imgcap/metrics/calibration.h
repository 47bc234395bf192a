// Whether probabilities hold: how often what was given a probability happened, and a logistic regression that
// makes probabilities of a few numbers.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace imgcap {

// A probability that was given to something, and whether that was so.
struct Prediction {
  double probability = 0;
  bool happened = false;
};

// Of the predictions in a part of [0, 1]: their mean probability, and the share of them that happened.
struct ReliabilityBin {
  int64_t count = 0;
  double predicted = 0, observed = 0;  // 0 where there are none
};

// Ten of equal width; the probability .3 is in the fourth, [.3, .4), and 1 in the last.
inline constexpr size_t kReliabilityBins = 10;
using ReliabilityTable = std::array<ReliabilityBin, kReliabilityBins>;

// Errors: argument (a probability that is not in [0, 1]).
ReliabilityTable reliability_table(std::span<const Prediction> predictions);

// The expected calibration error (Guo et al. 2017): the mean distance of `predicted` and `observed`, bins counting
// by their predictions. 0 without any.
double expected_calibration_error(const ReliabilityTable& table);

// The probability that of two predictions, one that happened and one that did not, the first has the higher
// probability; equal ones count half (Mann and Whitney 1947). NaN where all or none happened.
double auroc(std::span<const Prediction> predictions);

// p(x) = 1 / (1 + exp(-intercept - sum_j weights[j] (x[j] - means[j]) / scales[j]))
struct LogisticModel {
  std::vector<double> means, scales, weights;
  double intercept = 0;

  double operator()(std::span<const double> x) const;
  bool operator==(const LogisticModel&) const = default;
};

// The model of least sum of losses -log p(outcome) plus half the weights' squares, by Newton's method from zero:
// always the same for the same rows. means and scales are the rows' own (population) ones; of a column of equal
// numbers the scale is 1. Errors: argument (rows of different lengths or another number of outcomes, a number that
// is not finite, all outcomes alike).
LogisticModel fit_logistic(const std::vector<std::vector<double>>& rows, const std::vector<bool>& outcomes);

}  // namespace imgcap
