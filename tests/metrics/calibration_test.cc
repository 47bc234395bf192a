// Reliability and logistic regression against scikit-learn's, and by hand.
#include "imgcap/metrics/calibration.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tensor/error.h"
#include "tensor/io/atomic_file.h"
#include "tests/data_dir.h"
#include "tests/json.h"
#include "tests/refused.h"

using namespace imgcap;
using tensor::io::Json;
using tests::refused;

namespace {

const Json& golden() {
  static const Json json =
      tests::read_json(tensor::io::read_file(tests::source_dir() / "tests/golden/calibration.json"));
  return json;
}

std::vector<double> numbers(const Json& list) {
  std::vector<double> all;
  for (const Json& each : list.items()) all.push_back(each.as_double());
  return all;
}

std::vector<bool> truths(const Json& list) {
  std::vector<bool> all;
  for (const Json& each : list.items()) all.push_back(each.as_bool());
  return all;
}

std::vector<Prediction> predictions(const std::vector<double>& p, const std::vector<bool>& happened) {
  std::vector<Prediction> all;
  for (size_t i = 0; i < p.size(); ++i) all.push_back({p[i], happened[i]});
  return all;
}

}  // namespace

TEST_CASE("reliability, calibration error and area under the curve are scikit-learn's") {
  for (size_t k = 0; k < 3; ++k) {
    CAPTURE(k);
    const Json& expected = golden().at("predictions").at(k);
    const auto all = predictions(numbers(expected.at("probability")), truths(expected.at("happened")));
    CHECK(auroc(all) == doctest::Approx(expected.at("auroc").as_double()).epsilon(1e-12));
    const ReliabilityTable table = reliability_table(all);
    CHECK(expected_calibration_error(table) ==
          doctest::Approx(expected.at("ece").as_double()).epsilon(1e-12));
    const std::vector<double> counts = numbers(expected.at("count"));
    // calibration_curve() leaves empty bins out, and has a bound in the bin below.
    const std::vector<double> predicted = numbers(expected.at("predicted")),
                              observed = numbers(expected.at("observed"));
    size_t filled = 0;
    for (size_t b = 0; b < kReliabilityBins; ++b) {
      CHECK(static_cast<double>(table[b].count) == counts[b]);
      if (table[b].count == 0 || k == 2) continue;
      CHECK(table[b].predicted == doctest::Approx(predicted.at(filled)).epsilon(1e-12));
      CHECK(table[b].observed == doctest::Approx(observed.at(filled++)).epsilon(1e-12));
    }
  }
}

TEST_CASE("reliability by hand: bounds, equal probabilities, and nothing at all") {
  const std::vector<Prediction> all = {{0, false}, {0.05, true}, {0.1, false}, {0.95, true}, {1, false}};
  const ReliabilityTable table = reliability_table(all);
  CHECK(table[0].count == 2);
  CHECK(table[0].predicted == 0.025);
  CHECK(table[0].observed == 0.5);
  CHECK(table[1].count == 1);
  CHECK(table[5].count == 0);
  CHECK(table[5].predicted == 0);
  CHECK(table[9].count == 2);
  CHECK(table[9].predicted == doctest::Approx(0.975));
  // (2 * .475 + .1 + 2 * .475) / 5
  CHECK(expected_calibration_error(table) == doctest::Approx(0.4));
  // Of the 2 * 3 pairs: .05 is over 0 alone, .95 over 0 and .1.
  CHECK(auroc(all) == doctest::Approx(0.5));
  CHECK(auroc(std::vector<Prediction>{{0.3, true}, {0.3, false}}) == 0.5);
  CHECK(auroc(std::vector<Prediction>{{0.3, true}, {0.2, false}}) == 1);
  CHECK(std::isnan(auroc(std::vector<Prediction>{{0.3, true}, {0.2, true}})));
  CHECK(std::isnan(auroc({})));
  CHECK(expected_calibration_error(reliability_table({})) == 0);
  CHECK(refused([] {
          reliability_table(std::vector<Prediction>{{1.5, true}});
        }) == "reliability: a probability of 1.5");
  CHECK(refused([] { reliability_table(std::vector<Prediction>{{NAN, true}}); }) != "taken");
}

TEST_CASE(
    "the logistic regression is scikit-learn's, where the outcomes are noisy and where they are parted") {
  for (size_t k = 0; k < 2; ++k) {
    CAPTURE(k);
    const Json& expected = golden().at("regressions").at(k);
    std::vector<std::vector<double>> rows;
    for (const Json& row : expected.at("rows").items()) rows.push_back(numbers(row));
    const LogisticModel model = fit_logistic(rows, truths(expected.at("outcomes")));
    const auto check = [](const std::vector<double>& got, const std::vector<double>& wanted) {
      REQUIRE(got.size() == wanted.size());
      for (size_t i = 0; i < got.size(); ++i) CHECK(std::fabs(got[i] - wanted[i]) < 1e-9);
    };
    check(model.means, numbers(expected.at("means")));
    check(model.scales, numbers(expected.at("scales")));
    check(model.weights, numbers(expected.at("weights")));
    check({model.intercept}, {expected.at("intercept").as_double()});
    std::vector<double> probabilities;
    for (const auto& row : rows) probabilities.push_back(model(row));
    check(probabilities, numbers(expected.at("probabilities")));
    CHECK(fit_logistic(rows, truths(expected.at("outcomes"))) == model);
  }
}

TEST_CASE("a column of equal numbers says nothing, and rows that nothing can be fitted to are refused") {
  const std::vector<bool> outcomes = {true, false, true, true};
  const LogisticModel model = fit_logistic({{0.1, 1}, {0.1, 2}, {0.1, 3}, {0.1, 4}}, outcomes);
  CHECK(model.scales[0] == 1);
  CHECK(std::fabs(model.weights[0]) < 1e-12);
  CHECK(std::fabs(model.weights[1]) > 0.01);
  const LogisticModel none = fit_logistic({{7}, {7}, {7}, {7}}, outcomes);
  CHECK(none(std::vector<double>{7}) == doctest::Approx(0.75));
  CHECK(refused([] { fit_logistic({}, {}); }) == "logistic regression: 0 rows with 0 outcomes");
  CHECK(refused([] { fit_logistic({{1}}, {true, false}); }) != "taken");
  CHECK(refused([] {
          fit_logistic({{1}, {1, 2}}, {true, false});
        }) == "logistic regression: a row of 2 numbers beside one of 1");
  CHECK(refused([] {
          fit_logistic({{1}, {INFINITY}}, {true, false});
        }) == "logistic regression: a number that is not finite");
  CHECK(refused([] {
          fit_logistic({{1}, {2}}, {true, true});
        }) == "logistic regression: all 2 outcomes are alike");
}
