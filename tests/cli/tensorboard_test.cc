// A training run's numbers for TensorBoard.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "imgcap/cli/train_events.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/events.h"
#include "tests/cli/captured.h"
#include "tests/cli/refused.h"
#include "tests/cli/training_run.h"

namespace fs = std::filesystem;
using tests::Folder;
using tests::has;
using tests::Result;

namespace {

Result train(const Folder& folder, const std::string& out, const std::vector<std::string>& more) {
  const std::string photos = tests::assets() + "/photos";
  std::vector<std::string> all = {
      "--captions", photos + "/captions.csv", "--images", photos, "--train-list", photos + "/train.txt",
      "--val-list", photos + "/val.txt",      "--batch",  "8",    "--beam",       "1"};
  all.insert(all.end(), more.begin(), more.end());
  return tests::run(tests::train_arguments(folder, out, all));
}

std::vector<std::string> event_files(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

using Rows = std::vector<std::tuple<std::string, int64_t, float>>;

Rows scalars_of(const std::string& file) {
  Rows rows;
  for (const auto& s : tensor::io::parse_events(tensor::io::read_file(file), file).scalars)
    rows.emplace_back(s.tag, s.step, s.value);
  return rows;
}

// The same from log.jsonl's lines after step `after`.
Rows rows_of_log(const std::string& file, int64_t after) {
  Rows rows;
  for (const auto& line : tests::json_lines(tests::read_text(file))) {
    const int64_t step = line.at("step").as_int64();
    if (step <= after) continue;
    const auto add = [&](const char* tag, const char* key) {
      rows.emplace_back(tag, step, static_cast<float>(line.at(key).as_double()));
    };
    if (line.find("validation") != nullptr) {
      add("Validation/Loss", "loss"), add("Validation/BLEU", "BLEU-4"), add("Validation/CIDEr", "CIDEr");
      continue;
    }
    add("Train/Loss", "loss"), add("Train/Gradient Norm", "gradient_norm"), add("Train/Learning_Rate", "lr");
    if (const auto* reward = line.find("reward"); reward != nullptr && reward->as_double() > 0)
      add("Train/Reward", "reward");
  }
  return rows;
}

}  // namespace

TEST_CASE("train --tensorboard writes what log.jsonl has, and a resumed run goes on in a new file") {
  const Folder folder;
  const Result first = train(folder, "run", {"--steps", "4", "--tensorboard", folder / "board/run"});
  CAPTURE(first.err);
  REQUIRE(first.code == 0);
  CHECK(event_files(folder / "board/run").size() == 1);
  // The board changes nothing of the run.
  REQUIRE(train(folder, "alone", {"--steps", "4"}).code == 0);
  CHECK(tests::read_text(folder / "alone/last.safetensors") ==
        tests::read_text(folder / "run/last.safetensors"));
  const Result second =
      train(folder, "run", {"--steps", "6", "--resume", "--tensorboard", folder / "board/run"});
  CAPTURE(second.err);
  REQUIRE(second.code == 0);
  const std::vector<std::string> files = event_files(folder / "board/run");
  REQUIRE(files.size() == 2);
  const std::string log = folder / "run/log.jsonl";
  const Rows one = scalars_of(files[0]), two = scalars_of(files[1]), all = rows_of_log(log, 0);
  CHECK(two == rows_of_log(log, 4));
  Rows together = one;
  together.insert(together.end(), two.begin(), two.end());
  CHECK(together == all);
  CHECK(std::count_if(all.begin(), all.end(),
                      [](const auto& row) { return std::get<0>(row) == "Validation/CIDEr"; }) >= 2);

  // The reward of drawn captions is on the board, too.
  const std::string photos = tests::assets() + "/photos";
  const Result drawn = tests::run({"train",
                                   "--weights",
                                   tests::encoder_in_the_box(),
                                   "--features",
                                   folder / "features.safetensors",
                                   "--captions",
                                   photos + "/captions.csv",
                                   "--images",
                                   photos,
                                   "--train-list",
                                   photos + "/train.txt",
                                   "--val-list",
                                   photos + "/val.txt",
                                   "--init",
                                   folder / "run/last.safetensors",
                                   "--objective",
                                   "self-critical",
                                   "--teacher-forcing",
                                   "1",
                                   "--steps",
                                   "2",
                                   "--batch",
                                   "8",
                                   "--max-tokens",
                                   "6",
                                   "--out",
                                   folder / "drawn",
                                   "--tensorboard",
                                   folder / "drawn_board"});
  CAPTURE(drawn.err);
  REQUIRE(drawn.code == 0);
  CHECK(scalars_of(event_files(folder / "drawn_board").at(0)) == rows_of_log(folder / "drawn/log.jsonl", 0));
}

TEST_CASE("a full disk ends the board's file with one sentence, and the run goes on") {
  const Folder folder;
  imgcap::StepReport report;
  std::string err;
  {
    imgcap::cli::TrainEvents events(folder / "board");
    // No file may grow beyond the limit: what a full disk is like.
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit now{400, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
    err = tests::said_by([&] {
            for (report.step = 1; report.step <= 9; ++report.step) events.add(report);
            events.add(imgcap::ValidationReport());
          }).err;
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    for (; report.step <= 12; ++report.step) events.add(report);  // there is room again; it stays as it is
  }
  const std::string file = event_files(folder / "board").at(0);
  CHECK(err ==
        "imgcap: " + file +
            ": cannot be written: File too large; training goes on, TensorBoard's file ends before step "
            "4\n");
  CHECK(fs::file_size(file) == 400);
  const auto log = tensor::io::parse_events(tensor::io::read_file(file), file);
  CHECK(log.is_cut);
  CHECK(log.scalars.size() == 9);
}

TEST_CASE("train --tensorboard: a folder that takes nothing is found out before the run") {
  const Folder folder;
  tests::write_text(folder / "file", "");
  const Result result = train(folder, "run", {"--steps", "1", "--tensorboard", folder / "file/board"});
  tests::check_refused(result, folder / "file/board");
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  CHECK_FALSE(fs::exists(folder / "run"));
  // A refused run leaves no folder.
  const Result refused =
      train(folder, "run", {"--steps", "1", "--batch", "999", "--tensorboard", folder / "a/b"});
  CHECK(refused.code == 2);
  CHECK_FALSE(fs::exists(folder / "a"));
}
