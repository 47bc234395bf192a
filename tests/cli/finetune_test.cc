// Training the encoder's last stages by the program, and using what comes of it.
#include <doctest/doctest.h>

#include <algorithm>

#include "tensor/io/safetensors.h"
#include "tests/cli/refused.h"
#include "tests/cli/training_run.h"
#include "tests/instrumented.h"
#include "tests/tensor/reference.h"

using tensor::io::Json;
using tests::check_refused;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

TEST_CASE("fine-tune, eval, caption, convert") {
  SKIP_IF_INSTRUMENTED();
  const Folder folder;
  const std::string photos = tests::assets() + "/photos", bear = photos + "/coco_000000000285.jpg";
  tests::write_text(folder / "captions",
                    "image_name| comment_number| comment\n"
                    "coco_000000000285.jpg| 0| a photo of a thing\n"
                    "coco_000000000785.jpg| 0| a photo of a thing\n"
                    "coco_000000000872.jpg| 0| a photo of a thing\n"
                    "coco_000000000885.jpg| 0| a photo of one thing\n");
  tests::write_text(folder / "train", "coco_000000000285.jpg\ncoco_000000000785.jpg\n");
  tests::write_text(folder / "val", "coco_000000000872.jpg\ncoco_000000000885.jpg\n");
  const auto train = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> all = {
        "--captions", folder / "captions", "--images", photos, "--train-list",    folder / "train",
        "--val-list", folder / "val",      "--batch",  "2",    "--min-frequency", "1"};
    all.insert(all.end(), more.begin(), more.end());
    return run(tests::train_arguments(folder, out, all));
  };
  const auto refused = [&](const std::vector<std::string>& more, const std::string& sentence) {
    const Result result = train("refused", more);
    CAPTURE(result.err);
    CHECK(result.code == 2);
    CHECK(has(result.err, sentence));
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    CHECK(result.out.empty());
    CHECK_FALSE(std::filesystem::exists(folder / "features.safetensors"));
  };
  refused({"--finetune", "7"}, "efficientnet_lite2: 7 stages to train, there are 5");
  refused({"--finetune", "-1"}, "-1 stages of the encoder");
  refused({"--finetune", "1", "--augment", "original"}, "does not go with --finetune");
  refused({"--finetune", "5", "--augment", "mirror"}, "is too large to be kept for every changed photo");
  refused({"--finetune", "1", "--schedule", "cosine", "--min-lr", "2e-5"}, "the least learning rate 2e-05");
  refused({"--finetune", "1", "--encoder-mode", "train"},
          "--encoder-mode train is for an encoder that is not trained");
  check_refused(train("refused", {"--finetune-lr", "1e-4"}), "--finetune-lr requires --finetune");

  const std::vector<std::string> tuned = {"--finetune",
                                          "1",
                                          "--finetune-lr",
                                          "1e-3",
                                          "--lr",
                                          "0.02",
                                          "--epochs",
                                          "24",
                                          "--validate-every",
                                          "24",
                                          "--teacher-forcing",
                                          "1",
                                          "--layer-dropout",
                                          "0",
                                          "--beam",
                                          "2"};
  const Result trained = train("run", tuned);
  CAPTURE(trained.err);
  REQUIRE(trained.code == 0);
  CHECK(has(trained.out, " of the encoder; 2 photos with 2 captions to train on"));

  // What the trained stages take is kept, apart from features; a run with mirror images adds theirs.
  CHECK(std::filesystem::exists(folder / "features.before1.safetensors"));
  CHECK_FALSE(std::filesystem::exists(folder / "features.safetensors"));
  std::vector<std::string> mirrored = tuned;
  mirrored[7] = "1";
  mirrored.insert(mirrored.end(), {"--augment", "mirror"});
  REQUIRE(train("mirrored", mirrored).code == 0);
  CHECK(std::filesystem::exists(folder / "features.before1.mirror.safetensors"));

  // The scores of the run's validation are those of what it left.
  const std::string best = folder / "run/best.safetensors";
  const Json log = tests::json_lines(tests::read_text(folder / "run/log.jsonl")).back();
  REQUIRE(log.at("validation") == true);
  CHECK(log.at("ROUGE-L").as_double() > 0);  // else there is nothing to compare
  const Result evaluated = run({"eval", "--checkpoint", best, "--images", photos, "--captions",
                                folder / "captions", "--list", folder / "val", "--beam", "2", "--json"});
  CAPTURE(evaluated.err);
  REQUIRE(evaluated.code == 0);
  const Json scores = read_json(evaluated.out);
  for (const char* name : {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr"}) {
    CAPTURE(name);
    CHECK(scores.at(name).as_double() == log.at(name).as_double());
  }

  // A cache of the encoder that training began with does not fit, and stays as it is.
  REQUIRE(run({"prepare", "--images", photos, "--out", folder / "features.safetensors"}).code == 0);
  const std::string before = tests::read_text(folder / "features.safetensors");
  const Result cached =
      run({"eval", "--checkpoint", best, "--images", photos, "--captions", folder / "captions", "--list",
           folder / "val", "--features", folder / "features.safetensors", "--json"});
  CHECK(cached.code == 2);
  CHECK(has(cached.err, "these features are of another encoder"));
  CHECK(tests::read_text(folder / "features.safetensors") == before);

  const Result other = run({"caption", "--model", best, "--weights", tests::encoder_in_the_box(), bear});
  CHECK(other.code == 2);
  CHECK(has(other.err, "leave out --weights"));
  const auto caption = [&](const std::string& model) {
    const Result result = run({"caption", "--model", model, "--json", bear});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return read_json(result.out).at("log_probability").as_double();
  };
  for (const std::string format : {"f16", "i8"}) {
    CAPTURE(format);
    const std::string small = folder / (format + ".safetensors");
    REQUIRE(run({"convert", best, small, "--format", format}).code == 0);
    CHECK(caption(small) == doctest::Approx(caption(best)).epsilon(0.05));
    const auto tensors = tensor::io::read_safetensors(small).tensors;
    CHECK(tensors.contains("encoder._conv_head.weight") == (format == "f16"));
    CHECK(tensors.contains("encoder._conv_head.weight#rows") == (format == "i8"));
  }
  // Without what the encoder in the box has: the same model.
  const std::string shared = folder / "shared.safetensors";
  const Result sharing = run({"convert", best, shared, "--share-encoder"});
  CAPTURE(sharing.err);
  REQUIRE(sharing.code == 0);
  CHECK(has(sharing.out, " tensors are those of the encoder in the box, and are left out"));
  CHECK(std::filesystem::file_size(shared) < std::filesystem::file_size(best) - (4 << 20));
  CHECK(caption(shared) == caption(best));
  const Result again = run({"eval", "--checkpoint", shared, "--images", photos, "--captions",
                            folder / "captions", "--list", folder / "val", "--beam", "2", "--json"});
  CHECK(read_json(again.out).at("CIDEr").as_double() == scores.at("CIDEr").as_double());
  check_refused(run({"convert", tests::assets() + "/model/plain.safetensors", shared, "--share-encoder"}),
                "it has no encoder of its own");

  // Another run goes on from it, with its encoder, which that leaves as it is.
  std::vector<std::string> begun = tests::train_arguments(
      folder, "begun",
      {"--captions", folder / "captions", "--images", photos, "--train-list", folder / "train", "--val-list",
       folder / "val", "--batch", "2", "--epochs", "1", "--lr", "1e-3", "--init", best});
  const auto width = std::find(begun.begin(), begun.end(), "--embedding");
  begun.erase(width, width + 6);  // the model's
  check_refused(run(begun),
                "it has the weights of its encoder, which was trained with it; leave out --weights");
  begun.erase(begun.begin() + 1, begun.begin() + 3);
  check_refused(run(begun), "these features are of another encoder");
  *(std::find(begun.begin(), begun.end(), "--features") + 1) = folder / "own.safetensors";
  const Result second = run(begun);
  CAPTURE(second.err);
  REQUIRE(second.code == 0);
  CHECK_FALSE(has(second.err, "encoder in the box"));
  const auto before_it = tensor::io::read_safetensors(best).tensors,
             after_it = tensor::io::read_safetensors(folder / "begun/best.safetensors").tensors;
  for (const auto& [name, value] : before_it) {
    CAPTURE(name);
    if (name.starts_with("encoder.")) CHECK(tests::same_bits(after_it.at(name), value));
  }

  std::vector<std::string> on = tuned;
  on[7] = "25";
  on.push_back("--resume");
  const Result resumed = train("run", on);
  CAPTURE(resumed.err);
  CHECK(resumed.code == 0);
  CHECK(has(resumed.out, "goes on after step 24"));
  on[3] = "1e-4";
  CHECK(has(train("run", on).err, "settings differ"));
}
