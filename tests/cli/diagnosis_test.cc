// What the program offers for finding mistakes: --detect-anomaly, --profile, info --layers.
#include <doctest/doctest.h>

#include "tests/cli/refused.h"
#include "tests/cli/training_run.h"

using tensor::io::Json;
using tests::check_refused;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

namespace {

std::vector<std::string> three_photos(const Folder& folder, const std::string& out,
                                      const std::vector<std::string>& more) {
  const std::string photos = tests::assets() + "/photos";
  tests::write_text(folder / "train",
                    "coco_000000000285.jpg\ncoco_000000000785.jpg\ncoco_000000000872.jpg\n");
  tests::write_text(folder / "val", "coco_000000000885.jpg\n");
  std::vector<std::string> all = {
      "--captions", photos + "/captions.csv", "--images", photos, "--train-list", folder / "train",
      "--val-list", folder / "val",           "--batch",  "1"};
  all.insert(all.end(), more.begin(), more.end());
  return tests::train_arguments(folder, out, all);
}

}  // namespace

TEST_CASE("train --profile prints one step by op and writes a trace") {
  const Folder folder;
  const Result result = run(
      three_photos(folder, "run", {"--steps", "3", "--profile", folder / "trace.json", "--detect-anomaly"}));
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(has(result.out, "decoder_sequence"));
  CHECK(has(result.out, "(outside of ops)"));
  CHECK(has(result.out, "trace.json"));
  const Json trace = read_json(tests::read_text(folder / "trace.json"));
  bool module = false, backward = false, kernel = false;
  for (const Json& e : trace.at("traceEvents").items()) {
    module = module || (e.at("cat") == "module" && e.at("name") == "AttentionDecoder.attention");
    backward = backward || (e.at("name") == "cross_entropy backward" && e.at("cat") == "backward");
    kernel = kernel || (e.at("name") == "adamw" && e.at("cat") == "kernel");
  }
  CHECK(module);
  CHECK(backward);
  CHECK(kernel);
  // The trace cannot be written: said in one sentence; the run's last checkpoint is whole.
  const Result full = run(three_photos(folder, "full", {"--steps", "3", "--profile", "/dev/full"}));
  CHECK(full.code == 2);
  CHECK(has(full.err, "/dev/full"));
  // It is the first one, written before the first step.
  const auto last = read_json(run({"info", folder / "full/last.safetensors", "--json"}).out);
  CHECK(last.at("metadata").at("training").at("step") == 0);
}

TEST_CASE("train --detect-anomaly names the op and the module in which numbers overflow") {
  const Folder folder;
  // Each step multiplies the weights by 1 - 1000 * 1.
  const std::vector<std::string> more = {"--epochs", "20",   "--validate-every", "20", "--optimizer", "sgd",
                                         "--lr",     "1000", "--weight-decay",   "1",  "--clip-norm", "0"};
  std::vector<std::string> watched = more;
  watched.push_back("--detect-anomaly");
  const Result plain = run(three_photos(folder, "plain", more));
  CHECK(plain.code == 2);
  CHECK(has(plain.err, "a lower learning rate may help"));
  const Result result = run(three_photos(folder, "watched", watched));
  CAPTURE(result.err);
  CHECK(result.code == 2);
  CHECK(has(result.err, "(in AttentionDecoder"));
  CHECK(has(result.err, " at ("));
  CHECK(has(result.err, "f32"));
}

TEST_CASE("info --layers shows what each layer gives") {
  const Result result = run({"info", "--model", "attention", "--encoder", "resnet18", "--layers"});
  REQUIRE(result.code == 0);
  CHECK(has(result.out, "ResNet"));
  CHECK(has(result.out, "(1, 64, 112, 112)"));
  CHECK(has(result.out, "11,689,512 parameters, 0 of them trainable"));
  CHECK(has(result.out, "(1, 49, 1024) ... (1, 4096), 2 calls"));  // a photo is begun, and one word is fed
  CHECK(has(result.out, "lstm: LSTM(1536, 1024, num_layers=2, dropout=0.5)"));
  check_refused(run({"info", "--layers"}), "--layers requires --model");
}
