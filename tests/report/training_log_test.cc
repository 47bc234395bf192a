#include "imgcap/report/training_log.h"

#include <doctest/doctest.h>

#include <fmt/format.h>

#include <cmath>

#include "imgcap/report/chart.h"
#include "tensor/error.h"
#include "tests/report/html_check.h"

using namespace imgcap;

namespace {

std::string step(int64_t number, double loss) {
  return fmt::format("{{\"step\":{},\"epoch\":0,\"loss\":{},\"lr\":0.001}}\n", number, loss);
}

std::string validation(int64_t number, double cider) {
  return fmt::format(
      "{{\"validation\":true,\"step\":{},\"epoch\":0,\"loss\":2.5,\"BLEU-4\":0.125,\"CIDEr\":{},\"best\":"
      "true}}\n",
      number, cider);
}

void check_refused(const std::string& text, const std::string& message) {
  CAPTURE(text);
  try {
    parse_training_log(text, "log.jsonl");
    FAIL("it is taken");
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == tensor::ErrorKind::data);
    CHECK(std::string(error.what()) == message);
  }
}

}  // namespace

TEST_CASE("a log of steps and validations") {
  const TrainingLog log =
      parse_training_log(step(1, 5.5) + "\n" + step(2, 4.5) + validation(2, 0.25) + step(3, 4), "log.jsonl");
  REQUIRE(log.steps.size() == 3);
  CHECK(log.steps[1].step == 2);
  CHECK(log.steps[1].loss == 4.5);
  REQUIRE(log.validations.size() == 1);
  CHECK(log.validations[0].step == 2);
  CHECK(log.validations[0].loss == 2.5);
  CHECK(log.validations[0].bleu4 == 0.125);
  CHECK(log.validations[0].cider == 0.25);
  CHECK(log.validations[0].best);
}

TEST_CASE("a run that was killed and resumed counts each step once, with its later line") {
  const TrainingLog log = parse_training_log(step(1, 5) + step(2, 4) + validation(2, 0.1) + step(3, 3) +
                                                 step(2, 4.25) + validation(2, 0.2) + step(3, 3.25),
                                             "log.jsonl");
  REQUIRE(log.steps.size() == 3);
  CHECK(log.steps[1].loss == 4.25);
  CHECK(log.steps[2].loss == 3.25);
  REQUIRE(log.validations.size() == 1);
  CHECK(log.validations[0].cider == 0.2);
}

TEST_CASE("the first bad line of a log is named") {
  const std::string no_object = "log.jsonl:2: no JSON object, as each line of a training log is";
  for (const char* line : {"{\"step\":2,\"loss\":", "[]", "3", "null", "text", "{\"step\":2,\"loss\":NaN}",
                           "{\"step\":2,\"loss\":1e999}", "{} {}"})
    check_refused(step(1, 5) + line + "\n" + step(3, 4), no_object);
  check_refused(step(1, 5) + std::string(100000, '['), no_object);
  check_refused(step(1, 5) + "{}", "log.jsonl:2: \"step\" is missing");
  check_refused(step(1, 5) + "{\"step\":2}", "log.jsonl:2: \"loss\" is missing");
  for (const char* number : {"-1", "1.5", "\"2\"", "18446744073709551615", "[2]"})
    check_refused(step(1, 5) + "{\"loss\":1,\"step\":" + number + "}",
                  "log.jsonl:2: \"step\" is no step number");
  for (const char* number : {"\"x\"", "1e200", "-1e200", "null", "{}"})
    check_refused(step(1, 5) + "{\"step\":2,\"loss\":" + number + "}",
                  "log.jsonl:2: \"loss\" is no finite number");
  check_refused("\n\n{\"validation\":true,\"step\":2,\"loss\":1,\"BLEU-4\":0}",
                "log.jsonl:3: \"CIDEr\" is missing");
  check_refused("{\"validation\":1,\"step\":2,\"loss\":1}",
                "log.jsonl:1: \"validation\" is neither true nor false");
  check_refused("", "log.jsonl: no line of a training run");
  check_refused("\n \n", "log.jsonl: no line of a training run");
  CHECK_THROWS_WITH_AS(parse_training_log(step(1, 5) + "\xff\n", "log.jsonl"),
                       doctest::Contains("log.jsonl:2"), tensor::Error);
  try {
    read_training_log("/nowhere/log.jsonl");
    FAIL("it is read");
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == tensor::ErrorKind::io);
  }
}

TEST_CASE("ticks are round and inside") {
  CHECK(round_ticks(0, 100, 4) == std::vector<double>{0, 50, 100});
  CHECK(round_ticks(0, 20000, 4) == std::vector<double>{0, 5000, 10000, 15000, 20000});
  CHECK(round_ticks(0.9, 2.1, 4, 1) == std::vector<double>{1, 2});
  CHECK(round_ticks(3, 3, 4) == std::vector<double>{3});
  for (const auto& [low, high] : std::vector<std::pair<double, double>>{
           {-1e100, 1e100}, {1e-30, 2e-30}, {2.31, 2.33}, {1e15, 1e15 + 3}, {-5, 0.1}}) {
    const auto ticks = round_ticks(low, high, 5);
    CAPTURE(low);
    CHECK(ticks.size() >= 1);
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
  const std::vector<Point> jagged = {{0, 1}, {1, 3}, {2, 5}, {3, 1}};
  const std::vector<Point> smooth = smoothed(jagged, 1);
  CHECK(smooth[0].y == 1);
  CHECK(smooth[1].y == 3);
  CHECK(smooth[2].y == 3);
  CHECK(smooth[3].y == 3);  // of the last two
  CHECK(smoothed(jagged, 0)[2].y == 5);
  CHECK(smoothed({}, 3).empty());
}

TEST_CASE("charts of one point, of many, and of extremes") {
  Chart chart{
      "Loss & more", "training step", "loss (nats a token)", {{"training", {{3, 5.5}}}, {"none", {}}}};
  const std::string one = render_chart(chart);
  CHECK(tests::problem_of_html(one) == "");
  CHECK(one.find("<circle") != std::string::npos);
  CHECK(one.find("<polyline") == std::string::npos);
  CHECK(one.find("Loss &amp; more") != std::string::npos);
  CHECK(one.find(">3</text>") != std::string::npos);
  std::vector<Point> many;
  for (int i = 0; i < 600; ++i) many.push_back({33.0 * i, 2 + std::exp(-i / 50.0)});
  chart.series = {{"training", many}};
  const std::string long_run = render_chart(chart);
  CHECK(long_run.find(">10,000</text>") != std::string::npos);
  CHECK(long_run.find(">2.5</text>") != std::string::npos);
  CHECK(long_run.size() < 12000);
  for (const std::vector<Point>& points : std::vector<std::vector<Point>>{
           {{0, 1e100}, {1, -1e100}}, {{1e15, 0}, {1e15 + 1, 1e-300}}, {{5, 7}, {5, 7}}, {}}) {
    chart.series = {{"training", points, true}};
    const std::string svg = render_chart(chart);
    CHECK(tests::problem_of_html(svg) == "");
    for (const char* wrong : {"nan", "inf\"", "inf,"}) CHECK(svg.find(wrong) == std::string::npos);
  }
}
