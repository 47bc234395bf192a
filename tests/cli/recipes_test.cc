// The recipes for Flickr30k on made-up photos: everything but --batch, --epochs, lists and paths is theirs.
#include <doctest/doctest.h>

#include "imgcap/models/encoder.h"
#include "tensor/io/safetensors.h"
#include "tensor/kernels.h"
#include "tests/cli/training_run.h"
#include "tests/instrumented.h"

using tests::Folder;
using tests::has;
using tests::Result;
using tests::run;

namespace {

// An uncompressed picture of stripes; pictures are told apart by their content, so it may be called .jpg.
std::string made_picture(int kind) {
  constexpr int kWidth = 64, kHeight = 48, kBytes = 54 + 3 * kWidth * kHeight;
  std::string bmp(54, '\0');
  const auto put = [&](size_t at, uint32_t value) {
    for (size_t i = 0; i < 4; ++i) bmp[at + i] = static_cast<char>(value >> (8 * i) & 255);
  };
  bmp[0] = 'B', bmp[1] = 'M', bmp[26] = 1, bmp[28] = 24;
  put(2, kBytes), put(10, 54), put(14, 40), put(18, kWidth), put(22, kHeight);
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth; ++x)
      for (int c = 0; c < 3; ++c) bmp += static_cast<char>((kind + c) * x * 4 + y * (kind % 3) * 5);
  return bmp;
}

// ResNet50 with random weights; the residual branches are damped, as 16 of them in sum would overflow 16
// bits.
void write_resnet50(const std::string& file) {
  const auto encoder = imgcap::make_encoder("resnet50");
  nn::StateDict state = encoder->state_dict();
  for (auto& [name, value] : state)
    if (name.ends_with("bn3.weight")) value = tensor::Tensor::full(value.shape(), 0.1);
  tensor::io::write_safetensors(file, state, {});
}

}  // namespace

TEST_CASE("the recipes for Flickr30k train on photos with their names") {
  SKIP_IF_INSTRUMENTED();
  const Folder folder;
  std::filesystem::create_directory(folder / "photos");
  const std::vector<std::string> names = {"1000092795.jpg", "10002456.jpg",   "1000268201.jpg",
                                          "1000344755.jpg", "1000366164.jpg", "1000523639.jpg"};
  std::string captions = "image_name| comment_number| comment\n", train, val;
  for (size_t i = 0; i < names.size(); ++i) {
    tests::write_text(folder / ("photos/" + names[i]), made_picture(static_cast<int>(i) + 1));
    for (int k = 0; k < 5; ++k)
      captions += names[i] + "| " + std::to_string(k) + "| Two young guys with shaggy hair look at stripe " +
                  std::to_string(i) + " .\n";
    (i < 4 ? train : val) += names[i] + "\n";
  }
  tests::write_text(folder / "results.csv", captions);
  tests::write_text(folder / "train.txt", train);
  tests::write_text(folder / "val.txt", val);
  write_resnet50(folder / "resnet50.safetensors");
  for (const std::string recipe : {"flickr30k_attention", "flickr30k_plain"}) {
    CAPTURE(recipe);
    const std::string file = (tests::source_dir() / "examples/recipes" / (recipe + ".toml")).string();
    const Result result = run({"train",
                               "--config",
                               file,
                               "--captions",
                               folder / "results.csv",
                               "--images",
                               folder / "photos",
                               "--train-list",
                               folder / "train.txt",
                               "--val-list",
                               folder / "val.txt",
                               "--weights",
                               folder / "resnet50.safetensors",
                               "--features",
                               folder / "features.safetensors",
                               "--out",
                               folder / recipe,
                               "--batch",
                               "4",
                               "--epochs",
                               "1",
                               "--threads",
                               "2"});
    CAPTURE(result.err);
    CHECK(result.code == 0);
    CHECK(result.err.empty());
    CHECK(has(result.out, "4 photos with 20 captions to train on, 2 to validate"));
    CHECK(has(result.out, "epoch 1: validation loss"));
    CHECK(std::filesystem::exists(folder / (recipe + "/best.safetensors")));
    std::filesystem::remove_all(folder / recipe);
  }
}
