// A whole run by the program: train, stop, go on, evaluate, caption.
#include <doctest/doctest.h>

#include <chrono>
#include <thread>

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

// Waits until the program has said `text`; false after five minutes.
bool wait_for(const tests::Program& program, const std::string& text) {
  for (int i = 0; i < 30000; ++i) {
    if (has(program.output(), text)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

// The number behind the last `words` of the text; -1 without one.
int64_t number_behind(const std::string& text, const std::string& words) {
  const size_t at = text.rfind(words);
  return at == std::string::npos ? -1 : std::stoll(text.substr(at + words.size()));
}

}  // namespace

TEST_CASE("train, stop, resume, eval, caption, classify") {
  const Folder folder;
  const std::string photos = tests::assets() + "/photos", captions = photos + "/captions.csv";
  const std::string weights = tests::encoder_in_the_box();
  const std::string bear = photos + "/coco_000000000285.jpg", plane = photos + "/coco_000000000785.jpg";
  tests::write_text(folder / "train",
                    "coco_000000000285.jpg\ncoco_000000000785.jpg\ncoco_000000000872.jpg\n");
  tests::write_text(folder / "val", "coco_000000000885.jpg\ncoco_000000001268.jpg\n");
  const auto begin = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> all = {"train",          "--captions", captions,
                                    "--images",       photos,       "--train-list",
                                    folder / "train", "--val-list", folder / "val",
                                    "--weights",      weights,      "--out",
                                    folder / out,     "--features", folder / "features.safetensors",
                                    "--batch",        "2"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const auto train = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> all = {"--embedding", "16", "--hidden",        "16", "--attention-width", "16",
                                    "--layers",    "1",  "--layer-dropout", "0",  "--min-frequency",   "1"};
    all.insert(all.end(), more.begin(), more.end());
    return begin(out, all);
  };
  const Result first = run(train("run", {"--steps", "3"}));
  CAPTURE(first.err);
  REQUIRE(first.code == 0);
  const std::string last = folder / "run/last.safetensors";
  REQUIRE(std::filesystem::exists(last));
  CHECK(read_json(run({"info", last, "--json"}).out).at("kind") == "checkpoint of a training run");
  CHECK(run({"vocab", "show", last}).out.starts_with("0\t\"<unk>\"\n"));
  const Result negative = run(train("run", {"--steps", "3", "--resume", "--lr", "-1"}));
  CHECK(negative.code == 2);
  CHECK(has(negative.err, "lr is -1"));
  check_refused(run(train("other", {"--steps", "3", "--resume"})), "there is no run in it to go on with");
  CHECK(has(first.out, "validation: 2 images of val, 5 references each, "));
  const Json validation = tests::json_lines(tests::read_text(folder / "run/log.jsonl")).back();
  CHECK(validation.at("images") == 2);
  CHECK(validation.at("split") == "val");
  CHECK(validation.at("protocol") == "standard");
  CHECK(validation.at("beam") == 3);

  SUBCASE("settings that are found to be wrong before any work") {
    const auto refused = [&](const std::string& out, const std::vector<std::string>& more, const char* why) {
      const Result result = run(train(out, more));
      CAPTURE(result.err);
      CHECK(result.code == 2);
      CHECK(has(result.err, why));
      CHECK_FALSE(std::filesystem::exists(folder / (out + "/log.jsonl")));
    };
    refused("bad", {"--beam", "0"}, "beam is 0");
    refused("bad", {"--beam", "-1"}, "beam is -1");
    refused("bad", {"--init", last}, "--embedding is what the checkpoint of --init says");
    const std::string log = tests::read_text(folder / "run/log.jsonl");
    const Result again = run(train("run", {"--steps", "3"}));
    CHECK(again.code == 2);
    CHECK(has(again.err, "there is a run in it; --resume goes on with it"));
    CHECK(tests::read_text(folder / "run/log.jsonl") == log);
    tests::write_text(folder / "words", "\"<unk>\"\n\"<pad>\"\n\"<sos>\"\n\"<eos>\"\n\" a\"\n");
    const Result other = run(train("run", {"--steps", "4", "--resume", "--vocabulary", folder / "words"}));
    CHECK(other.code == 2);
    CHECK(has(other.err, "made with another vocabulary"));
    for (const std::string beam : {"0", "-3"})
      check_refused(run({"eval", "--checkpoint", last, "--images", photos, "--captions", captions, "--list",
                         folder / "val", "--beam", beam}),
                    "--beam: '" + beam + "' is not a number from 1 to 100");
    const Result nowhere = run({"eval", "--checkpoint", last, "--images", photos, "--captions", captions,
                                "--list", folder / "val", "--out", folder / "none/x.json"});
    CHECK(nowhere.code == 2);
    CHECK(has(nowhere.err, "there is no folder"));
    CHECK(nowhere.out.empty());
  }

  SUBCASE("without lists the parts are written down, and the test part can be scored") {
    std::vector<std::string> all = train("split", {"--steps", "1"});
    const auto lists = std::find(all.begin(), all.end(), "--train-list");
    all.erase(lists, lists + 4);
    const Result result = run(all);
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    CHECK(has(result.out, "split by seed: 47 photos to train on, 5 to validate, 5 to test"));
    const auto test = tests::read_text(folder / "split/test.txt");
    CHECK(std::count(test.begin(), test.end(), '\n') == 5);
    const auto cached = std::filesystem::file_size(folder / "features.safetensors");
    const Result scored =
        run({"eval", "--checkpoint", folder / "split/last.safetensors", "--images", photos, "--captions",
             captions, "--list", folder / "split/test.txt", "--features", folder / "features.safetensors",
             "--beam", "2", "--out", folder / "results.json", "--json"});
    CAPTURE(scored.err);
    REQUIRE(scored.code == 0);
    // The test photos are added to the cache; nothing that was in it is lost.
    CHECK(has(scored.err, " photos are added"));
    CHECK(std::filesystem::file_size(folder / "features.safetensors") > cached);
    // What eval wrote can be scored.
    const Result from_file = run({"score", "--references", captions, "--candidates", folder / "results.json",
                                  "--list", folder / "split/test.txt", "--json"});
    CAPTURE(from_file.err);
    CHECK(read_json(from_file.out).at("CIDEr") == read_json(scored.out).at("CIDEr"));
    // A photo without captions is no secret.
    tests::write_text(folder / "more", test + "skimage_coffee.jpg\n");
    const Result more = run({"eval", "--checkpoint", folder / "split/last.safetensors", "--images", photos,
                             "--captions", captions, "--list", folder / "more", "--json"});
    CHECK(has(more.err, "1 photos have no captions and are left out (first: skimage_coffee.jpg)"));
    CHECK(read_json(more.out).at("images") == 5);
  }

  SUBCASE("a checkpoint in fewer bits") {
    const std::string caption = run({"caption", "--model", last, "--weights", weights, "--json", bear}).out;
    for (const std::string format : {"f16", "i8"}) {
      CAPTURE(format);
      const std::string small = folder / ("small_" + format + ".safetensors");
      CHECK(run({"convert", last, small, "--format", format}).code == 0);
      CHECK(std::filesystem::file_size(small) * 4 < std::filesystem::file_size(last));
      CHECK(read_json(run({"info", small, "--json"}).out).at("kind") == "checkpoint");
      const Json before = read_json(caption);
      const Json after =
          read_json(run({"caption", "--model", small, "--weights", weights, "--json", bear}).out);
      CHECK(after.at("log_probability").as_double() ==
            doctest::Approx(before.at("log_probability").as_double()).epsilon(0.02));
    }
    check_refused(run({"convert", weights, folder / "encoder.safetensors", "--format", "i8"}),
                  "no checkpoint, and i8 is a format of checkpoints");
    const std::string resnet = (tests::source_dir() / "tests/golden/encoder_resnet50.pth").string();
    CHECK(run({"convert", resnet, folder / "encoder.safetensors", "--format", "f16"}).code == 0);
    CHECK(std::filesystem::file_size(folder / "encoder.safetensors") < 2 * 25'557'032 + 200'000);
  }

  SUBCASE("on from a checkpoint, on CIDEr itself") {
    // The model's settings come from the checkpoint.
    const std::vector<std::string> flags = {"--steps",
                                            "2",
                                            "--init",
                                            last,
                                            "--objective",
                                            "self-critical",
                                            "--teacher-forcing",
                                            "1",
                                            "--init-temperature",
                                            "0.5"};
    const Result further = run(begin("further", flags));
    CAPTURE(further.err);
    CHECK(further.code == 0);
    CHECK(has(further.out, "reward "));
    CHECK(has(tests::read_text(folder / "further/log.jsonl"), "\"reward\":"));
    std::vector<std::string> smoothed = flags;
    smoothed.insert(smoothed.end(), {"--label-smoothing", "0.1"});
    check_refused(run(begin("smoothed", smoothed)), "neither --label-smoothing nor --compat original");
    check_refused(run(begin("no_init", {"--init", folder / "none.safetensors"})),
                  "none.safetensors: cannot be read");
    const std::string resnet = (tests::source_dir() / "tests/golden/encoder_resnet50.pth").string();
    std::vector<std::string> other = begin("no_init", {"--init", last, "--encoder", "resnet50"});
    *(std::find(other.begin(), other.end(), "--weights") + 1) = resnet;
    check_refused(run(other), "it was trained with efficientnet_lite2, not with resnet50");
  }

  SUBCASE("augmentation") {
    const Result mirrored = run(train("mirrored", {"--steps", "2", "--augment", "mirror"}));
    CAPTURE(mirrored.err);
    CHECK(mirrored.code == 0);
    const Json mirror = read_json(run({"info", folder / "features.mirror.safetensors", "--json"}).out);
    CHECK(mirror.at("kind") == "feature cache");
    CHECK(run(train("original", {"--steps", "2", "--augment", "original", "--augment-views", "2"})).code ==
          0);
    CHECK(std::filesystem::exists(folder / "features.original1.safetensors"));
    CHECK(run(train("mild", {"--steps", "2", "--augment", "mild", "--augment-views", "2"})).code == 0);
    CHECK(std::filesystem::exists(folder / "features.mild1.safetensors"));
    const Result wrong = run(train("wrong", {"--augment", "upside-down"}));
    CHECK(wrong.code == 2);
    CHECK(has(wrong.err, "'upside-down' is none of none, mirror, mild, original"));
  }

  SUBCASE("captions and scores") {
    const Result evaluated = run({"eval", "--checkpoint", last, "--weights", weights, "--images", photos,
                                  "--captions", captions, "--list", folder / "val", "--beam", "2", "--json"});
    CAPTURE(evaluated.err);
    REQUIRE(evaluated.code == 0);
    CHECK(read_json(evaluated.out).at("images") == 2);
    // Bad photos among good ones.
    tests::write_text(folder / "cut.jpg", tests::read_text(bear).substr(0, 3000));
    tests::write_text(folder / "text.jpg", "no picture at all");
    const Result captioned =
        run({"caption", "--model", last, "--weights", weights, "--beam", "3", "--nbest", "2", "--json",
             folder / "cut.jpg", bear, folder / "text.jpg", folder / "missing.jpg", plane});
    CHECK(captioned.code == 2);
    const std::vector<Json> lines = tests::json_lines(captioned.out);
    REQUIRE(lines.size() == 5);
    for (size_t bad : {0, 2, 3}) {
      CHECK(lines[bad].find("error") != nullptr);
      CHECK(has(captioned.err, lines[bad].at("image").as_text()));
    }
    CHECK(lines[1].at("image") == bear);
    CHECK(lines[1].at("caption").is_text());
    CHECK(lines[1].at("log_probability").as_double() < 0);
    CHECK(lines[1].at("alternatives").size() == 1);
    CHECK(lines[4].at("milliseconds").as_double() > 0);
    const Result sheet =
        run({"caption", "--model", last, "--weights", weights, "--attention", folder / "sheet.png", bear});
    CHECK(sheet.code == 0);
    CHECK(has(sheet.out, "coco_000000000285.jpg: "));
    CHECK(has(sheet.out, " ms)\n"));
    CHECK(tests::read_text(folder / "sheet.png").starts_with("\x89PNG"));
    const Result sheets =
        run({"caption", "--model", last, "--weights", weights, "--attention", folder / "s.png", bear, plane});
    CHECK(sheets.code == 0);
    for (const char* name : {"s.png", "s_coco_000000000785.png"})
      CHECK(tests::read_text(folder / name).starts_with("\x89PNG"));
    const Result nowhere = run({"caption", "--model", last, "--attention", folder / "none/s.png", bear});
    check_refused(nowhere, "none/s.png: there is no folder");
    CHECK(nowhere.out.empty());
    check_refused(run({"caption", "--model", last, "--weights", weights, bear}, "", "/dev/full"),
                  "stdout: cannot be written");
    const Result classified =
        run({"classify", "--weights", weights, "--json", "--top", "3", folder / "cut.jpg", bear});
    CHECK(classified.code == 2);
    const std::vector<Json> classes = tests::json_lines(classified.out);
    REQUIRE(classes.size() == 2);
    CHECK(classes[0].find("error") != nullptr);
    REQUIRE(classes[1].at("classes").size() == 3);
    CHECK(classes[1].at("classes").at(0).at(0) == 294);  // brown bear
    CHECK(classes[1].at("classes").at(0).at(1).as_double() >
          classes[1].at("classes").at(1).at(1).as_double());
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
    const auto saved_step = [&](const std::string& out) {
      const Json info = read_json(run({"info", folder / (out + "/last.safetensors"), "--json"}).out);
      return info.at("metadata").at("training").at("step").as_int64();
    };
    int64_t saved = saved_step("stopped");
    CHECK(saved == number_behind(stopped.out, "stopped after step "));
    std::vector<std::string> on = endless;
    on.push_back("--resume");
    // Killed at different moments: the last checkpoint is whole, at most a step behind what was said, and
    // gone on from.
    for (const int milliseconds : {0, 7, 23, 61, 140}) {
      CAPTURE(milliseconds);
      tests::Program killed(train("stopped", on));
      CHECK(wait_for(killed, "goes on after step "));
      CHECK(wait_for(killed, " loss "));
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
      killed.send(SIGKILL);
      const Result result = killed.wait();
      CHECK(result.code == 128 + SIGKILL);
      CHECK(number_behind(result.out, "goes on after step ") == saved);
      saved = saved_step("stopped");
      CHECK(saved >= number_behind(result.out, " step ") - 1);
    }
    // There is one before the first step is done, too: here its profile cannot be written.
    std::vector<std::string> fresh = train("fresh", endless), unfinished = fresh;
    unfinished.insert(unfinished.end(), {"--steps", "1", "--profile", "/dev/full"});
    CHECK(run(unfinished).code == 2);
    CHECK(saved_step("fresh") == 0);
    tests::write_text(folder / "fresh/.last.safetensors.999999999-1.tmp", "left by a process that is gone");
    fresh.insert(fresh.end(), {"--resume", "--steps", "60"});
    CHECK(has(run(fresh).out, "goes on after step 0\n"));
    CHECK(saved_step("fresh") == 60);
    for (const auto& entry : std::filesystem::directory_iterator(folder / "fresh"))
      CHECK_FALSE(entry.path().extension() == ".tmp");
    // Killed some steps behind its last checkpoint, that of an epoch's end: what is made again is in the log
    // once.
    std::vector<std::string> far =
        train("far", {"--epochs", "5000", "--validate-every", "5000", "--checkpoint-every", "1000"});
    tests::Program lost(far);
    CHECK(wait_for(lost, "step 50/"));
    lost.send(SIGKILL);
    CHECK(lost.wait().code == 128 + SIGKILL);
    const int64_t kept = saved_step("far");
    far.insert(far.end(), {"--resume", "--steps", std::to_string(kept + 20)});
    CHECK(has(run(far).out, tensor::format("goes on after step {}\n", kept)));
    int64_t next = 0;
    for (const Json& line : tests::json_lines(tests::read_text(folder / "far/log.jsonl")))
      CHECK(line.at("step") == (line.find("validation") == nullptr ? ++next : kept + 20));
    CHECK(next == kept + 20);
    tests::Program again(train("stopped", on));
    CHECK(wait_for(again, " loss "));
    again.send(SIGINT);
    CHECK(again.wait().code == 130);
  }
}
