// --photo-size: what the encoder sees is of another size, and everything that goes by it says so.
#include <doctest/doctest.h>

#include "imgcap/training/checkpoint.h"
#include "tests/cli/refused.h"
#include "tests/cli/training_run.h"

using namespace tests;
using tensor::io::Json;

namespace {

int64_t places(const std::string& cache) {
  return read_json(run({"info", cache, "--json"}).out).at("tensors").at(0).at("shape").at(1).as_int64();
}

}  // namespace

TEST_CASE("photos of another size: features, models, and runs that begin from them") {
  const Folder folder;
  const std::string photos = assets() + "/photos", captions = photos + "/captions.csv",
                    bear = photos + "/coco_000000000285.jpg", own = folder / "own.safetensors",
                    small = folder / "small.safetensors";
  write_text(folder / "train", "coco_000000000285.jpg\ncoco_000000000785.jpg\n");
  write_text(folder / "val", "coco_000000000872.jpg\n");
  const auto prepare = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> all = {"prepare", "--images", photos, "--list", folder / "val", "--out", out};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  };
  REQUIRE(prepare(own, {}).code == 0);
  REQUIRE(prepare(small, {"--photo-size", "64"}).code == 0);
  CHECK(places(own) == 49);
  CHECK(places(small) == 4);
  check_refused(prepare(own, {"--photo-size", "64"}), "another way to make photos ready");
  check_refused(prepare(folder / "none", {"--photo-size", "31"}), "--photo-size 31: it is 32 or more");
  CHECK(prepare(folder / "none", {"--photo-size", "2049"}).code == 2);

  const auto train = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> all = {"train",        "--captions",     captions,     "--images",     photos,
                                    "--train-list", folder / "train", "--val-list", folder / "val", "--out",
                                    folder / out,   "--batch",        "2",          "--steps",      "1"};
    all.insert(all.end(), more.begin(), more.end());
    const Result result = run(all);
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return imgcap::load_checkpoint(folder / (out + "/best.safetensors"));
  };
  const auto first =
      train("first", {"--photo-size", "64", "--embedding", "8", "--hidden", "8", "--attention-width", "8"});
  CHECK(first.preprocessing.height == 64);
  CHECK(first.preprocessing.width == 64);
  CHECK(places(folder / "first/features.safetensors") == 4);
  const std::string model = folder / "first/best.safetensors";
  // What goes on from it sees the same, unless it is told otherwise.
  CHECK(train("second", {"--init", model}).preprocessing == first.preprocessing);
  const auto third = train("third", {"--init", model, "--photo-size", "96"});
  CHECK(third.preprocessing.height == 96);
  CHECK(third.encoder_key != first.encoder_key);
  CHECK(places(folder / "third/features.safetensors") == 9);

  // A model's features are of its size, and no others are taken for them.
  const auto eval = [&](const std::string& cache) {
    return run({"eval", "--checkpoint", model, "--images", photos, "--captions", captions, "--list",
                folder / "val", "--features", cache, "--json"});
  };
  CHECK(eval(small).code == 0);
  check_refused(eval(own), "another way to make photos ready");

  const auto top = [&](const std::string& size) {
    return tests::without(read_json(run({"classify", "--photo-size", size, "--json", bear}).out),
                          "milliseconds");
  };
  CHECK(top("0") == top("224"));
  CHECK(top("0") != top("260"));
}
