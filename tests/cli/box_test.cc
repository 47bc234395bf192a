// The models in the box, and photos by the hundred.
#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "tests/cli/training_run.h"

namespace fs = std::filesystem;
using tensor::io::Json;
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
  const std::string original =
      read_json(run({"caption", "--compat", "original", "--json", bear}).out).at("caption").as_text();
  CHECK(original.starts_with("<sos>"));
  CHECK(original.ends_with("<eos>"));
  const Folder folder;
  fs::create_directory(folder / "empty");
  const Result empty = run({"caption", folder / "empty"});
  CHECK(empty.code == 2);
  CHECK(has(empty.err, "no pictures in the folder"));
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
  tests::Program program(prepare);
  for (int i = 0; i < 60000 && !program.catches(SIGINT); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  program.send(SIGINT);
  const Result stopped = program.wait();
  CHECK(stopped.code == 130);
  CHECK(has(stopped.err, "imgcap: interrupted"));
  REQUIRE(fs::exists(cache));
  const Json info = read_json(run({"info", cache, "--json"}).out);
  CAPTURE(info.dump());
  CHECK(info.at("kind") == "feature cache");
  const int64_t encoded = info.at("tensors").at(0).at("shape").at(0).as_int64();
  CHECK(encoded > 0);
  CHECK(encoded < copies);
}
