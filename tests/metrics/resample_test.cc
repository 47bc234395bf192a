#include "imgcap/metrics/resample.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tensor/error.h"
#include "tensor/io/atomic_file.h"
#include "tensor/random.h"
#include "tensor/thread_pool.h"
#include "tests/data_dir.h"
#include "tests/json.h"

using namespace imgcap;
using tensor::io::Json;

namespace {

using Images = std::vector<ImageScore>;

constexpr size_t kCider = kScores - 1;

Images with_cider(const std::vector<double>& values) {
  Images images(values.size());
  for (size_t i = 0; i < values.size(); ++i) images[i].image = std::to_string(i), images[i].cider = values[i];
  return images;
}

std::vector<double> normals(size_t n, double mean, double deviation, tensor::Generator& generator) {
  std::vector<double> values(n);
  for (double& value : values) value = mean + deviation * generator.normal();
  return values;
}

void check_near(double value, double expected) { CHECK(std::abs(value - expected) < 1e-12); }

void check_interval(const Interval& interval, const Json& expected) {
  check_near(interval.low, expected.at(0).as_double());
  check_near(interval.high, expected.at(1).as_double());
}

bool same(const Comparison& x, const Comparison& y) {
  const auto equal = [](const Interval& a, const Interval& b) { return a.low == b.low && a.high == b.high; };
  bool all = true;
  for (size_t k = 0; k < kScores; ++k)
    all = all && x.a.value[k] == y.a.value[k] && x.b.value[k] == y.b.value[k] &&
          equal(x.a.interval[k], y.a.interval[k]) && equal(x.b.interval[k], y.b.interval[k]) &&
          equal(x.difference[k].interval, y.difference[k].interval) && x.difference[k].p == y.difference[k].p;
  return all;
}

// The golden files' images and options.
struct Golden {
  Json json;
  Images a, b;
  Scores scores_a, scores_b;
  ResampleOptions options;

  Golden()
      : json(tests::read_json(
            tensor::io::read_file(tests::source_dir() / "tests/golden/compare.json", int64_t{1} << 20))) {
    Candidates first, second;
    References references;
    for (const Json& image : json.at("images").items()) {
      const std::string name = image.at("image").as_text();
      first[name] = image.at("a").as_text();
      second[name] = image.at("b").as_text();
      for (const Json& text : image.at("references").items()) references[name].push_back(text.as_text());
    }
    ScoreOptions none;
    none.tokenizer = ScoreTokenizer::none;
    scores_a = score_captions(first, references, none, a);
    scores_b = score_captions(second, references, none, b);
    options.samples = json.at("samples").as_int64();
    options.seed = static_cast<uint64_t>(json.at("seed").as_int64());
  }
};

}  // namespace

TEST_CASE("resampling: as computed in plain Python") {
  // make_compare.py: scores, random words, samples and shuffles by its own means.
  const Golden golden;
  const Comparison found = compare_scores(golden.a, golden.b, golden.options);
  REQUIRE(golden.json.at("scores").size() == kScores);
  for (size_t k = 0; k < kScores; ++k) {
    const Json& expected = golden.json.at("scores").at(k);
    CAPTURE(kScoreNames[k]);
    CHECK(expected.at("name") == kScoreNames[k]);
    check_near(found.a.value[k], expected.at("a").as_double());
    check_near(found.b.value[k], expected.at("b").as_double());
    check_interval(found.a.interval[k], expected.at("interval_a"));
    check_interval(found.b.interval[k], expected.at("interval_b"));
    check_near(found.difference[k].value, expected.at("difference").as_double());
    check_interval(found.difference[k].interval, expected.at("interval"));
    check_near(found.difference[k].p, expected.at("p").as_double());
  }
}

TEST_CASE("resampling: values are the scores, one file's intervals those of a comparison") {
  const Golden golden;
  const Comparison both = compare_scores(golden.a, golden.b, golden.options);
  for (const auto& [images, scores, of_both] :
       {std::tuple(golden.a, golden.scores_a, both.a), std::tuple(golden.b, golden.scores_b, both.b)}) {
    const ScoreIntervals alone = score_intervals(images, golden.options);
    for (size_t n = 0; n < 4; ++n) CHECK(alone.value[n] == scores.bleu[n]);
    CHECK(alone.value[4] == scores.rouge_l);
    CHECK(alone.value[5] == scores.cider);
    for (size_t k = 0; k < kScores; ++k) {
      CHECK(alone.interval[k].low == of_both.interval[k].low);
      CHECK(alone.interval[k].high == of_both.interval[k].high);
      CHECK(alone.interval[k].low < alone.value[k]);
      CHECK(alone.interval[k].high > alone.value[k]);
    }
  }
}

TEST_CASE("resampling: the seed decides, the number of threads does not") {
  const Golden golden;
  ResampleOptions options = golden.options;
  const int threads = tensor::num_threads();
  tensor::set_num_threads(1);
  const Comparison one = compare_scores(golden.a, golden.b, options);
  tensor::set_num_threads(3);
  CHECK(same(one, compare_scores(golden.a, golden.b, options)));
  tensor::set_num_threads(threads);
  ++options.seed;
  CHECK_FALSE(same(one, compare_scores(golden.a, golden.b, options)));
}

TEST_CASE("resampling: a file against itself differs by nothing") {
  const Golden golden;
  const Comparison found = compare_scores(golden.a, golden.a, golden.options);
  for (const ScoreDifference& d : found.difference) {
    CHECK(d.value == 0);
    CHECK(d.interval.low == 0);
    CHECK(d.interval.high == 0);
    CHECK(d.p == 1);
  }
  // Exchanged, the difference changes its sign and no more.
  const Comparison forth = compare_scores(golden.a, golden.b, golden.options),
                   back = compare_scores(golden.b, golden.a, golden.options);
  for (size_t k = 0; k < kScores; ++k) {
    CHECK(forth.difference[k].value == -back.difference[k].value);
    check_near(forth.difference[k].interval.low, -back.difference[k].interval.high);
    CHECK(forth.difference[k].p == back.difference[k].p);
  }
}

TEST_CASE("resampling: p of few images is that of all their exchanges") {
  // Of the 8 exchanges 2 are as far from 0 as 1 + 2 + 4, by whichever sign; with 1, -2 and 4 all are but those
  // that give 1 + 2 - 4 or its opposite.
  ResampleOptions options;
  options.samples = 40'000;
  const auto p = [&](const std::vector<double>& values) {
    return compare_scores(with_cider(std::vector<double>(values.size())), with_cider(values), options)
        .difference[kCider]
        .p;
  };
  CHECK(p({1, 2, 4}) == doctest::Approx(2.0 / 8).epsilon(0.05));
  CHECK(p({1, -2, 4}) == doctest::Approx(6.0 / 8).epsilon(0.05));
  CHECK(p({5}) == 1);
  CHECK(p({0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}) == doctest::Approx(2.0 / 256).epsilon(0.3));
}

TEST_CASE("resampling: 95 % intervals hold what they should about 95 times of 100") {
  tensor::Generator generator(1);
  ResampleOptions options;
  options.samples = 300;
  constexpr int kTrials = 400;
  constexpr size_t kImages = 80;
  int holds_mean = 0, holds_difference = 0, significant = 0;
  double width = 0, paired_width = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    options.seed = static_cast<uint64_t>(trial);
    // Two files whose images are hard for both: their common part has five times the spread of their own.
    const std::vector<double> common = normals(kImages, 1, 0.5, generator);
    std::vector<double> a = normals(kImages, 0, 0.1, generator), b = normals(kImages, 0, 0.1, generator);
    for (size_t i = 0; i < kImages; ++i) a[i] += common[i], b[i] += common[i];
    const Comparison found = compare_scores(with_cider(a), with_cider(b), options);
    const auto holds = [](const Interval& interval, double value) {
      return interval.low <= value && value <= interval.high;
    };
    holds_mean += holds(found.a.interval[kCider], 1);
    holds_difference += holds(found.difference[kCider].interval, 0);
    significant += found.difference[kCider].p <= 0.05;
    width += found.a.interval[kCider].high - found.a.interval[kCider].low;
    paired_width += found.difference[kCider].interval.high - found.difference[kCider].interval.low;
  }
  // 380 of 400, with a deviation of 4.4; percentile intervals of 80 images are a little narrow.
  CHECK(holds_mean >= 360);
  CHECK(holds_mean <= 394);
  CHECK(holds_difference >= 360);
  CHECK(holds_difference <= 394);
  CHECK(significant >= 6);  // 20
  CHECK(significant <= 36);
  // 2 x 1.96 deviations of the mean; paired, the common part is gone.
  CHECK(width / kTrials == doctest::Approx(3.92 * std::sqrt(0.26 / kImages)).epsilon(0.05));
  CHECK(paired_width / kTrials == doctest::Approx(3.92 * std::sqrt(0.02 / kImages)).epsilon(0.05));
}

TEST_CASE("resampling: what is refused") {
  const auto refuses = [](const Images& a, const Images& b, int64_t samples, const char* why) {
    ResampleOptions options;
    options.samples = samples;
    CHECK_THROWS_WITH_AS(compare_scores(a, b, options), why, tensor::Error);
  };
  const Images two = with_cider({1, 2}), three = with_cider({1, 2, 3});
  refuses({}, {}, 100, "resampling: no images");
  CHECK_THROWS_WITH_AS(score_intervals({}), "resampling: no images", tensor::Error);
  refuses(two, two, 0, "resampling: 0 samples; give 1 to 1000000");
  refuses(two, two, 1'000'001, "resampling: 1000001 samples; give 1 to 1000000");
  refuses(two, three, 100, "compare: the two lists of 2 and 3 images are not of the same images");
  Images other = two;
  std::swap(other[0], other[1]);
  refuses(two, other, 100, "compare: the two lists of 2 and 2 images are not of the same images");
}
