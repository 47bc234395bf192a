// An encoder that a user brings, in PyTorch's own format, through the program.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "tests/cli/training_run.h"
#include "tests/golden.h"

using tensor::io::Json;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

// The golden files are PyTorch's: tests/golden/make_encoder_pth.py.
TEST_CASE("classify by torchvision's ResNet50 as PyTorch saved it, and by what convert makes of it") {
  const std::string golden = (tests::source_dir() / "tests/golden/encoder_resnet50").string();
  const auto expected = tests::golden("encoder_resnet50").at("probabilities").to_vector<float>();
  std::vector<int> order(expected.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int a, int b) {
    return expected[static_cast<size_t>(a)] > expected[static_cast<size_t>(b)];
  });
  const Folder folder;
  const Result converted = run({"convert", golden + ".pth", folder / "resnet50.safetensors"});
  CAPTURE(converted.err);
  REQUIRE(converted.code == 0);
  for (const std::string& weights : {golden + ".pth", folder / "resnet50.safetensors"}) {
    CAPTURE(weights);
    const Result result = run(
        {"classify", "--encoder", "resnet50", "--weights", weights, "--top", "5", "--json", golden + ".png"});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    const Json classes = read_json(result.out).at("classes");
    REQUIRE(classes.size() == 5);
    for (size_t i = 0; i < 5; ++i) {
      CHECK(classes.at(i).at(0) == order[i]);
      CHECK(std::abs(classes.at(i).at(1).as_double() - expected[static_cast<size_t>(order[i])]) < 1e-4);
    }
  }
  const Result wrong =
      run({"classify", "--encoder", "resnet18", "--weights", golden + ".pth", golden + ".png"});
  CHECK(wrong.code == 2);
  CHECK(has(wrong.err, "encoder_resnet50.pth: "));
  CHECK(std::count(wrong.err.begin(), wrong.err.end(), '\n') == 1);
}
