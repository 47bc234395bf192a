// prepare --device, classify --device.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tensor/io/safetensors.h"
#include "tests/cli/refused.h"
#include "tests/cli/training_run.h"
#include "tests/instrumented.h"

using namespace tests;

TEST_CASE("prepare and classify: a device that is not there, and none of that name") {
  const Folder folder;
  const std::string photo = assets() + "/photos/coco_000000000285.jpg";
  for (const std::string device : {"cuda:9", "gpu", "cuda:"}) {
    check_refused(run({"prepare", "--images", photo, "--out", folder / "out", "--device", device}), device);
    check_refused(run({"classify", photo, "--device", device}), device);
  }
  CHECK_FALSE(std::filesystem::exists(folder / "out"));
}

TEST_CASE("prepare and classify on a device, where there is one, give the CPU's numbers") {
  SKIP_IF_INSTRUMENTED();
  if (read_json(run({"info", "--json"}).out).at("devices").size() == 0) return;
  const Folder folder;
  const std::string photos = assets() + "/photos";
  write_text(folder / "list", "coco_000000000285.jpg\ncoco_000000000785.jpg\n");
  const auto features = [&](const std::string& device, const std::string& precision) {
    const std::string out = folder / (device + precision);
    const Result made = run({"prepare", "--images", photos, "--list", folder / "list", "--out", out,
                             "--photo-size", "64", "--device", device, "--precision", precision});
    CAPTURE(made.err);
    REQUIRE(made.code == 0);
    CHECK(has(made.out, "2 photos, 4 places of 1280 channels, encoded in " + precision));
    CHECK(has(made.err, "device " + device + ":0: ") == (device == "cuda"));
    return tensor::io::read_safetensors(out).tensors.at("features").to(tensor::DType::f32).to_vector<float>();
  };
  const auto distance = [](const std::vector<float>& a, const std::vector<float>& b) {
    double difference = 0, size = 0;
    for (size_t i = 0; i < a.size(); ++i) difference += std::pow(a[i] - b[i], 2), size += std::pow(b[i], 2);
    return a.size() == b.size() ? std::sqrt(difference / size) : 1;
  };
  const std::vector<float> want = features("cpu", "f32");
  CHECK(distance(features("cuda", "f32"), want) < 1e-3);
  CHECK(distance(features("cuda", "f16"), want) < 2e-2);
  // A cache that a device made in 16 bits goes on growing on a CPU.
  const Result grown = run({"prepare", "--images", photos, "--list", folder / "list", "--out",
                            folder / "cudaf16", "--photo-size", "64"});
  CHECK(grown.code == 0);
  CHECK(has(grown.err, "its features are in f16"));
  const auto classes = [&](const std::string& device) {
    const Result result = run(
        {"classify", photos + "/coco_000000000285.jpg", "--photo-size", "64", "--json", "--device", device});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return read_json(result.out).at("classes").at(0);
  };
  const auto here = classes("cpu"), there = classes("cuda");
  CHECK(there.at(0) == here.at(0));
  CHECK(std::abs(there.at(1).as_double() - here.at(1).as_double()) < 1e-4);
}
