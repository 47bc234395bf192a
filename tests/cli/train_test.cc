// A whole run by the program: train, stop, go on, evaluate, caption.
#include <doctest/doctest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/cli/program.h"
#include "tests/data_dir.h"

using nlohmann::json;
using tests::Folder;
using tests::has;
using tests::Result;
using tests::run;

namespace {

std::vector<json> lines_of(const std::string& text) {
  std::vector<json> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    lines.push_back(json::parse(text.substr(at, end - at)));
    at = end == std::string::npos ? text.size() : end + 1;
  }
  return lines;
}

// Waits until the program has said `text`; false after a minute.
bool wait_for(const tests::Program& program, const std::string& text) {
  for (int i = 0; i < 6000; ++i) {
    if (has(program.output(), text)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace

TEST_CASE("train, stop, resume, eval, caption, classify") {
  const std::filesystem::path data = tests::data_dir("the program's training run");
  if (data.empty()) return;
  const Folder folder;
  const std::string photos = (data / "cc_photos").string(), captions = photos + "/captions.csv";
  const std::string weights = (data / "efficientnet_lite2/efficientnet_lite2_imagenet.safetensors").string();
  const std::string bear = photos + "/coco_000000000285.jpg", plane = photos + "/coco_000000000785.jpg";
  tests::write_text(folder / "train",
                    "coco_000000000285.jpg\ncoco_000000000785.jpg\ncoco_000000000872.jpg\n");
  tests::write_text(folder / "val", "coco_000000000885.jpg\ncoco_000000001268.jpg\n");
  const auto train = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> all = {"train",
                                    "--captions",
                                    captions,
                                    "--images",
                                    photos,
                                    "--train-list",
                                    folder / "train",
                                    "--val-list",
                                    folder / "val",
                                    "--weights",
                                    weights,
                                    "--out",
                                    folder / out,
                                    "--features",
                                    folder / "features.safetensors",
                                    "--embedding",
                                    "16",
                                    "--hidden",
                                    "16",
                                    "--attention-width",
                                    "16",
                                    "--layers",
                                    "1",
                                    "--layer-dropout",
                                    "0",
                                    "--batch",
                                    "2",
                                    "--min-frequency",
                                    "1"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const Result first = run(train("run", {"--steps", "3"}));
  CAPTURE(first.err);
  REQUIRE(first.code == 0);
  const std::string last = folder / "run/last.safetensors";
  REQUIRE(std::filesystem::exists(last));
  CHECK(json::parse(run({"info", last, "--json"}).out)["kind"] == "checkpoint of a training run");
  CHECK(run({"vocab", "show", last}).out.starts_with("0\t\"<unk>\"\n"));
  CHECK(run(train("run", {"--steps", "3", "--resume", "--lr", "-1"})).code == 2);
  CHECK(run(train("other", {"--steps", "3", "--resume"})).code == 2);  // nothing to go on from

  SUBCASE("a checkpoint in fewer bits") {
    const std::string caption = run({"caption", "--model", last, "--weights", weights, "--json", bear}).out;
    for (const std::string format : {"f16", "i8"}) {
      CAPTURE(format);
      const std::string small = folder / ("small_" + format + ".safetensors");
      CHECK(run({"convert", last, small, "--format", format}).code == 0);
      CHECK(std::filesystem::file_size(small) * 4 < std::filesystem::file_size(last));
      CHECK(json::parse(run({"info", small, "--json"}).out)["kind"] == "checkpoint");
      const json before = json::parse(caption);
      const json after =
          json::parse(run({"caption", "--model", small, "--weights", weights, "--json", bear}).out);
      CHECK(after["log_probability"].get<double>() ==
            doctest::Approx(before["log_probability"].get<double>()).epsilon(0.02));
    }
    CHECK(run({"convert", weights, folder / "encoder.safetensors", "--format", "i8"}).code == 2);
    CHECK(run({"convert", weights, folder / "encoder.safetensors", "--format", "f16"}).code == 0);
    CHECK(std::filesystem::file_size(folder / "encoder.safetensors") <
          std::filesystem::file_size(weights) * 51 / 100);
  }

  SUBCASE("on from a checkpoint, on CIDEr itself") {
    const std::vector<std::string> flags = {
        "--steps", "2", "--init", last, "--objective", "self-critical", "--teacher-forcing", "1"};
    const Result further = run(train("further", flags));
    CAPTURE(further.err);
    CHECK(further.code == 0);
    CHECK(has(further.out, "reward "));
    CHECK(has(tests::read_text(folder / "further/log.jsonl"), "\"reward\":"));
    std::vector<std::string> smoothed = flags;
    smoothed.insert(smoothed.end(), {"--label-smoothing", "0.1"});
    CHECK(run(train("smoothed", smoothed)).code == 2);
    CHECK(run(train("no_init", {"--init", folder / "none.safetensors"})).code == 2);
    CHECK(run(train("no_init", {"--init", last, "--encoder", "resnet50"})).code == 2);
  }

  SUBCASE("augmentation") {
    const Result mirrored = run(train("mirrored", {"--steps", "2", "--augment", "mirror"}));
    CAPTURE(mirrored.err);
    CHECK(mirrored.code == 0);
    const json mirror = json::parse(run({"info", folder / "features.mirror.safetensors", "--json"}).out);
    CHECK(mirror["kind"] == "feature cache");
    CHECK(run(train("original", {"--steps", "2", "--augment", "original", "--augment-views", "2"})).code ==
          0);
    CHECK(std::filesystem::exists(folder / "features.view1.safetensors"));
    const Result wrong = run(train("wrong", {"--augment", "upside-down"}));
    CHECK(wrong.code == 2);
    CHECK(has(wrong.err, "'upside-down' is none of none, mirror, original"));
  }

  SUBCASE("captions and scores") {
    const Result evaluated = run({"eval", "--checkpoint", last, "--weights", weights, "--images", photos,
                                  "--captions", captions, "--list", folder / "val", "--beam", "2", "--json"});
    CAPTURE(evaluated.err);
    REQUIRE(evaluated.code == 0);
    CHECK(json::parse(evaluated.out)["images"] == 2);
    // Bad photos among good ones.
    tests::write_text(folder / "cut.jpg", tests::read_text(bear).substr(0, 3000));
    tests::write_text(folder / "text.jpg", "no picture at all");
    const Result captioned =
        run({"caption", "--model", last, "--weights", weights, "--beam", "3", "--nbest", "2", "--json",
             folder / "cut.jpg", bear, folder / "text.jpg", folder / "missing.jpg", plane});
    CHECK(captioned.code == 2);
    const std::vector<json> lines = lines_of(captioned.out);
    REQUIRE(lines.size() == 5);
    for (size_t bad : {0, 2, 3}) {
      CHECK(lines[bad].contains("error"));
      CHECK(has(captioned.err, lines[bad]["image"].get<std::string>()));
    }
    CHECK(lines[1]["image"] == "coco_000000000285.jpg");
    CHECK(lines[1]["caption"].is_string());
    CHECK(lines[1]["log_probability"].get<double>() < 0);
    CHECK(lines[1]["alternatives"].size() == 1);
    CHECK(lines[4]["milliseconds"].get<double>() > 0);
    const Result sheet =
        run({"caption", "--model", last, "--weights", weights, "--attention", folder / "sheet.png", bear});
    CHECK(sheet.code == 0);
    CHECK(has(sheet.out, "coco_000000000285.jpg: "));
    CHECK(has(sheet.out, " ms)\n"));
    CHECK(tests::read_text(folder / "sheet.png").starts_with("\x89PNG"));
    CHECK(
        run({"caption", "--model", last, "--weights", weights, "--attention", folder / "s.png", bear, plane})
            .code == 2);
    CHECK(run({"caption", "--model", last, "--weights", weights, bear}, "", "/dev/full").code == 2);
    const Result classified =
        run({"classify", "--weights", weights, "--json", "--top", "3", folder / "cut.jpg", bear});
    CHECK(classified.code == 2);
    const std::vector<json> classes = lines_of(classified.out);
    REQUIRE(classes.size() == 2);
    CHECK(classes[0].contains("error"));
    REQUIRE(classes[1]["classes"].size() == 3);
    CHECK(classes[1]["classes"][0][0] == 294);  // brown bear
    CHECK(classes[1]["classes"][0][1].get<double>() > classes[1]["classes"][1][1].get<double>());
  }

  SUBCASE("Ctrl-C and kill -9") {
    const std::vector<std::string> endless = {"--epochs",           "5000", "--validate-every", "5000",
                                              "--checkpoint-every", "1"};
    tests::Program interrupted(train("stopped", endless));
    CHECK(wait_for(interrupted, "step 50/"));
    interrupted.send(SIGINT);
    const Result stopped = interrupted.wait();
    CHECK(stopped.code == 130);
    CHECK(has(stopped.out, "--resume goes on"));
    std::vector<std::string> on = endless;
    on.push_back("--resume");
    tests::Program killed(train("stopped", on));
    CHECK(wait_for(killed, "goes on after step "));
    CHECK(wait_for(killed, " loss "));
    killed.send(SIGKILL);
    CHECK(killed.wait().code == 128 + SIGKILL);
    CHECK(run({"info", folder / "stopped/last.safetensors"}).code == 0);
    tests::Program again(train("stopped", on));
    CHECK(wait_for(again, " loss "));
    again.send(SIGINT);
    CHECK(again.wait().code == 130);
  }
}
