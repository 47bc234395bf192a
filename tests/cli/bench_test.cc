// bench: rows by name and precision, without oneDNN, and how time grows. verbs_test.cc has what it prints.
#include <doctest/doctest.h>
#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <thread>
#include <utility>

#include "imgcap/bench/bf16_peak.h"
#include "imgcap/bench/made_captions.h"
#include "imgcap/bench/rows.h"
#include "imgcap/bench/scale.h"
#include "imgcap/data/captions.h"
#include "imgcap/metrics/scores.h"
#include "tests/cli/program.h"
#include "tests/cli/refused.h"
#include "tests/cli/training_run.h"
#include "tests/instrumented.h"
#include "tests/json.h"

using namespace imgcap;
using tensor::io::Json;
using tests::check_refused;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

TEST_CASE("bench: which rows there are in each precision") {
  using Names = std::vector<std::string>;
  CHECK(bench::row_names(Precision::f32) == Names{"train-attention", "train-plain", "lstm", "resnet50-b1",
                                                  "resnet50-b8", "lite2-b1", "lite2-b16", "prepare",
                                                  "caption-resnet50"});
  for (const Precision precision : {Precision::f16, Precision::bf16})
    CHECK(bench::row_names(precision) == bench::row_names(Precision::f32));
  check_refused(run({"bench", "--only", "lite2-b3"}),
                "there is no row 'lite2-b3' in f32; there are train-attention");
  check_refused(run({"bench", "--only", "lite2-b3", "--precision", "f16"}),
                "there is no row 'lite2-b3' in f16; there are train-attention");
}

TEST_CASE("bench: prepare takes the photos that it is given, without oneDNN, too") {
  const Folder folder;
  std::filesystem::create_directory(folder / "photos");
  for (const char* photo : {"coco_000000000285.jpg", "coco_000000000785.jpg"})
    std::filesystem::copy_file(tests::assets() + "/photos/" + photo, (folder / "photos/") + photo);
  for (const bool without : {false, true}) {
    std::vector<std::string> command = {"bench",   "--only", "prepare", "--images", folder / "photos",
                                        "--calls", "1",      "--pairs", "1",        "--json"};
    if (without) command.emplace_back("--without-onednn");
    const Result said = run(command);
    CAPTURE(said.err);
    REQUIRE(said.code == 0);
    const Json json = read_json(said.out), row = json.at("rows").at(0);
    CHECK(row.at("what") == "2 photos from files to a cache of features, EfficientNet-Lite2, float32");
    CHECK(row.at("per_second").as_double() ==
          doctest::Approx(2 / row.at("seconds").at("median").as_double()));
    if (without) CHECK(json.at("machine").at("products") == "Eigen");
  }
  check_refused(run({"bench", "--only", "prepare", "--images", folder / "none", "--pairs", "1"}), "none");
}

namespace {

// Temporary files go to another folder while it lives.
class TemporaryFilesIn {
 public:
  explicit TemporaryFilesIn(const std::string& folder) {
    if (const char* before = ::getenv("TMPDIR")) before_ = before;
    ::setenv("TMPDIR", folder.c_str(), 1);
  }
  ~TemporaryFilesIn() { before_ ? ::setenv("TMPDIR", before_->c_str(), 1) : ::unsetenv("TMPDIR"); }
  TemporaryFilesIn(const TemporaryFilesIn&) = delete;
  TemporaryFilesIn& operator=(const TemporaryFilesIn&) = delete;

 private:
  std::optional<std::string> before_;
};

// What there is in a folder, but for the tests' own.
std::vector<std::filesystem::path> left_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> all;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (!entry.path().filename().string().starts_with("imgcap_cli_")) all.push_back(entry.path());
  return all;
}

// A file that a process of the program's has made below the folder: it is in the middle of its work.
bool has_made_a_file(const std::filesystem::path& folder) {
  std::error_code gone;
  for (const auto& own : left_in(folder))
    for (const auto& of_worker : std::filesystem::directory_iterator(own, gone))
      if (!std::filesystem::is_empty(of_worker, gone) && !gone) return true;
  return false;
}

}  // namespace

TEST_CASE("bench: nothing stays behind, whatever ends it") {
  SKIP_IF_INSTRUMENTED();
  const Folder folder;
  const std::filesystem::path temporary = folder / "temporary";
  std::filesystem::create_directory(temporary);
  const TemporaryFilesIn guard(temporary);
  std::filesystem::create_directory(folder / "photos");
  std::filesystem::copy(tests::assets() + "/photos/coco_000000000285.jpg", folder / "photos");
  const std::vector<std::string> prepare = {"--only", "prepare",  "--calls",
                                            "1000",   "--images", folder / "photos"},
                                 score = {"--scale", "--only", "score"};
  for (const auto& [signal, job] : {std::pair{SIGINT, prepare}, {SIGTERM, score}}) {
    CAPTURE(signal);
    std::vector<std::string> command = job;
    command.insert(command.begin(), "bench");
    tests::Program bench(command);
    bool works = false;
    for (int i = 0; i < 60000 && !works; ++i) {
      works = has_made_a_file(temporary);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    CHECK(works);
    bench.send(signal);  // to this process alone: a terminal sends it to all
    const Result ended = bench.wait();
    CHECK(ended.code == 130);
    CHECK(ended.err == "imgcap: interrupted\n");
    CHECK(left_in(temporary).empty());
  }
  // A worker's mistake.
  check_refused(run({"bench", "--scale", "--only", "prepare", "--images", folder / "none"}), "none");
  CHECK(left_in(temporary).empty());
}

TEST_CASE("IMGCAP_WITHOUT_ONEDNN=1 leaves oneDNN out, and nothing else does") {
  const auto built_with = [] { return read_json(run({"info", "--json"}).out).at("oneDNN").as_bool(); };
  const bool before = built_with();
  ::setenv("IMGCAP_WITHOUT_ONEDNN", "1", 1);
  CHECK_FALSE(built_with());
  ::setenv("IMGCAP_WITHOUT_ONEDNN", "0", 1);
  CHECK(built_with() == before);
  ::unsetenv("IMGCAP_WITHOUT_ONEDNN");
}

TEST_CASE("bench: a processor without bf16 has no peak of it") {
  const bench::Bf16Peak none = bench::measure_bf16({"avx2", "avx512f"}, 1);
  CHECK(none.gflops == 0);
  CHECK(none.by == "none");
}

TEST_CASE("bench --scale: time by work, relative to the smallest size") {
  bench::ScaleSeries series{
      "x", "a job", "things", "things", {{10, 2, 5, 10}, {20, 4, 5, 20}, {40, 12, 3.3, 40}}};
  CHECK(series.relative(series.points[0]) == 1);
  CHECK(series.relative(series.points[1]) == 1);
  CHECK(series.relative(series.points[2]) == doctest::Approx(1.5));
  using Names = std::vector<std::string>;
  CHECK(bench::scale_names() == Names{"batch", "hidden", "vocabulary", "threads", "score", "prepare"});
  CHECK_THROWS_WITH_AS(bench::run_scale("other", {}), doctest::Contains("there is no series 'other'"),
                       tensor::Error);
}

TEST_CASE("bench --scale: what it says of the time that it takes") {
  SKIP_IF_INSTRUMENTED();
  const Result said =
      run({"bench", "--scale", "--only", "threads", "--calls", "1", "--threads", "2", "--json"});
  CAPTURE(said.err);
  REQUIRE(said.code == 0);
  const Json json = read_json(said.out).at("series");
  REQUIRE(json.size() == 1);
  CHECK(json.at(0).at("name") == "threads");
  CHECK(json.at(0).at("unit") == "captions");
  const Json& points = json.at(0).at("points");
  REQUIRE(points.size() == 2);
  CHECK(points.at(0).at("relative_time_per_work") == 1.0);
  for (size_t i = 0; i < 2; ++i) {
    const double threads = static_cast<double>(i + 1), seconds = points.at(i).at("seconds").as_double();
    CHECK(points.at(i).at("size") == static_cast<int64_t>(i + 1));
    CHECK(points.at(i).at("work").as_double() == 64 / threads);
    CHECK(points.at(i).at("per_second").as_double() == doctest::Approx(64 / seconds));
  }
  CHECK(points.at(1).at("relative_time_per_work").as_double() ==
        doctest::Approx(2 * points.at(1).at("seconds").as_double() / points.at(0).at("seconds").as_double()));
  check_refused(run({"bench", "--scale", "--only", "lstm"}),
                "bench: there is no series 'lstm'; there are batch");
}

TEST_CASE("bench: made-up captions are five of each image and one like them, the same at each call") {
  const Folder folder;
  bench::write_made_captions(50, folder / "references", folder / "candidates");
  const CaptionFile references = read_captions(folder / "references"),
                    candidates = read_captions(folder / "candidates");
  CHECK(references.captions.size() == 250);
  CHECK(candidates.captions.size() == 50);
  const Scores scores =
      score_captions(candidates_of(candidates.captions), references_of(references.captions));
  CHECK(scores.images == 50);
  CHECK(scores.references_min == 5);
  CHECK(scores.bleu[0] > 0.6);
  CHECK(scores.bleu[0] < 0.9);
  bench::write_made_captions(50, folder / "again", folder / "candidates");
  CHECK(tests::read_text(folder / "again") == tests::read_text(folder / "references"));
}
