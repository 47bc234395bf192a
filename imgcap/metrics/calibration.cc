#include "imgcap/metrics/calibration.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/error.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;

ReliabilityTable reliability_table(std::span<const Prediction> predictions) {
  ReliabilityTable table;
  for (const Prediction& each : predictions) {
    check(each.probability >= 0 && each.probability <= 1, ErrorKind::argument,
          "reliability: a probability of {}", each.probability);
    const auto at = static_cast<size_t>(each.probability * kReliabilityBins);
    ReliabilityBin& bin = table[std::min(at, kReliabilityBins - 1)];
    ++bin.count;
    bin.predicted += each.probability;
    bin.observed += each.happened ? 1 : 0;
  }
  for (ReliabilityBin& bin : table) {
    if (bin.count == 0) continue;
    bin.predicted /= static_cast<double>(bin.count);
    bin.observed /= static_cast<double>(bin.count);
  }
  return table;
}

double expected_calibration_error(const ReliabilityTable& table) {
  double sum = 0;
  int64_t count = 0;
  for (const ReliabilityBin& bin : table) {
    sum += static_cast<double>(bin.count) * std::fabs(bin.predicted - bin.observed);
    count += bin.count;
  }
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

double auroc(std::span<const Prediction> predictions) {
  std::vector<Prediction> sorted(predictions.begin(), predictions.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const Prediction& a, const Prediction& b) { return a.probability < b.probability; });
  double right = 0, no = 0, yes = 0;  // pairs in the right order; what has come by now
  for (size_t begin = 0; begin < sorted.size();) {
    size_t end = begin;
    double equal_no = 0, equal_yes = 0;
    for (; end < sorted.size() && sorted[end].probability == sorted[begin].probability; ++end)
      (sorted[end].happened ? equal_yes : equal_no) += 1;
    right += equal_yes * (no + equal_no / 2);
    no += equal_no, yes += equal_yes;
    begin = end;
  }
  return yes == 0 || no == 0 ? std::numeric_limits<double>::quiet_NaN() : right / (yes * no);
}

double LogisticModel::operator()(std::span<const double> x) const {
  double z = intercept;
  for (size_t j = 0; j < weights.size(); ++j) z += weights[j] * (x[j] - means[j]) / scales[j];
  return 1 / (1 + std::exp(-z));
}

namespace {

using Vector = std::vector<double>;
using Matrix = std::vector<Vector>;

// log(1 + exp(z))
double softplus(double z) { return std::max(z, 0.0) + std::log1p(std::exp(-std::fabs(z))); }

// The solution of a x = b, a symmetric and positive definite: by elimination, which needs no pivots then.
Vector solve(Matrix a, Vector b) {
  const size_t n = b.size();
  for (size_t k = 0; k < n; ++k)
    for (size_t i = k + 1; i < n; ++i) {
      const double factor = a[i][k] / a[k][k];
      for (size_t j = k; j < n; ++j) a[i][j] -= factor * a[k][j];
      b[i] -= factor * b[k];
    }
  for (size_t i = n; i-- > 0;) {
    for (size_t j = i + 1; j < n; ++j) b[i] -= a[i][j] * b[j];
    b[i] /= a[i][i];
  }
  return b;
}

// The standardised rows, each with a 1 for the intercept behind it, and what is wanted of them.
struct Problem {
  Matrix rows;
  const std::vector<bool>& outcomes;

  double z(size_t row, const Vector& w) const {
    double sum = 0;
    for (size_t j = 0; j < w.size(); ++j) sum += w[j] * rows[row][j];
    return sum;
  }
  double loss(const Vector& w) const {
    double sum = 0;
    for (size_t j = 0; j + 1 < w.size(); ++j) sum += w[j] * w[j] / 2;
    for (size_t i = 0; i < rows.size(); ++i) sum += softplus(outcomes[i] ? -z(i, w) : z(i, w));
    return sum;
  }
  // Newton's step from w: the inverse second derivative times the first.
  Vector step(const Vector& w) const {
    const size_t n = w.size();
    Vector gradient(n, 0.0);
    Matrix hessian(n, Vector(n, 0.0));
    for (size_t j = 0; j + 1 < n; ++j) gradient[j] = w[j], hessian[j][j] = 1;
    for (size_t i = 0; i < rows.size(); ++i) {
      const double p = 1 / (1 + std::exp(-z(i, w))), error = p - (outcomes[i] ? 1 : 0);
      for (size_t j = 0; j < n; ++j) {
        gradient[j] += error * rows[i][j];
        for (size_t k = 0; k < n; ++k) hessian[j][k] += p * (1 - p) * rows[i][j] * rows[i][k];
      }
    }
    return solve(std::move(hessian), std::move(gradient));
  }
};

void expect_rows(const Matrix& rows, const std::vector<bool>& outcomes) {
  check(!rows.empty() && rows.size() == outcomes.size(), ErrorKind::argument,
        "logistic regression: {} rows with {} outcomes", rows.size(), outcomes.size());
  for (const Vector& row : rows) {
    check(row.size() == rows.front().size(), ErrorKind::argument,
          "logistic regression: a row of {} numbers beside one of {}", row.size(), rows.front().size());
    for (const double x : row)
      check(std::isfinite(x), ErrorKind::argument, "logistic regression: a number that is not finite");
  }
  const auto happened = std::count(outcomes.begin(), outcomes.end(), true);
  check(happened > 0 && happened < std::ssize(outcomes), ErrorKind::argument,
        "logistic regression: all {} outcomes are alike", outcomes.size());
}

}  // namespace

LogisticModel fit_logistic(const Matrix& rows, const std::vector<bool>& outcomes) {
  expect_rows(rows, outcomes);
  const size_t columns = rows.front().size();
  const auto count = static_cast<double>(rows.size());
  LogisticModel model;
  Problem problem{Matrix(rows.size(), Vector(columns + 1, 1.0)), outcomes};
  for (size_t j = 0; j < columns; ++j) {
    double mean = 0, variance = 0;
    for (const Vector& row : rows) mean += row[j] / count;
    for (const Vector& row : rows) variance += (row[j] - mean) * (row[j] - mean) / count;
    // What rounding leaves of equal numbers is no spread.
    const bool constant =
        std::all_of(rows.begin(), rows.end(), [&](const Vector& row) { return row[j] == rows.front()[j]; });
    model.means.push_back(mean);
    model.scales.push_back(constant ? 1 : std::sqrt(variance));
    for (size_t i = 0; i < rows.size(); ++i) problem.rows[i][j] = (rows[i][j] - mean) / model.scales.back();
  }
  constexpr int kMostSteps = 100;
  constexpr double kEnough = 1e-12;  // of a step, beside weights around 1
  Vector w(columns + 1, 0.0);
  for (int i = 0; i < kMostSteps; ++i) {
    const Vector step = problem.step(w);
    // The loss is convex: a step that goes too far is halved until it is of use.
    double length = 1;
    Vector next;
    for (const double before = problem.loss(w); length > kEnough; length /= 2) {
      next = w;
      for (size_t j = 0; j < w.size(); ++j) next[j] -= length * step[j];
      if (problem.loss(next) <= before) break;
    }
    if (length <= kEnough) break;  // rounding is all that is left
    w = next;
    if (std::all_of(step.begin(), step.end(), [](double s) { return std::fabs(s) < kEnough; })) break;
  }
  model.intercept = w.back();
  w.pop_back();
  model.weights = std::move(w);
  return model;
}

}  // namespace imgcap
