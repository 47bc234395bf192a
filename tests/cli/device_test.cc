// --device: what is refused, and runs on the emulated devices where the build has them.
#include <doctest/doctest.h>

#include <cmath>

#include "imgcap/training/checkpoint.h"
#include "tests/cli/refused.h"
#include "tests/cli/training_run.h"
#include "tests/skip.h"

using namespace imgcap;
using tensor::io::Json;
using tests::check_refused;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

namespace {

Result train(const Folder& folder, const std::string& out, const std::vector<std::string>& more) {
  const std::string photos = tests::assets() + "/photos";
  std::vector<std::string> all = {"--captions",
                                  photos + "/captions.csv",
                                  "--images",
                                  photos,
                                  "--train-list",
                                  photos + "/train.txt",
                                  "--val-list",
                                  photos + "/val.txt",
                                  "--batch",
                                  "2",
                                  "--lr",
                                  "1e-2",
                                  "--beam",
                                  "1",
                                  "--epochs",
                                  "50",
                                  "--model",
                                  "plain",
                                  "--tanh-image",
                                  "--max-tokens",
                                  "8",
                                  "--min-frequency",
                                  "2"};
  all.insert(all.end(), more.begin(), more.end());
  return run(tests::train_arguments(folder, out, all));
}

std::vector<double> losses(const Folder& folder, const std::string& out) {
  std::vector<double> all;
  for (const Json& line : tests::json_lines(tests::read_text(folder / (out + "/log.jsonl"))))
    if (line.find("validation") == nullptr) all.push_back(line.at("loss").as_double());
  return all;
}

Json devices() { return read_json(run({"info", "--json"}).out).at("devices"); }

}  // namespace

TEST_CASE("a device that is not there is refused in one sentence, before anything is read") {
  const Folder folder;
  for (const char* device : {"cuda:9", "gpu", "cuda:-1", "cuda:x", ""}) {
    CAPTURE(device);
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"train", "--captions", "none", "--images", "none", "--out",
                                   folder / "out"},
          {"bench", "--only", "lstm"},
          {"gradcheck", "--op", "relu"}}) {
      std::vector<std::string> all = command;
      all.insert(all.end(), {"--device", device});
      const Result result = run(all);
      check_refused(result, device);
      CHECK(tests::count(result.err, "\n") == 1);
      CHECK(result.out.empty());
    }
  }
  CHECK_FALSE(std::filesystem::exists(folder / "out"));
}

TEST_CASE("info: devices with their memory") {
  const Json all = devices();
  for (size_t i = 0; i < all.size(); ++i) {
    CHECK(all.at(i).at("name") == "cuda:" + std::to_string(i));
    CHECK(all.at(i).at("total_bytes").as_int64() >= all.at(i).at("free_bytes").as_int64());
    CHECK(all.at(i).at("free_bytes").as_int64() > 0);
  }
}

TEST_CASE("auto is the CPU where devices save no time, and says so") {
  const Folder folder;
  const Result said = run({"gradcheck", "--op", "relu", "--device", "auto", "--json"});
  CAPTURE(said.err);
  REQUIRE(said.code == 0);
  CHECK(has(said.err, "device "));
  CHECK(has(said.err, read_json(said.out).at("device").as_text()));
}

TEST_CASE("train on a device: the CPU's losses but for rounding, and a run goes on on another device") {
  if (devices().size() == 0) SKIP("there is no device");
  const Folder folder;
  const auto trained = [&](const std::string& out, const std::vector<std::string>& more) {
    const Result result = train(folder, out, more);
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return result;
  };
  trained("cpu", {"--steps", "3"});
  const Result there = trained("cuda", {"--steps", "3", "--device", "cuda"});
  CHECK(has(there.err, "device cuda:0: "));
  CHECK(has(there.out, "\ncuda:0: at most "));
  trained("both", {"--steps", "1", "--device", "cuda:1"});
  trained("both", {"--steps", "2", "--resume"});
  trained("both", {"--steps", "3", "--resume", "--device", "cuda"});
  const std::vector<double> want = losses(folder, "cpu");
  REQUIRE(want.size() == 3);
  for (const char* out : {"cuda", "both"}) {
    CAPTURE(out);
    const std::vector<double> got = losses(folder, out);
    REQUIRE(got.size() == 3);
    for (size_t i = 0; i < got.size(); ++i) CHECK(std::abs(got[i] - want[i]) <= 2e-5 * want[i]);
  }
  // The file says where it was made; the settings do not.
  CHECK_FALSE(load_checkpoint(folder / "cpu/last.safetensors").notes.contains("device"));
  CHECK(load_checkpoint(folder / "cuda/best.safetensors").notes.at("device").starts_with("cuda:0 ("));
  // A row that there is not.
  check_refused(run({"bench", "--only", "caption-resnet18", "--device", "cuda"}),
                "there is no row 'caption-resnet18' in f32 on cuda:0; there are train-attention");
  check_refused(run({"bench", "--scale", "--device", "cuda"}), "--scale measures the CPU");
}
