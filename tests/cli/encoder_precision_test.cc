// prepare --precision, eval --precision: features of an encoder in 16 bits.
#include <doctest/doctest.h>

#include <cmath>

#include "tensor/io/safetensors.h"
#include "tests/cli/refused.h"
#include "tests/cli/training_run.h"
#include "tests/instrumented.h"

using tests::check_refused;
using tests::Folder;
using tests::has;
using tests::Result;
using tests::run;

TEST_CASE("prepare in bf16 makes a cache of its own, near f32's") {
  SKIP_IF_INSTRUMENTED();
  const Folder folder;
  const std::string photos = tests::assets() + "/photos";
  const auto prepare = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> all = {"prepare", "--images",  photos, "--weights", tests::encoder_in_the_box(),
                                    "--out",   folder / out};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  };
  const Result exact = prepare("f32.safetensors", {}),
               rounded = prepare("bf16.safetensors", {"--precision", "bf16"});
  REQUIRE(exact.code == 0);
  REQUIRE(rounded.code == 0);
  CHECK_FALSE(has(exact.err, "precision"));
  CHECK(has(rounded.err, "precision bf16; here bf16 "));
  const auto values = [&](const std::string& file) {
    return tensor::io::read_safetensors(folder / file).tensors.at("features").to(tensor::DType::f32);
  };
  const auto a = values("f32.safetensors").to_vector<float>(),
             b = values("bf16.safetensors").to_vector<float>();
  REQUIRE(a.size() == b.size());
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) difference += std::pow(a[i] - b[i], 2), size += std::pow(a[i], 2);
  MESSAGE("bf16's features are " << std::sqrt(difference / size) << " of f32's from them");
  // 50 layers round to 8 bits. Measured: 0.076, by oneDNN as by our own kernels with rounded numbers, which know
  // nothing of each other.
  CHECK(std::sqrt(difference / size) < 0.1);
  CHECK(difference > 0);
  // One file never has both.
  const Result followed = prepare("bf16.safetensors", {});
  CHECK(followed.code == 0);
  CHECK(has(followed.err, "bf16.safetensors: its features are in bf16, and so is what is added"));
  check_refused(prepare("bf16.safetensors", {"--precision", "f32"}),
                "bf16.safetensors: its features are in bf16, and f32 is asked for");
  check_refused(prepare("f32.safetensors", {"--precision", "bf16"}),
                "f32.safetensors: its features are in f32, and bf16 is asked for");
  // What is said of them.
  CHECK(has(exact.out, "f32.safetensors: 60 photos, 49 places of 1280 channels, encoded in f32\n"));
  CHECK(has(followed.out, " 1280 channels, encoded in bf16\n"));
  const auto described = [&](const std::string& file) {
    const auto json = tests::read_json(run({"info", folder / file, "--json"}).out).at("metadata");
    return json.at("arithmetic").as_text() + " " + json.at("key").as_text();
  };
  const std::string key = described("f32.safetensors").substr(4);
  CHECK(key.starts_with("efficientnet_lite2 "));
  CHECK(described("bf16.safetensors") == "bf16 " + key);
  CHECK(has(run({"info", folder / "bf16.safetensors"}).out, "\n  arithmetic: bf16\n"));
  // Of the time when the key said it.
  tensor::io::SafetensorsFile old = tensor::io::read_safetensors(folder / "bf16.safetensors");
  old.metadata.erase("arithmetic");
  old.metadata["key"] += " bf16 arithmetic";
  tensor::io::write_safetensors(folder / "old.safetensors", old.tensors, old.metadata);
  CHECK(described("old.safetensors") == "bf16 " + key);
  CHECK(prepare("old.safetensors", {"--precision", "bf16"}).code == 0);
  check_refused(prepare("old.safetensors", {"--precision", "f32"}),
                "its features are in bf16, and f32 is asked for");
  check_refused(prepare("no.safetensors", {"--precision", "f64"}),
                "--precision: f64 not in {f32,f16,bf16,auto}");
  for (const char* verb : {"prepare", "eval"})
    CHECK(has(run({verb, "--help"}).out, "--precision TEXT:{f32,f16,bf16,auto}=f32"));
  // auto is one of them, and says why.
  const Result chosen = prepare("auto.safetensors", {"--precision", "auto"});
  CHECK(chosen.code == 0);
  CHECK(has(chosen.err, "precision bf16: ") != has(chosen.err, "precision f32: "));
  CHECK(has(prepare("bf16.safetensors", {"--precision", "auto"}).out, "bf16.safetensors: "));
}

TEST_CASE("eval in bf16 uses such a cache") {
  const Folder folder;
  const std::string photos = tests::assets() + "/photos";
  const auto eval = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"eval",
                                    "--checkpoint",
                                    "plain",
                                    "--images",
                                    photos,
                                    "--captions",
                                    photos + "/captions.csv",
                                    "--list",
                                    photos + "/val.txt",
                                    "--beam",
                                    "1",
                                    "--features",
                                    folder / "cache.safetensors"};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  };
  CHECK(eval({"--precision", "bf16"}).code == 0);
  CHECK(eval({"--precision", "bf16"}).code == 0);
  CHECK(has(eval({}).err, "its features are in bf16"));
  check_refused(eval({"--precision", "f32"}), "its features are in bf16, and f32 is asked for");
}
