#include "imgcap/report/chart.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/report/html_check.h"
#include "tests/report/svg.h"

using namespace imgcap;
using tests::DrawnChart;
using tests::read_chart;

namespace {

constexpr double kRounding = 0.3;  // coordinates have one digit behind the point; places add two of them up

bool near(double a, double b) { return std::fabs(a - b) <= kRounding; }

std::vector<std::string> labels(const std::vector<tests::Tick>& ticks) {
  std::vector<std::string> all;
  for (const tests::Tick& tick : ticks) all.push_back(tick.label);
  return all;
}

using Labels = std::vector<std::string>;

// The numbers beside the y axis of a curve from one value to another.
Labels y_labels(double from, double to) {
  return labels(read_chart(render_chart({"", "", "", {{"", {{0, from}, {1, to}}}}})).y);
}

void check_ticks(const std::vector<double>& ticks, const std::vector<double>& expected) {
  REQUIRE(ticks.size() == expected.size());
  for (size_t i = 0; i < ticks.size(); ++i) {
    CAPTURE(expected[i]);
    CHECK(ticks[i] == doctest::Approx(expected[i]).epsilon(1e-12));
  }
}

}  // namespace

TEST_CASE("a point lies where the numbers beside the axes say") {
  const Chart chart{
      "Loss",
      "step",
      "nats",
      {{"training", {{0, 3}, {250, 1}, {1000, 2}}}, {"other", {{100, 2.5}, {900, 1.25}}, true}}};
  const DrawnChart drawn = read_chart(render_chart(chart));
  CHECK(labels(drawn.x) == Labels{"0", "500", "1,000"});
  CHECK(labels(drawn.y) == Labels{"1.0", "1.5", "2.0", "2.5", "3.0"});
  CHECK(drawn.title == "Loss");
  CHECK(drawn.x_label == "step");
  CHECK(drawn.y_label == "nats");
  // The labels are in the middle of their axes.
  CHECK(near(drawn.x_label_at, (drawn.left + drawn.right) / 2));
  CHECK(std::fabs(drawn.y_label_at - (drawn.down(1) + drawn.down(3)) / 2) < 5);
  REQUIRE(drawn.series.size() == 2);
  for (size_t s = 0; s < 2; ++s) {
    const auto& points = chart.series[s].points;
    CHECK(drawn.series[s].name == chart.series[s].name);
    REQUIRE(drawn.series[s].line.size() == points.size());
    for (size_t i = 0; i < points.size(); ++i) {
      CAPTURE(i);
      CHECK(near(drawn.series[s].line[i].x, drawn.across(points[i].x)));
      CHECK(near(drawn.series[s].line[i].y, drawn.down(points[i].y)));
    }
  }
  // Dots where they are asked for, in the legend, too.
  CHECK(drawn.series[0].dots.empty());
  CHECK_FALSE(drawn.series[0].dot_in_legend);
  REQUIRE(drawn.series[1].dots.size() == 2);
  CHECK(drawn.series[1].dot_in_legend);
  for (size_t i = 0; i < 2; ++i) {
    CHECK(drawn.series[1].dots[i].x == drawn.series[1].line[i].x);
    CHECK(drawn.series[1].dots[i].y == drawn.series[1].line[i].y);
  }
  // The curves fill the frame, upwards and to the right, with a little air above and below.
  CHECK(near(drawn.across(0), drawn.left));
  CHECK(near(drawn.across(1000), drawn.right));
  CHECK(drawn.right - drawn.left > 300);
  const double height = drawn.down(1) - drawn.down(3);
  CHECK(height > 150);
  CHECK(drawn.bottom - drawn.down(1) > 0.02 * height);
  CHECK(drawn.bottom - drawn.down(1) < 0.1 * height);
  CHECK(drawn.down(3) > 24);  // below the legend
  CHECK(drawn.down(3) < 60);
  // The second name begins behind the first.
  CHECK(drawn.series[1].legend_at > drawn.series[0].legend_at + 28 + 5 * 8);
  CHECK(drawn.series[1].legend_at < drawn.series[0].legend_at + 150);
}

TEST_CASE("an axis covers what it is told to") {
  Chart chart{"", "", "", {{"score", {{500, 0.2}, {1000, 0.4}}}}};
  chart.x_low = 0;
  chart.x_high = 2000;
  DrawnChart drawn = read_chart(render_chart(chart));
  CHECK(near(drawn.across(0), drawn.left));
  CHECK(near(drawn.across(2000), drawn.right));
  CHECK(drawn.bottom - drawn.down(0.2) > 1);
  CHECK(drawn.y.front().value > 0);
  chart.from_zero = true;
  drawn = read_chart(render_chart(chart));
  CHECK(drawn.y.front().label == "0");
  CHECK(drawn.y.front().at == drawn.bottom);
  CHECK(near(drawn.series[0].line[1].y, drawn.down(0.4)));
  CHECK(drawn.down(0.4) > 24);
  // From zero, but a value is below it: then there is air again.
  chart.series[0].points[0].y = -0.2;
  drawn = read_chart(render_chart(chart));
  CHECK(drawn.bottom - drawn.down(-0.2) > 1);
  // Points beyond what the axis is told to cover are drawn all the same.
  chart.x_high = 600;
  drawn = read_chart(render_chart(chart));
  CHECK(near(drawn.across(1000), drawn.right));
}

TEST_CASE("one value alone is a dot in the middle") {
  const DrawnChart drawn = read_chart(render_chart({"", "", "", {{"training", {{3, 5.5}}}, {"none", {}}}}));
  REQUIRE(drawn.series.size() == 2);
  CHECK(drawn.series[0].line.empty());
  CHECK(drawn.series[0].dot_in_legend);
  REQUIRE(drawn.series[0].dots.size() == 1);
  CHECK(near(drawn.series[0].dots[0].x, (drawn.left + drawn.right) / 2));
  CHECK(near(drawn.series[0].dots[0].y, drawn.down(5.5)));
  CHECK(labels(drawn.x) == Labels{"2", "3", "4"});
  CHECK(labels(drawn.y) == Labels{"5.0", "5.5", "6.0"});
  CHECK(drawn.series[1].line.empty());
  CHECK(drawn.series[1].dots.empty());
  CHECK_FALSE(drawn.series[1].dot_in_legend);
  // Zeros alone: one above, one below.
  CHECK(y_labels(0, 0) == Labels{"-1.0", "-0.5", "0", "0.5", "1.0"});
  const DrawnChart none = read_chart(render_chart({"", "", "", {}}));
  CHECK(labels(none.x) == Labels{"0", "1"});
  CHECK(none.y.size() >= 2);
}

TEST_CASE("numbers beside an axis have the digits that tell them apart") {
  CHECK(y_labels(0, 20000) == Labels{"0", "5,000", "10,000", "15,000", "20,000"});
  CHECK(y_labels(-2, 2) == Labels{"-2", "-1", "0", "1", "2"});
  CHECK(y_labels(0, 0.8) == Labels{"0", "0.2", "0.4", "0.6", "0.8"});
  CHECK(y_labels(0, 0.4) == Labels{"0", "0.1", "0.2", "0.3", "0.4"});
  CHECK(y_labels(0.1, 0.3) == Labels{"0.10", "0.15", "0.20", "0.25", "0.30"});
  CHECK(y_labels(1, 1.04) == Labels{"1.00", "1.01", "1.02", "1.03", "1.04"});
  CHECK(y_labels(0, 2e9) == Labels{"0", "500,000,000", "1e+09", "1.5e+09", "2e+09"});
  CHECK(y_labels(0, -2e9) == Labels{"-2e+09", "-1.5e+09", "-1e+09", "-500,000,000", "0"});
  CHECK(y_labels(0, 1e-7) == Labels{"0", "5e-08", "1e-07"});
  // Steps of training are whole numbers.
  Chart chart{"", "", "", {{"", {{0, 1}, {1, 2}}}}};
  CHECK(labels(read_chart(render_chart(chart)).x) == Labels{"0", "1"});
  chart.whole_x = false;
  CHECK(labels(read_chart(render_chart(chart)).x) == Labels{"0", "0.5", "1.0"});
}

TEST_CASE("a chart's texts are escaped") {
  const std::string svg = render_chart({"a<b", "c<d", "e<f", {{"g<h", {{0, 1}, {1, 2}}}}});
  CHECK(tests::problem_of_html(svg) == "");
  const DrawnChart drawn = read_chart(svg);
  CHECK(drawn.title == "a&lt;b");
  CHECK(drawn.x_label == "c&lt;d");
  CHECK(drawn.y_label == "e&lt;f");
  CHECK(drawn.series.at(0).name == "g&lt;h");
}

TEST_CASE("ticks are round and inside") {
  check_ticks(round_ticks(0, 100, 4), {0, 50, 100});
  check_ticks(round_ticks(0, 20000, 4), {0, 5000, 10000, 15000, 20000});
  check_ticks(round_ticks(0, 1, 5), {0, 0.2, 0.4, 0.6, 0.8, 1});
  check_ticks(round_ticks(0, 7, 5), {0, 2, 4, 6});
  check_ticks(round_ticks(0, 12, 5), {0, 5, 10});
  check_ticks(round_ticks(0, 30, 5), {0, 10, 20, 30});
  check_ticks(round_ticks(0.3, 5.2, 5), {1, 2, 3, 4, 5});
  check_ticks(round_ticks(-1, 1, 4), {-1, -0.5, 0, 0.5, 1});
  // At least so far apart.
  check_ticks(round_ticks(0.9, 2.1, 4, 1), {1, 2});
  check_ticks(round_ticks(0, 3, 4, 2), {0, 2});
  // Never none.
  check_ticks(round_ticks(3, 3, 4), {3});
  check_ticks(round_ticks(0.2, 0.4, 4, 5), {0.2});
  for (const auto& [low, high] : std::vector<std::pair<double, double>>{
           {-1e100, 1e100}, {1e-30, 2e-30}, {2.31, 2.33}, {1e15, 1e15 + 3}, {-5, 0.1}}) {
    const auto ticks = round_ticks(low, high, 5);
    CAPTURE(low);
    CHECK(ticks.size() >= 2);
    CHECK(ticks.size() <= 12);
    for (const double v : ticks) CHECK((v >= low - (high - low) * 1e-6 && v <= high + (high - low) * 1e-6));
  }
}

TEST_CASE("curves are thinned and smoothed by means") {
  std::vector<Point> line;
  for (int i = 0; i < 20000; ++i) line.push_back({static_cast<double>(i), 3.0 * i});
  const std::vector<Point> thin = thinned(line, 600);
  CHECK(thin.size() <= 600);
  CHECK(thin.size() > 500);
  for (const Point& p : thin) CHECK(p.y == doctest::Approx(3 * p.x));
  CHECK(thinned(line, 20000).size() == 20000);
  const std::vector<Point> five = {{0, 1}, {1, 2}, {2, 6}, {3, 10}, {4, 20}};
  const std::vector<Point> two = thinned(five, 2);  // three and two
  REQUIRE(two.size() == 2);
  CHECK(two[0].x == 1);
  CHECK(two[0].y == 3);
  CHECK(two[1].x == 3.5);
  CHECK(two[1].y == 15);
  CHECK(thinned(five, 5)[1].y == 2);
  CHECK(thinned(five, 4).size() == 3);
  CHECK(thinned({}, 5).empty());
  // Up to two neighbours on each side; at the beginning no more than there are before.
  const std::vector<Point> doubled = {{3, 1}, {4, 2}, {5, 4}, {6, 8}, {7, 16}, {8, 32}};
  const double means[] = {1, 7.0 / 3, 31.0 / 5, 62.0 / 5, 60.0 / 4, 56.0 / 3};
  const std::vector<Point> smooth = smoothed(doubled, 2);
  REQUIRE(smooth.size() == 6);
  for (size_t i = 0; i < 6; ++i) {
    CAPTURE(i);
    CHECK(smooth[i].x == doubled[i].x);
    CHECK(smooth[i].y == doctest::Approx(means[i]));
  }
  CHECK(smoothed(doubled, 0)[2].y == 4);
  CHECK(smoothed({}, 3).empty());
}

TEST_CASE("charts of many points, and of extremes") {
  Chart chart{"Loss", "training step", "loss (nats a token)", {}};
  std::vector<Point> many;
  for (int i = 0; i < 600; ++i) many.push_back({33.0 * i, 2 + std::exp(-i / 50.0)});
  chart.series = {{"training", many}};
  const std::string long_run = render_chart(chart);
  CHECK(labels(read_chart(long_run).x) == Labels{"0", "5,000", "10,000", "15,000"});
  CHECK(long_run.find(">2.5</text>") != std::string::npos);
  CHECK(long_run.size() < 12000);
  for (const std::vector<Point>& points : std::vector<std::vector<Point>>{
           {{0, 1e100}, {1, -1e100}}, {{1e15, 0}, {1e15 + 1, 1e-300}}, {{5, 7}, {5, 7}}, {{1e12, 1}}, {}}) {
    chart.series = {{"training", points, true}};
    const std::string svg = render_chart(chart);
    CHECK(tests::problem_of_html(svg) == "");
    for (const char* wrong : {"nan", "inf\"", "inf,"}) CHECK(svg.find(wrong) == std::string::npos);
    CHECK(read_chart(svg).series.at(0).dots.size() == points.size());
  }
}
