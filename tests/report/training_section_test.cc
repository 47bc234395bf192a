// The page's training curves.
#include <doctest/doctest.h>

#include <cmath>

#include "imgcap/report/report.h"
#include "tests/report/example.h"
#include "tests/report/svg.h"
#include "tests/text.h"

using namespace imgcap;
using tests::all_between;
using tests::DrawnChart;
using tests::has;

namespace {

struct Section {
  std::string text;
  std::vector<DrawnChart> charts;
};

Section section_of(const TrainingLog& log) {
  Report report = tests::example();
  report.photos.clear();
  report.log = log;
  report.log_file = "run/log.jsonl";
  Section section{all_between(render_report(report), "<h2>Training</h2>", "</section>").at(0), {}};
  for (const std::string& chart : all_between(section.text, "<svg", "</svg>"))
    section.charts.push_back(tests::read_chart("<svg" + chart));
  return section;
}

// Each point where the axes' numbers put it.
void check_line(const DrawnChart& chart, const std::vector<Point>& drawn, const std::vector<Point>& points) {
  REQUIRE(drawn.size() == points.size());
  for (size_t i = 0; i < points.size(); ++i) {
    CAPTURE(i);
    CHECK(std::fabs(drawn[i].x - chart.across(points[i].x)) < 0.5);
    CHECK(std::fabs(drawn[i].y - chart.down(points[i].y)) < 0.5);
  }
}

TrainingLog small_log() {
  TrainingLog log;
  log.steps = {{100, 5}, {200, 4}, {300, 3.5}, {400, 3.25}};
  log.validations = {{200, 4.5, 0.05, 0.2, true}, {300, 4.25, 0.1, 0.6, true}, {400, 4.75, 0.15, 0.4, false}};
  return log;
}

}  // namespace

TEST_CASE("training: two charts with what the log says, and its best validation in words") {
  const Section section = section_of(small_log());
  CHECK(has(section.text, "<p>4 steps and 3 validations, from run/log.jsonl.</p>"));
  CHECK(has(section.text, "The best CIDEr is 0.6000, after step 300."));
  REQUIRE(section.charts.size() == 2);
  const DrawnChart &loss = section.charts[0], &scores = section.charts[1];
  CHECK(loss.title == "Loss by training step");
  CHECK(loss.x_label == "training step");
  CHECK(loss.y_label == "loss (nats a token)");
  CHECK(scores.title == "Validation scores by training step");
  CHECK(scores.x_label == "training step");
  CHECK(scores.y_label == "score");
  REQUIRE(loss.series.size() == 2);
  CHECK(loss.series[0].name == "training (smoothed)");
  CHECK(loss.series[1].name == "validation");
  check_line(loss, loss.series[0].line, {{100, 5}, {200, 4}, {300, 3.5}, {400, 3.25}});
  check_line(loss, loss.series[1].line, {{200, 4.5}, {300, 4.25}, {400, 4.75}});
  REQUIRE(scores.series.size() == 2);
  CHECK(scores.series[0].name == "CIDEr");
  CHECK(scores.series[1].name == "BLEU-4");
  check_line(scores, scores.series[0].line, {{200, 0.2}, {300, 0.6}, {400, 0.4}});
  check_line(scores, scores.series[1].line, {{200, 0.05}, {300, 0.1}, {400, 0.15}});
  // Dots for few validations, none for steps; scores from zero; both from step 0 to the last one.
  CHECK(loss.series[0].dots.empty());
  for (const auto& series : {loss.series[1], scores.series[0], scores.series[1]})
    CHECK(series.dots.size() == 3);
  CHECK(scores.y.front().label == "0");
  CHECK(scores.y.front().at == scores.bottom);
  CHECK(loss.y.front().value > 0);
  for (const DrawnChart& chart : section.charts) {
    CHECK(std::fabs(chart.across(0) - chart.left) < 0.5);
    CHECK(std::fabs(chart.across(400) - chart.right) < 0.5);
  }
}

TEST_CASE("training: several sets have a chart of their own, and the best mean its parts in words") {
  TrainingLog log = small_log();
  for (TrainingLog::Validation& v : log.validations)
    v.sets = {{"flickr8k", v.cider / 2}, {"<coco>", v.cider * 1.5}};
  const Section section = section_of(log);
  CHECK(has(section.text,
            "The best mean CIDEr is 0.6000, after step 300: flickr8k 0.3000, &lt;coco&gt; 0.9000."));
  REQUIRE(section.charts.size() == 3);
  const DrawnChart& sets = section.charts[2];
  CHECK(sets.title == "CIDEr of each set by training step");
  CHECK(sets.y_label == "CIDEr");
  REQUIRE(sets.series.size() == 2);
  CHECK(sets.series[0].name == "flickr8k");
  check_line(sets, sets.series[0].line, {{200, 0.1}, {300, 0.3}, {400, 0.2}});
  check_line(sets, sets.series[1].line, {{200, 0.3}, {300, 0.9}, {400, 0.6}});
  CHECK(sets.y.front().label == "0");
  CHECK(std::fabs(sets.across(400) - sets.right) < 0.5);
}

TEST_CASE("training: the best validation is the first of equals, and a thousand has its comma") {
  TrainingLog log = small_log();
  log.validations[1] = {1300, 4, 0.1, 0.6, true};
  log.validations[2] = {1400, 4, 0.1, 0.6, false};
  CHECK(has(section_of(log).text, "The best CIDEr is 0.6000, after step 1,300."));
}

TEST_CASE("training: a log whose beginning is missing begins where it does") {
  TrainingLog log;
  log.steps = {{600, 5}, {1000, 4}};
  DrawnChart chart = section_of(log).charts.at(0);
  CHECK(std::fabs(chart.across(600) - chart.left) < 0.5);
  // A validation alone may be the first or the last.
  log.validations = {{500, 5, 0, 0, true}};
  chart = section_of(log).charts.at(0);
  CHECK(std::fabs(chart.across(0) - chart.left) < 0.5);  // half of the run is there
  log.validations = {{2000, 5, 0, 0, true}};
  for (const DrawnChart& each : section_of(log).charts) {
    CHECK(std::fabs(each.across(0) - each.left) < 0.5);
    CHECK(std::fabs(each.across(2000) - each.right) < 0.5);
  }
  log = {};
  log.steps = {{0, 5}};
  chart = section_of(log).charts.at(0);
  CHECK(std::fabs(chart.across(0) - (chart.left + chart.right) / 2) < 0.5);
  log = {};
  log.steps = {{1, 5}};
  chart = section_of(log).charts.at(0);
  CHECK(std::fabs(chart.across(0) - chart.left) < 0.5);
}

TEST_CASE("training: without validations there is one chart, without steps the validations' curves alone") {
  TrainingLog log = small_log();
  log.validations.clear();
  Section section = section_of(log);
  CHECK(section.charts.size() == 1);
  CHECK(section.charts.at(0).series.size() == 1);
  CHECK(has(section.text, "4 steps and 0 validations,"));
  CHECK_FALSE(has(section.text, "best CIDEr"));
  log = small_log();
  log.steps.clear();
  section = section_of(log);
  REQUIRE(section.charts.size() == 2);
  REQUIRE(section.charts[0].series.size() == 1);
  CHECK(section.charts[0].series[0].name == "validation");
}

TEST_CASE("training: long logs are thinned, and the loss of steps is smoothed") {
  TrainingLog log;
  // Odd steps 4, even ones 2: the mean of neighbours lies near 3.
  for (int64_t step = 1; step <= 100; ++step) log.steps.push_back({step, step % 2 == 0 ? 2.0 : 4.0});
  DrawnChart chart = section_of(log).charts.at(0);
  const std::vector<Point>& line = chart.series.at(0).line;
  REQUIRE(line.size() == 100);
  // 100 / 50 neighbours on each side: of five, two or three are odd.
  CHECK(std::fabs(line[49].y - chart.down((3 * 2 + 2 * 4) / 5.0)) < 0.5);
  CHECK(std::fabs(line[50].y - chart.down((2 * 2 + 3 * 4) / 5.0)) < 0.5);
  CHECK(std::fabs(line[0].y - chart.down(4)) < 0.5);

  log = {};
  for (int64_t step = 1; step <= 6000; ++step) log.steps.push_back({step, 1.0 + static_cast<double>(step)});
  for (int64_t step = 1; step <= 60; ++step) log.validations.push_back({step, 1, 0.1, 0.2, false});
  Section section = section_of(log);
  CHECK(section.charts.at(0).series.at(0).line.size() == 600);
  CHECK(section.charts[0].series.at(1).dots.size() == 60);
  CHECK(section.charts.at(1).series.at(0).dots.size() == 60);
  // More are a line alone; very many are thinned like the steps.
  for (int64_t step = 61; step <= 700; ++step) log.validations.push_back({step, 1, 0.1, 0.2, false});
  section = section_of(log);
  for (const auto& series : {section.charts.at(0).series.at(1), section.charts.at(1).series.at(0),
                             section.charts.at(1).series.at(1)}) {
    CHECK(series.dots.empty());
    CHECK(series.line.size() == 350);
  }
}
