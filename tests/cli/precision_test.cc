// Training in 16 bits on the photos in the box, with the features of its encoder.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "tensor/io/safetensors.h"
#include "tensor/native_types.h"
#include "tests/cli/training_run.h"
#include "tests/instrumented.h"

using tensor::io::Json;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

namespace {

Result train(const Folder& folder, const std::string& out, const std::vector<std::string>& more) {
  const std::string photos = tests::assets() + "/photos";
  std::vector<std::string> all = {"--captions",
                                  photos + "/captions.csv",
                                  "--images",
                                  photos,
                                  "--train-list",
                                  photos + "/train.txt",
                                  "--val-list",
                                  photos + "/val.txt",
                                  "--batch",
                                  "8",
                                  "--epochs",
                                  "50",
                                  "--lr",
                                  "1e-2",
                                  "--beam",
                                  "1",
                                  "--validate-every",
                                  "50"};
  all.insert(all.end(), more.begin(), more.end());
  Result result = run(tests::train_arguments(folder, out, all, 32));
  CAPTURE(result.err);
  CHECK(result.code == 0);
  return result;
}

std::vector<Json> steps(const Folder& folder, const std::string& out) {
  std::vector<Json> lines = tests::json_lines(tests::read_text(folder / (out + "/log.jsonl")));
  std::erase_if(lines, [](const Json& line) { return line.find("validation") != nullptr; });
  return lines;
}

double worst_difference(const std::vector<Json>& a, const std::vector<Json>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i].at("loss").as_double(), y = b[i].at("loss").as_double();
    worst = std::max(worst, std::fabs(x - y) / x);
  }
  return worst;
}

}  // namespace

TEST_CASE("the loss curves of f16 and bf16 follow f32's") {
  SKIP_IF_INSTRUMENTED();
  const Folder folder;
  for (const std::string model : {"attention", "plain"}) {
    CAPTURE(model);
    // Fed by the captions alone: one flipped argmax would feed another word and say nothing of precision.
    for (const std::string precision : {"f32", "f16", "bf16"}) {
      const Result result =
          train(folder, model + precision,
                {"--model", model, "--steps", "48", "--teacher-forcing", "1", "--precision", precision});
      CHECK(has(result.out, " scale 65536 skipped 0 ") == (precision == "f16"));
    }
    const auto f32 = steps(folder, model + "f32"), f16 = steps(folder, model + "f16"),
               bf16 = steps(folder, model + "bf16");
    REQUIRE(f32.size() == 48);
    CHECK(f32.back().at("loss").as_double() <
          0.8 * f32.front().at("loss").as_double());  // there is a curve to follow
    const double half = worst_difference(f32, f16), brain = worst_difference(f32, bf16);
    MESSAGE(model << ": at most " << half << " (f16) and " << brain << " (bf16) of the loss from f32's");
    // The bands: a unit in the last place, 2^-10 and 2^-7, of the loss. A step's rounding errors are half of
    // that an operand and of either sign; what they do to the weights adds up over the steps. Measured: a
    // tenth to a third of it.
    CHECK(half < 0x1p-10);
    CHECK(brain < 0x1p-7);
    // They did round, and bf16 more.
    CHECK(half > 1e-6);
    CHECK(brain > half);
    CHECK(f32.back().find("loss_scale") == nullptr);
    CHECK(bf16.back().find("loss_scale") == nullptr);
    for (const Json& line : f16) {
      CHECK(line.at("loss_scale") == 65536);
      CHECK(line.at("skipped_steps") == 0);
      CHECK(line.at("skipped") == false);
    }
  }
}

TEST_CASE("gradients that overflow skip the step and halve the scale, and a resumed run goes on with it") {
  SKIP_IF_INSTRUMENTED();
  const Folder folder;
  // 2^32: times a gradient of 0.01 it is over f16's greatest number, 65504.
  const std::vector<std::string> options = {"--precision", "f16", "--loss-scale", "4294967296"};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = options;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const Result whole = train(folder, "whole", with({"--steps", "24"}));
  const auto lines = steps(folder, "whole");
  REQUIRE(lines.size() == 24);
  CHECK(lines[0].at("skipped") == true);
  CHECK(lines[0].at("loss_scale") == 0x1p31);
  double scale = 0x1p32;
  int64_t skipped = 0;
  for (const Json& line : lines) {
    const bool bad = line.at("skipped").as_bool();
    if (bad) scale /= 2, ++skipped;
    CHECK(line.at("loss_scale") == scale);
    CHECK(line.at("skipped_steps") == skipped);
    CHECK(line.at("gradient_norm").is_null() == bad);
  }
  CHECK(skipped >= 3);
  CHECK(skipped <= 20);  // it recovers
  CHECK(lines.back().at("skipped") == false);
  CHECK(has(whole.out, "skipped " + std::to_string(skipped)));

  // Stopped among the skipped steps.
  train(folder, "parts", with({"--steps", "2"}));
  train(folder, "parts", with({"--steps", "24", "--resume"}));
  const auto parts = steps(folder, "parts");
  REQUIRE(parts.size() == 24);
  for (size_t i = 0; i < 24; ++i)
    for (const char* key : {"loss", "gradient_norm", "loss_scale", "skipped_steps"})
      CHECK(parts[i].at(key) == lines[i].at(key));
  const auto a = tensor::io::read_safetensors(folder / "whole/last.safetensors").tensors;
  const auto b = tensor::io::read_safetensors(folder / "parts/last.safetensors").tensors;
  REQUIRE(a.size() == b.size());
  for (const auto& [name, tensor] : a) {
    CAPTURE(name);
    REQUIRE(b.contains(name));
    CHECK(tensor.bytes() == b.at(name).bytes());
    CHECK(std::memcmp(tensor.raw(), b.at(name).raw(), static_cast<size_t>(tensor.bytes())) == 0);
  }
}

TEST_CASE("precision auto becomes f32 or bf16, and a run that goes on keeps what it has") {
  const Folder folder;
  const Result begun = train(folder, "auto", {"--steps", "2", "--precision", "auto"});
  const bool bf16 = has(begun.out, "precision bf16: a step's product in bf16 takes 0.");
  CHECK(bf16 != has(begun.out, "precision f32: "));
  if (!tensor::has_native_products(tensor::DType::bf16))
    CHECK(has(begun.out, "precision f32: bf16 is emulated here"));
  const std::string chosen = bf16 ? "bf16" : "f32";
  train(folder, "auto", {"--steps", "4", "--precision", "auto", "--resume"});
  train(folder, "chosen", {"--steps", "4", "--precision", chosen});
  const auto a = steps(folder, "auto"), b = steps(folder, "chosen");
  REQUIRE(a.size() == 4);
  REQUIRE(b.size() == 4);
  for (size_t i = 0; i < 4; ++i) CHECK(a[i].at("loss") == b[i].at("loss"));
  // A run in f16 goes on in f16.
  train(folder, "half", {"--steps", "2", "--precision", "f16"});
  train(folder, "half", {"--steps", "4", "--precision", "auto", "--resume"});
  CHECK(steps(folder, "half").back().find("loss_scale") != nullptr);
}

TEST_CASE("precision: what is refused") {
  const Folder folder;
  const std::string photos = tests::assets() + "/photos";
  const auto refused = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"--captions", photos + "/captions.csv", "--images", photos};
    all.insert(all.end(), more.begin(), more.end());
    const Result result = run(tests::train_arguments(folder, "bad", all));
    CHECK(result.code == 2);
    return result.err;
  };
  CHECK(has(refused({"--precision", "f8"}), "precision"));
  CHECK(has(refused({"--precision", "bf16", "--loss-scale", "8"}),
            "--loss-scale is for --precision f16; bf16 needs none"));
  CHECK(has(refused({"--precision", "f16", "--loss-scale", "0"}), "loss-scale"));
  CHECK(has(refused({"--precision", "f16", "--loss-scale", "1e39"}), "loss scale is 1e+39"));
}
