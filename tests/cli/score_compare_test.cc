// score --compare and --interval: what they print, and what they refuse.
#include <doctest/doctest.h>

#include <algorithm>

#include "imgcap/cli/score_intervals.h"
#include "imgcap/metrics/resample.h"
#include "tests/cli/program.h"
#include "tests/cli/refused.h"
#include "tests/json.h"

using namespace imgcap;
using tensor::io::Json;
using tests::check_refused;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;

namespace {

const std::string kHeader = "image_name| comment_number| comment\n";

// Five photos, two captions for each of these and two files of candidates; the names have other folders there.
struct Scene {
  Folder folder;
  References references;
  Candidates a, b;

  Scene() {
    const std::vector<std::string> words = {"dog", "cat", "man", "bus", "boy"};
    std::string truths = kHeader, first = kHeader, second = kHeader;
    for (size_t i = 0; i < words.size(); ++i) {
      const std::string image = std::to_string(i) + ".jpg", word = words[i];
      references[image] = {"a " + word + " is on the road .", "the " + word + " stands there ."};
      a[image] = i % 2 == 0 ? "a " + word + " is on the beach ." : "some " + word + " on a road .";
      b[image] = i == 3 ? "nothing at all ." : "a " + word + " is on the road .";
      for (size_t k = 0; k < 2; ++k)
        truths += image + "|" + std::to_string(k) + "|" + references[image][k] + "\n";
      first += image + "|0|" + a[image] + "\n";
      second += "photos/" + image + "|0|" + b[image] + "\n";
    }
    tests::write_text(folder / "truths.csv", truths);
    tests::write_text(folder / "a.csv", first);
    tests::write_text(folder / "b.csv", second);
  }

  Result score(std::vector<std::string> more) const {
    more.insert(more.begin(), {"score", "--references", folder / "truths.csv"});
    return tests::run(more);
  }
  Result compare(std::vector<std::string> more, const std::string& second = "b.csv") const {
    more.insert(more.begin(), {"--compare", folder / "a.csv", folder / second});
    return score(more);
  }

  // What the library makes of it.
  Comparison expected(const ResampleOptions& options, const References& truths) const {
    Candidates first, second;
    for (const auto& [image, texts] : truths) first[image] = a.at(image), second[image] = b.at(image);
    std::vector<ImageScore> x, y;
    score_captions(first, truths, {}, x);
    score_captions(second, truths, {}, y);
    return compare_scores(x, y, options);
  }
};

void check_interval(const Json& json, const Interval& interval) {
  CHECK(json.at(0).as_double() == interval.low);
  CHECK(json.at(1).as_double() == interval.high);
}

void check_comparison(const Json& json, const Comparison& expected) {
  for (size_t k = 0; k < kScores; ++k) {
    const char* name = kScoreNames[k];
    CAPTURE(name);
    CHECK(json.at("a").at(name).as_double() == expected.a.value[k]);
    CHECK(json.at("b").at(name).as_double() == expected.b.value[k]);
    check_interval(json.at("a").at("intervals").at(name), expected.a.interval[k]);
    check_interval(json.at("b").at("intervals").at(name), expected.b.interval[k]);
    const Json& difference = json.at("difference").at(name);
    CHECK(difference.at("value").as_double() == expected.difference[k].value);
    check_interval(difference.at("interval"), expected.difference[k].interval);
    CHECK(difference.at("p").as_double() == expected.difference[k].p);
  }
}

}  // namespace

TEST_CASE("score --compare: two files, their intervals and the difference") {
  const Scene scene;
  const Result said = scene.compare({"--samples", "200", "--seed", "3", "--json"});
  CHECK(said.code == 0);
  CHECK(said.err == "");
  const Json json = read_json(said.out);
  check_comparison(json, scene.expected({200, 3}, scene.references));
  CHECK(json.at("a").at("file") == scene.folder / "a.csv");
  CHECK(json.at("b").at("file") == scene.folder / "b.csv");
  CHECK(json.at("a").at("images") == 5);
  CHECK(json.at("b").at("split") == "truths.csv");
  CHECK(json.at("samples") == 200);
  CHECK(json.at("seed") == 3);
  CHECK(json.at("confidence") == 0.95);
  // The same with any number of threads.
  CHECK(scene.compare({"--samples", "200", "--seed", "3", "--json", "--threads", "1"}).out == said.out);
  CHECK(scene.compare({"--samples", "200", "--seed", "4", "--json"}).out != said.out);
  // Some of the photos.
  tests::write_text(scene.folder / "list", "1.jpg\n3.jpg\n0.jpg\n");
  References some = scene.references;
  some.erase("2.jpg"), some.erase("4.jpg");
  check_comparison(read_json(scene.compare({"--list", scene.folder / "list", "--json"}).out),
                   scene.expected({}, some));
}

TEST_CASE("score --compare: the table for people") {
  const Scene scene;
  const std::string text = scene.compare({"--samples", "99"}).out;
  CHECK(text.starts_with("A: " + (scene.folder / "a.csv") + "\nB: " + (scene.folder / "b.csv") + "\n"));
  const Comparison found = scene.expected({99, 1}, scene.references);
  const auto& [value, interval, p] = found.difference[5];
  CHECK(
      has(text, tensor::format("\nCIDEr     {:.4f}  ({:.4f} to {:.4f})  {:.4f}  ({:.4f} to {:.4f})  {:+.4f}  "
                               "({:+.4f} to {:+.4f})  {:.3g}\n",
                               found.a.value[5], found.a.interval[5].low, found.a.interval[5].high,
                               found.b.value[5], found.b.interval[5].low, found.b.interval[5].high, value,
                               interval.low, interval.high, p)));
  CHECK(std::count(text.begin(), text.end(), '\n') == 14);
  CHECK(has(text,
            "\n5 images of truths.csv, 2 references each, Treebank words (PTBTokenizer), standard protocol "
            "(pycocoevalcap)\nA: distinct-1 "));
  CHECK(has(text,
            "\n95 % intervals: percentiles of 99 bootstrap samples of the images, seed 1, the "
            "same images of both files.\n"));
  CHECK(has(text, "\np: paired randomization test, two-sided, 99 shuffles"));
  // A file and itself.
  const std::string same = scene.compare({}, "a.csv").out;
  CHECK(has(same, "  +0.0000  (+0.0000 to +0.0000)  1\n"));
}

TEST_CASE("score --compare: a difference that rounds to 0 has no minus") {
  cli::Compared compared;
  for (ScoreDifference& d : compared.comparison.difference) d = {-0.00004, {-0.00005, -1e-9}, 1};
  compared.comparison.difference[1] = {0.00004, {-0.0, 0.00005}, 1};
  const std::string text = cli::comparison_text(compared, {});
  CHECK(has(
      text,
      "\nBLEU-1    0.0000  (0.0000 to 0.0000)  0.0000  (0.0000 to 0.0000)  +0.0000  (-0.0001 to +0.0000)  1\n"));
  CHECK(has(text, "  +0.0000  (+0.0000 to +0.0001)  1\n"));
}

TEST_CASE("score --interval: one file's scores with intervals") {
  const Scene scene;
  const std::vector<std::string> one = {"--candidates", scene.folder / "a.csv"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), one.begin(), one.end());
    return scene.score(more);
  };
  const Comparison expected = scene.expected({50, 1}, scene.references);
  const Json plain = read_json(with({"--json"}).out);
  Json json = read_json(with({"--interval", "--samples", "50", "--json"}).out);
  for (size_t k = 0; k < kScores; ++k)
    check_interval(json.at("intervals").at(kScoreNames[k]), expected.a.interval[k]);
  CHECK(json.at("samples") == 50);
  for (const char* more : {"intervals", "samples", "seed", "confidence"}) json = tests::without(json, more);
  CHECK(json == plain);

  const std::string text = with({"--interval", "--samples", "50"}).out;
  CHECK(text.starts_with(with({}).out));
  CHECK(has(text, tensor::format("\nBLEU-4    {:.4f}  ({:.4f} to {:.4f})\n", expected.a.value[3],
                                 expected.a.interval[3].low, expected.a.interval[3].high)));
  CHECK(text.ends_with("\n95 % intervals: percentiles of 50 bootstrap samples of the images, seed 1\n"));
}

TEST_CASE("score --compare: what does not go") {
  const Scene scene;
  const std::string a = scene.folder / "a.csv", b = scene.folder / "b.csv",
                    fewer = scene.folder / "fewer.csv";
  tests::write_text(fewer, kHeader + "0.jpg|0|a dog\n2.jpg|0|a man\n4.jpg|0|a boy\n");
  const std::string apart_text =
      "score: 2 images have a caption in only one of the two files: 1.jpg has one in " + a + " and none in " +
      fewer + "; a --list may leave them out";
  check_refused(scene.compare({}, "fewer.csv"), apart_text);
  check_refused(scene.score({"--compare", fewer, a}), apart_text);
  // Photos with an error in place of a caption, in one file and in both.
  const std::string failed = "{\"image\":\"0.jpg\",\"error\":\"damaged\"}\n";
  std::string lines;
  for (int i = 1; i < 5; ++i)
    lines += "{\"image\":\"" + std::to_string(i) + ".jpg\",\"caption\":\"a man is on the road\"}\n";
  tests::write_text(scene.folder / "failed.jsonl", failed + lines);
  const std::string one = scene.folder / "failed.jsonl";
  for (const auto& files : {std::vector<std::string>{a, one}, {one, a}}) {
    const Result apart = scene.score({"--compare", files[0], files[1]});
    check_refused(apart, "score: 1 image has a caption in only one of the two files: 0.jpg has one in " + a +
                             " and an error in its place in " + one + "; a --list may leave it out");
    CHECK_FALSE(has(apart.err, "are left out"));
  }
  const Result both = scene.score({"--compare", one, one, "--json"});
  CHECK(both.code == 0);
  CHECK(read_json(both.out).at("a").at("images") == 4);
  CHECK(both.err == "1 photos have an error in place of a caption and are left out (first: 0.jpg)\n");

  check_refused(scene.score({}), "score: give --candidates and one file, or --compare and two");
  check_refused(scene.score({"--compare", a}), "score: give --candidates and one file, or --compare and two");
  check_refused(scene.score({"--compare", a, b, a}), "score: give --candidates and one file, or --compare");
  check_refused(scene.compare({"--candidates", a}), "--candidates excludes --compare");
  check_refused(scene.compare({"--per-image", scene.folder / "each.csv"}), "--compare excludes --per-image");
  check_refused(scene.compare({"--protocol", "original"}), "the original has none");
  check_refused(scene.compare({"--samples", "0"}), "--samples: '0' is not a number from 1 to 1e+06");
  check_refused(scene.compare({}, "none.csv"), "none.csv: cannot be read");
  check_refused(scene.score({"--candidates", a, "--samples", "10"}),
                "--samples goes with --interval or --compare");
}
