// What /metrics says, as Prometheus' parser wants it (text format 0.0.4).
#include "imgcap/serve/counters.h"

#include <doctest/doctest.h>

#include <regex>
#include <set>
#include <sstream>

#include "tests/text.h"

using imgcap::serve::Counters;

namespace {

// The samples by name and labels. Fails for a line that is none, a sample whose name has no type before it, and one
// that is there twice.
std::map<std::string, double> samples_of(const std::string& text) {
  static const std::regex comment(R"(# (HELP|TYPE) ([a-z_]+) (.+))");
  static const std::regex sample(R"(([a-z_]+)(\{[a-z]+="[^"\\]*"(,[a-z]+="[^"\\]*")*\})? ([-+0-9.e]+))");
  std::map<std::string, double> samples;
  std::map<std::string, std::string> types;
  std::set<std::string> helped;
  REQUIRE(text.ends_with('\n'));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    std::smatch match;
    if (std::regex_match(line, match, comment)) {
      if (match[1] == "HELP")
        CHECK(helped.insert(match[2]).second);
      else
        CHECK((helped.contains(match[2]) && types.emplace(match[2], match[3]).second));
      continue;
    }
    REQUIRE(std::regex_match(line, match, sample));
    const std::string name = match[1];
    const std::string family = std::regex_replace(name, std::regex("_(bucket|sum|count)$"), "");
    CHECK((types.contains(name) || (types.contains(family) && types.at(family) == "histogram")));
    CHECK(samples.emplace(name + match[2].str(), std::stod(match[4])).second);
  }
  for (const auto& [name, type] : types) CHECK((type == "counter" || type == "gauge" || type == "histogram"));
  return samples;
}

std::string bucket(const std::string& route, const std::string& bound) {
  return "imgcap_answer_seconds_bucket{route=\"" + route + "\",le=\"" + bound + "\"}";
}

}  // namespace

TEST_CASE("counters: nothing has happened yet") {
  const auto samples = samples_of(Counters().text({}));
  CHECK(samples == std::map<std::string, double>{{"imgcap_photos_total", 0}});
}

TEST_CASE("counters: answers, seconds, photos and gauges") {
  Counters counters;
  counters.answered("caption", 200, 0.01);
  counters.answered("caption", 200, 0.3);
  counters.answered("caption", 429, 0.0000125);
  counters.answered("page", 304, 12);
  counters.captioned(3);
  counters.captioned(4);
  const auto samples =
      samples_of(counters.text({{"imgcap_now", "Now.", -2}, {"imgcap_large", "Large.", int64_t{1} << 40}}));
  CHECK(samples.at("imgcap_answers_total{route=\"caption\",status=\"200\"}") == 2);
  CHECK(samples.at("imgcap_answers_total{route=\"caption\",status=\"429\"}") == 1);
  CHECK(samples.at("imgcap_answers_total{route=\"page\",status=\"304\"}") == 1);
  CHECK(samples.at("imgcap_photos_total") == 7);
  CHECK(samples.at("imgcap_now") == -2);
  CHECK(samples.at("imgcap_large") == 1099511627776.0);
  CHECK(samples.at("imgcap_answer_seconds_count{route=\"caption\"}") == 3);
  CHECK(samples.at("imgcap_answer_seconds_sum{route=\"caption\"}") ==
        doctest::Approx(0.3100125).epsilon(1e-12));
  CHECK(samples.at(bucket("caption", "0.01")) == 2);  // a bound belongs to its bucket
  CHECK(samples.at(bucket("caption", "0.25")) == 2);
  CHECK(samples.at(bucket("caption", "0.5")) == 3);
  CHECK(samples.at(bucket("caption", "+Inf")) == 3);
  CHECK(samples.at(bucket("page", "10")) == 0);
  CHECK(samples.at(bucket("page", "+Inf")) == 1);
}

TEST_CASE("counters: buckets hold what is in those before them") {
  Counters counters;
  for (int i = 0; i < 200; ++i) counters.answered("caption", 200, 0.0007 * i * i);
  const std::string text = counters.text({});
  samples_of(text);
  double bound = 0, count = 0;
  const auto lines = tests::all_between(text, "imgcap_answer_seconds_bucket{route=\"caption\",le=\"", "\n");
  REQUIRE(lines.size() == 11);
  for (const std::string& line : lines) {
    const double next_bound = line.starts_with("+Inf") ? 1e9 : std::stod(line);
    const double next_count = std::stod(line.substr(line.find(' ')));
    double right = 0;
    for (int i = 0; i < 200; ++i) right += 0.0007 * i * i <= next_bound;
    CHECK(next_bound > bound);
    CHECK(next_count >= count);
    CHECK(next_count == right);
    bound = next_bound, count = next_count;
  }
}
