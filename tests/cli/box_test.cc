// The models in the box, and photos by the hundred.
#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "tests/cli/refused.h"
#include "tests/cli/training_run.h"

namespace fs = std::filesystem;
using tensor::io::Json;
using tests::check_refused;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

TEST_CASE("the models in the box caption a photo, and are small") {
  const std::string model = tests::assets() + "/model/",
                    bear = tests::assets() + "/photos/coco_000000000285.jpg";
  uintmax_t bytes = 0;
  for (const char* name : {"efficientnet_lite2", "attention", "plain"})
    bytes += fs::file_size(model + name + ".safetensors");
  CHECK(bytes <= 36'000'000);

  const Result by_default = run({"caption", "--json", bear});
  CAPTURE(by_default.err);
  REQUIRE(by_default.code == 0);
  const Json attention = read_json(by_default.out);
  CHECK(attention.at("image") == bear);
  CHECK_FALSE(attention.at("caption").as_text().empty());
  const Json named = read_json(run({"caption", "--model", "attention", "--beam", "5", "--json", bear}).out);
  const Json plain = read_json(run({"caption", "--model", "plain", "--json", bear}).out);
  CHECK(tests::without(named, "milliseconds") == tests::without(attention, "milliseconds"));
  CHECK_FALSE(plain.at("caption").as_text().empty());
  CHECK(plain.at("log_probability") != attention.at("log_probability"));
  for (const char* name : {"attention", "plain"}) {
    const Json info = read_json(run({"info", model + name + ".safetensors", "--json"}).out);
    CHECK(info.at("kind") == "checkpoint");
  }
  // Both know two languages, which the original's search does not, and one vocabulary.
  for (const char* name : {"attention", "plain"}) {
    const Result all = run({"caption", "--model", name, "--lang", "all", bear});
    CHECK(has(all.out, "jpg: en: "));
    CHECK(has(all.out, "jpg: ar: "));
    check_refused(run({"caption", "--model", name, "--compat", "original", bear}),
                  "the original program knows no languages");
  }
  CHECK(run({"caption", "--ensemble", "plain", bear}).code == 0);
  const Folder folder;
  fs::create_directory(folder / "empty");
  const Result empty = run({"caption", folder / "empty"});
  CHECK(empty.code == 2);
  CHECK(has(empty.err, "no pictures in the folder"));
}

TEST_CASE(
    "without --weights, train, prepare and classify take the encoder in the box as if its file had been named") {
  const Folder folder;
  const std::string photos = tests::assets() + "/photos", bear = photos + "/coco_000000000285.jpg";
  const std::vector<std::string> given = {"--weights", tests::encoder_in_the_box()};
  const auto with = [](std::vector<std::string> all, const std::vector<std::string>& more) {
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const auto train = [&](const std::string& name, const std::vector<std::string>& more) {
    tests::write_text(folder / "train", "coco_000000000285.jpg\n");
    tests::write_text(folder / "val", "coco_000000000785.jpg\n");
    return with({"train", "--captions", photos + "/captions.csv", "--images", photos, "--train-list",
                 folder / "train", "--val-list", folder / "val", "--out", folder / name, "--model", "plain",
                 "--embedding", "8", "--hidden", "8", "--batch", "1"},
                more);
  };
  const auto prepare = [&](const std::string& name, const std::vector<std::string>& more) {
    return with({"prepare", "--images", bear, "--out", folder / name}, more);
  };
  const auto classify = [&](const std::vector<std::string>& more) { return with({"classify", bear}, more); };

  const std::string line =
      "imgcap: encoder in the box: " + fs::canonical(tests::encoder_in_the_box()).string() + "\n";
  const auto same = [&](const std::vector<std::string>& by_default, const std::vector<std::string>& named) {
    const Result a = run(by_default), b = run(named);
    CAPTURE(a.err);
    CAPTURE(b.err);
    REQUIRE(a.code == 0);
    REQUIRE(b.code == 0);
    CHECK(a.err == line + b.err);
    return a.out == b.out;
  };
  CHECK(same(classify({}), classify(given)));
  CHECK(same(prepare("a", {}), with(prepare("b", {}), given)) == false);  // they name their files
  CHECK(tests::read_text(folder / "a") == tests::read_text(folder / "b"));
  same(train("run a", {"--steps", "1"}), with(train("run b", {"--steps", "1"}), given));
  for (const char* file : {"features", "last", "best"}) {
    CAPTURE(file);
    const auto of = [&](const std::string& run) {
      return tests::read_text(folder / (run + "/" + file + ".safetensors"));
    };
    REQUIRE_FALSE(of("run a").empty());
    CHECK(of("run a") == of("run b"));
  }
  // The run goes on with either.
  CHECK(run(train("run b", {"--steps", "2", "--resume"})).code == 0);

  // Another encoder's weights are to be given.
  const std::vector<std::string> other = {"--encoder", "resnet50"};
  const std::string why =
      "imgcap: --encoder resnet50: its weights are not in the box; give them by --weights FILE\n";
  for (const auto& command : {classify(other), prepare("none", other), train("none", other)}) {
    const Result refused = run(command);
    CHECK(refused.code == 2);
    CHECK(refused.err == why);
    CHECK_FALSE(fs::exists(folder / "none"));
  }
  check_refused(run(prepare("none", {"--encoder", "foo"})), "'foo' is not known");
}

TEST_CASE("Ctrl-C while photos are encoded keeps what there is") {
  const Folder folder;
  fs::create_directory(folder / "photos");
  int copies = 0;
  for (int i = 0; i < 20; ++i)
    for (const auto& entry : fs::directory_iterator(tests::assets() + "/photos"))
      if (entry.path().extension() == ".jpg")
        fs::copy_file(entry.path(), folder / ("photos/" + std::to_string(++copies) + ".jpg"));
  REQUIRE(copies >= 1000);
  const std::string cache = folder / "features.safetensors";
  const std::vector<std::string> prepare = {
      "prepare", "--images", folder / "photos", "--weights", tests::encoder_in_the_box(),
      "--out",   cache,      "--threads",       "1"};
  // A slow machine has nothing to keep so soon: then it is given longer.
  for (int milliseconds = 1500; milliseconds < 100'000 && !fs::exists(cache); milliseconds *= 2) {
    tests::Program program(prepare);
    for (int i = 0; i < 60000 && !program.catches(SIGINT); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    program.send(SIGINT);
    const Result stopped = program.wait();
    CHECK(stopped.code == 130);
    CHECK(has(stopped.err, "imgcap: interrupted"));
  }
  REQUIRE(fs::exists(cache));
  const Json info = read_json(run({"info", cache, "--json"}).out);
  CAPTURE(info.dump());
  CHECK(info.at("kind") == "feature cache");
  const int64_t encoded = info.at("tensors").at(0).at("shape").at(0).as_int64();
  CHECK(encoded > 0);
  CHECK(encoded < copies);
}
