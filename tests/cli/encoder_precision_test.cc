// prepare --precision, eval --precision: features of an encoder in 16 bits.
#include <doctest/doctest.h>

#include <cmath>

#include "tensor/io/safetensors.h"
#include "tests/cli/refused.h"
#include "tests/cli/training_run.h"

using tests::check_refused;
using tests::Folder;
using tests::has;
using tests::Result;
using tests::run;

TEST_CASE("prepare in bf16 makes a cache of its own, near f32's") {
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
  check_refused(prepare("bf16.safetensors", {"--precision", "f32"}), "another precision");
  check_refused(prepare("f32.safetensors", {"--precision", "bf16"}), "another precision");
  check_refused(prepare("no.safetensors", {"--precision", "f16"}), "an encoder computes in f32 or bf16");
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
  check_refused(eval({"--precision", "f32"}), "another precision");
}
