// What the dice of the augmentations say: each quantity's distribution, counted over many draws, and the
// numbers themselves.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "imgcap/data/augment.h"
#include "tensor/error.h"
#include "tensor/random.h"

using namespace imgcap;

namespace {

constexpr double kTurnShape = 4.0 / 3;

// Draws that should be uniform in [low, high).
void check_uniform(const std::vector<double>& draws, double low, double high) {
  CAPTURE(low);
  CAPTURE(high);
  const double n = static_cast<double>(draws.size()), width = high - low, middle = (low + high) / 2;
  REQUIRE(n > 5000);
  double mean = 0, variance = 0;
  for (const double x : draws) mean += x / n;
  for (const double x : draws) variance += (x - middle) * (x - middle) / n;
  // Four standard deviations: of a uniform number, and of its squared distance from the middle.
  CHECK(std::abs(mean - middle) <= 4 * width / std::sqrt(12 * n));
  CHECK(std::abs(variance - width * width / 12) <= 4 * width * width / std::sqrt(180 * n));
  // Within the bounds, and near both: that none of 5,000 is in a certain hundredth has the odds 1e-22.
  const auto [least, most] = std::minmax_element(draws.begin(), draws.end());
  CHECK(*least >= low);
  CHECK(*most <= high);
  CHECK(*least < low + width / 100);
  CHECK(*most > high - width / 100);
}

void check_share(double count, double total, double share) {
  CHECK(std::abs(count / total - share) <= 4 * std::sqrt(share * (1 - share) / total));
}

// Columns of draws, a row a plan.
struct Draws {
  std::map<std::string, std::vector<double>> columns;
  std::map<std::array<int, 4>, int> orders;
  double plans = 0, applied = 0, flipped = 0;
};

Draws draw(const AugmentOptions& options, int count) {
  Draws draws;
  for (int i = 0; i < count; ++i) {
    const AugmentPlan plan = plan_augmentation(options, 5, i / 1000, i % 1000);
    draws.plans += 1;
    if (!plan.apply) continue;
    draws.applied += 1;
    draws.flipped += plan.flip;
    ++draws.orders[plan.order];
    const auto note = [&](const char* name, double value) { draws.columns[name].push_back(value); };
    note("degrees", plan.degrees);
    note("top", plan.top);
    note("left", plan.left);
    note("brightness", plan.brightness);
    note("contrast", plan.contrast);
    note("saturation", plan.saturation);
    note("hue", plan.hue);
    note("area", plan.area);
    note("log shape", std::log(plan.shape));
  }
  return draws;
}

// No two columns go together, nor one with its own neighbour in the row of plans.
void check_independent(const Draws& draws) {
  std::map<std::string, std::vector<double>> standard;
  for (const auto& [name, values] : draws.columns) {
    const double n = static_cast<double>(values.size());
    double mean = 0, variance = 0;
    for (const double x : values) mean += x / n;
    for (const double x : values) variance += (x - mean) * (x - mean) / n;
    if (variance < 1e-20) continue;  // switched off
    for (const double x : values) standard[name].push_back((x - mean) / std::sqrt(variance));
  }
  for (const auto& [a, x] : standard)
    for (const auto& [b, y] : standard) {
      CAPTURE(a);
      CAPTURE(b);
      const size_t shift = a == b ? 1 : 0;
      double together = 0;
      for (size_t i = shift; i < x.size(); ++i) together += x[i] * y[i - shift];
      CHECK(std::abs(together) <= 4 * std::sqrt(static_cast<double>(x.size())));
    }
}

void check_order(const Draws& draws) {
  CHECK(draws.orders.size() == 24);
  for (const auto& [order, count] : draws.orders) check_share(count, draws.applied, 1.0 / 24);
}

void check_plan(const AugmentPlan& got, const AugmentPlan& want) {
  CHECK(got.apply == want.apply);
  CHECK(got.flip == want.flip);
  CHECK(got.order == want.order);
  const auto near = [](double a, double b) { CHECK(std::abs(a - b) <= 1e-14); };
  near(got.degrees, want.degrees);
  near(got.top, want.top);
  near(got.left, want.left);
  near(got.brightness, want.brightness);
  near(got.contrast, want.contrast);
  near(got.saturation, want.saturation);
  near(got.hue, want.hue);
  near(got.area, want.area);
  near(got.shape, want.shape);
}

bool refused(const AugmentOptions& options) {
  try {
    plan_augmentation(options, 1, 0, 0);
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == tensor::ErrorKind::argument);
    return true;
  }
  return false;
}

}  // namespace

TEST_CASE(
    "the original's dice: turned by up to 15 degrees, jitter of 0.2 and a hue of 0.1, four times in five") {
  const Draws draws = draw({}, 24000);
  check_share(draws.applied, draws.plans, 0.8);
  check_share(draws.flipped, draws.applied, 0.5);
  check_uniform(draws.columns.at("degrees"), -15, 15);
  check_uniform(draws.columns.at("top"), 0, 1);
  check_uniform(draws.columns.at("left"), 0, 1);
  for (const char* name : {"brightness", "contrast", "saturation"})
    check_uniform(draws.columns.at(name), 0.8, 1.2);
  check_uniform(draws.columns.at("hue"), -0.1, 0.1);
  for (const double area : draws.columns.at("area")) REQUIRE(area == 1);
  for (const double shape : draws.columns.at("log shape")) REQUIRE(shape == 0);
  check_order(draws);
  check_independent(draws);
  CHECK(AugmentOptions{}.crop == 110);
}

TEST_CASE(
    "the mild dice: always a part of 60 % and more, its shape to both sides, a hue of 0.02, never turned") {
  const AugmentOptions options = mild_augmentation();
  CHECK(options.crop == 0);
  const Draws draws = draw(options, 24000);
  CHECK(draws.applied == draws.plans);
  check_share(draws.flipped, draws.applied, 0.5);
  for (const double degrees : draws.columns.at("degrees")) REQUIRE(degrees == 0);
  check_uniform(draws.columns.at("top"), 0, 1);
  check_uniform(draws.columns.at("left"), 0, 1);
  for (const char* name : {"brightness", "contrast", "saturation"})
    check_uniform(draws.columns.at(name), 0.8, 1.2);
  check_uniform(draws.columns.at("hue"), -0.02, 0.02);
  check_uniform(draws.columns.at("area"), 0.6, 1);
  // As wide as often as high: uniform in its logarithm.
  check_uniform(draws.columns.at("log shape"), -std::log(kTurnShape), std::log(kTurnShape));
  check_order(draws);
  check_independent(draws);
}

TEST_CASE("each setting of the dice is its own") {
  AugmentOptions options;
  options.probability = 0.3;
  options.flip = 0.9;
  options.degrees = 40;
  options.brightness = 0.1;
  options.contrast = 0.3;
  options.saturation = 0.5;
  options.hue = 0.25;
  options.least_area = 0.2;
  const Draws draws = draw(options, 30000);
  check_share(draws.applied, draws.plans, 0.3);
  check_share(draws.flipped, draws.applied, 0.9);
  check_uniform(draws.columns.at("degrees"), -40, 40);
  check_uniform(draws.columns.at("brightness"), 0.9, 1.1);
  check_uniform(draws.columns.at("contrast"), 0.7, 1.3);
  check_uniform(draws.columns.at("saturation"), 0.5, 1.5);
  check_uniform(draws.columns.at("hue"), -0.25, 0.25);
  check_uniform(draws.columns.at("area"), 0.2, 1);
  check_independent(draws);

  options.probability = 0;
  CHECK(draw(options, 1000).applied == 0);
  options.probability = 1;
  options.flip = 0;
  CHECK(draw(options, 1000).flipped == 0);
  options.flip = 1;
  CHECK(draw(options, 1000).flipped == 1000);
}

// By a Philox-4x32-10 written down from the paper, the k-th number of photo and epoch from block k of the
// stream (epoch + 1) 2^40 + index: cached features of changed photos stay valid.
TEST_CASE("the same dice on every machine and in every version") {
  check_plan(plan_augmentation(mild_augmentation(), 31, 0, 0), {true,
                                                                false,
                                                                0,
                                                                0.6003069439969412,
                                                                0.9799473987162581,
                                                                0.9603745288362835,
                                                                1.1613586084956988,
                                                                1.0499469086871127,
                                                                -0.012878215267293495,
                                                                0.648115723893108,
                                                                0.7509788597662298,
                                                                {2, 0, 1, 3}});
  check_plan(plan_augmentation(mild_augmentation(), 31, 2, 7), {true,
                                                                true,
                                                                0,
                                                                0.1770407438217193,
                                                                0.13023313607627873,
                                                                0.906540380815577,
                                                                0.9656766106389063,
                                                                0.8638809047826121,
                                                                0.010530068647596015,
                                                                0.8732711292392934,
                                                                1.0623142969830295,
                                                                {1, 3, 0, 2}});
  check_plan(plan_augmentation(mild_augmentation(), (uint64_t{1} << 40) + 5, 3, (int64_t{1} << 33) + 1),
             {true,
              true,
              0,
              0.46593400876021407,
              0.4689672778236992,
              0.9943264637849148,
              1.15447958392734,
              1.0258179514569807,
              0.0015234499460704716,
              0.6705978350547811,
              0.9329403414781081,
              {0, 2, 1, 3}});
  check_plan(plan_augmentation({}, 31, 2, 7), {true,
                                               true,
                                               -11.096343558339765,
                                               0.1770407438217193,
                                               0.13023313607627873,
                                               0.906540380815577,
                                               0.9656766106389063,
                                               0.8638809047826121,
                                               0.052650343237980096,
                                               1,
                                               1,
                                               {1, 3, 0, 2}});
}

TEST_CASE("dice outside of their range are refused, those at its ends are not") {
  const auto with = [](double AugmentOptions::*member, double value) {
    AugmentOptions options;
    options.*member = value;
    return refused(options);
  };
  for (double AugmentOptions::*member :
       {&AugmentOptions::brightness, &AugmentOptions::contrast, &AugmentOptions::saturation}) {
    CHECK_FALSE(with(member, 0));
    CHECK_FALSE(with(member, 1));
    CHECK(with(member, -0.001));
    CHECK(with(member, 1.001));
    CHECK(with(member, NAN));
  }
  CHECK_FALSE(with(&AugmentOptions::hue, 0));
  CHECK_FALSE(with(&AugmentOptions::hue, 0.5));
  CHECK(with(&AugmentOptions::hue, -0.001));
  CHECK(with(&AugmentOptions::hue, 0.501));
  CHECK_FALSE(with(&AugmentOptions::least_area, 1));
  CHECK_FALSE(with(&AugmentOptions::least_area, 0.001));
  CHECK(with(&AugmentOptions::least_area, 0));
  CHECK(with(&AugmentOptions::least_area, 1.001));
  CHECK(with(&AugmentOptions::degrees, INFINITY));
  CHECK_FALSE(with(&AugmentOptions::degrees, 400));
  AugmentOptions options;
  options.crop = 0;
  CHECK_FALSE(refused(options));
  options.crop = -1;
  CHECK(refused(options));

  const int64_t epochs = int64_t{1} << 23, photos = int64_t{1} << 40;
  CHECK_NOTHROW(plan_augmentation({}, 1, epochs - 1, photos - 1));
  CHECK_THROWS_AS(plan_augmentation({}, 1, epochs, 0), tensor::Error);
  CHECK_THROWS_AS(plan_augmentation({}, 1, -1, 0), tensor::Error);
  CHECK_THROWS_AS(plan_augmentation({}, 1, 0, photos), tensor::Error);
  CHECK_THROWS_AS(plan_augmentation({}, 1, 0, -1), tensor::Error);
}
