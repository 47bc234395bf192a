// --compat original by the program.
#include <doctest/doctest.h>

#include <cmath>

#include "tests/cli/refused.h"
#include "tests/cli/training_run.h"

using tests::check_refused;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

namespace {

// A word of its own for each number: "waaa", "waab", ...
std::string word(int i) {
  std::string letters = "w...";
  for (size_t k = 3; k > 0; --k, i /= 26) letters[k] = static_cast<char>('a' + i % 26);
  return letters;
}

// As many tokens as the original's vocabulary has.
std::string made_vocabulary() {
  std::string text = "\"<unk>\"\n\"<pad>\"\n\"<sos>\"\n\"<eos>\"\n";
  for (int i = 0; i < 4092; ++i) text += "\" " + word(i) + "\"\n";
  return text;
}

// A hundred captions of eight words, all different, for two photos in turn.
std::string made_captions(const std::string& first, const std::string& second) {
  std::string text;
  for (int c = 0; c < 100; ++c) {
    text += (c % 2 == 0 ? first : second) + "|" + std::to_string(c / 2) + "|";
    for (int w = 0; w < 8; ++w) text += word(8 * c + w) + (w < 7 ? " " : "\n");
  }
  return text;
}

std::vector<std::string> joined(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const std::string kHeader = "image_name| comment_number| comment\n";
const std::string kBear = "coco_000000000285.jpg", kPlane = "coco_000000000785.jpg",
                  kThird = "coco_000000000872.jpg";

}  // namespace

TEST_CASE("--compat original: the first loss, and what the <sos> slot adds to it") {
  const Folder folder;
  tests::write_text(folder / "captions", kHeader + made_captions(kBear, kPlane) + kThird + "|0|waaa waab\n");
  tests::write_text(folder / "train", kBear + "\n" + kPlane + "\n");
  tests::write_text(folder / "val", kThird + "\n");
  tests::write_text(folder / "vocabulary", made_vocabulary());
  const std::string photos = tests::assets() + "/photos";
  for (const std::string model : {"attention", "plain"}) {
    CAPTURE(model);
    const auto train = [&](const std::string& out, const std::vector<std::string>& more) {
      const std::vector<std::string> all = {"--captions",        folder / "captions",
                                            "--images",          photos,
                                            "--train-list",      folder / "train",
                                            "--val-list",        folder / "val",
                                            "--vocabulary",      folder / "vocabulary",
                                            "--model",           model,
                                            "--batch",           "2",
                                            "--teacher-forcing", "1",
                                            "--layer-dropout",   "0"};
      return run(tests::train_arguments(folder, out, joined(all, more), 256));
    };
    const auto first_loss = [&](const std::string& out) {
      return tests::json_lines(tests::read_text(folder / (out + "/log.jsonl"))).at(0).at("loss").as_double();
    };
    const std::string compat = model + "_original", correct = model + "_correct";
    // With the encoder in evaluation mode and the photos as they are in both, the losses can be compared.
    const std::vector<std::string> as_original = {"--compat", "original",  "--encoder-mode",
                                                  "eval",     "--augment", "none"};
    const Result first = train(compat, joined({"--steps", "1"}, as_original));
    CAPTURE(first.err);
    REQUIRE(first.code == 0);
    REQUIRE(train(correct, {"--steps", "1"}).code == 0);
    // A caption has 9 targets. In the attention model its slot adds exactly ln(4096) (the published run
    // begins with 8.3107); the plain one learns to say <sos> there.
    if (model == "attention") {
      CHECK(std::fabs(first_loss(compat) - 8.318) <= 0.01);
      CHECK(first_loss(compat) ==
            doctest::Approx((9 * first_loss(correct) + std::log(4096.0)) / 10).epsilon(1e-6));
    } else {
      CHECK(first_loss(compat) != first_loss(correct));
    }
    // The settings go with the run.
    CHECK(train(compat, joined({"--steps", "2", "--resume"}, as_original)).code == 0);
    const Result other = train(compat, {"--steps", "3", "--resume"});
    CHECK(other.code == 2);
    CHECK(has(other.err, "settings differ"));

    const auto eval = [&](const std::vector<std::string>& more) {
      return run(joined({"eval", "--checkpoint", folder / (compat + "/last.safetensors"), "--weights",
                         tests::encoder_in_the_box(), "--images", photos, "--captions", folder / "captions",
                         "--list", folder / "val", "--json", "--beam", "1"},
                        more));
    };
    const Result scores = eval({"--compat", "original"});
    CAPTURE(scores.err);
    REQUIRE(scores.code == 0);
    CHECK(read_json(scores.out).at("protocol") == "original");
    CHECK(scores.out == eval({"--protocol", "original"}).out);
    check_refused(eval({"--compat", "original", "--protocol", "standard"}), "excludes");
    // What the run's validation said: the original's search, strings and scores.
    const auto log = tests::json_lines(tests::read_text(folder / (compat + "/log.jsonl")));
    for (const char* score : {"BLEU-1", "BLEU-4", "ROUGE-L", "CIDEr"})
      CHECK(log.back().at(score).as_double() ==
            doctest::Approx(read_json(scores.out).at(score).as_double()).epsilon(1e-4));
  }
}

TEST_CASE("--compat original: the split by caption, and the words of both parts") {
  const Folder folder;
  // Twenty captions with a word each that no other has: 18 to train on, 2 to validate with.
  std::string captions = kHeader;
  for (int i = 0; i < 20; ++i)
    captions += (i % 2 == 0 ? kBear : kPlane) + "|" + std::to_string(i / 2) + "|" + word(i) + "\n";
  tests::write_text(folder / "captions", captions);
  const std::vector<std::string> all = {"--captions",
                                        folder / "captions",
                                        "--images",
                                        tests::assets() + "/photos",
                                        "--batch",
                                        "2",
                                        "--steps",
                                        "1",
                                        "--beam",
                                        "2",
                                        "--no-characters",
                                        "--min-frequency",
                                        "1"};
  const Result result = run(tests::train_arguments(folder, "run", joined(all, {"--compat", "original"})));
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(has(result.out, "2 photos with 18 captions to train on"));
  CHECK(has(result.out, "; 24 tokens"));
  check_refused(run(tests::train_arguments(folder, "other", joined(all, {"--compat", "other"}))),
                "--compat: other not in {none,original}");
  // Its attention model was trained and validated with changed photos, its plain one with photos as they are.
  REQUIRE(
      run(tests::train_arguments(folder, "plain", joined(all, {"--compat", "original", "--model", "plain"})))
          .code == 0);
  // What else is the original's where it is not given: no clipping, the plain model always fed by the
  // caption.
  const auto options = [&](const std::string& out) {
    const tensor::io::Json info =
        read_json(run({"info", folder / (out + "/last.safetensors"), "--json"}).out);
    return info.at("metadata").at("training").at("options");
  };
  for (const std::string out : {"run", "plain"}) {
    CAPTURE(out);
    CHECK(options(out).at("compat_original") == true);
    CHECK(options(out).at("clip_norm") == 0);
    CHECK(options(out).at("beam") == 2);  // as it is given
    CHECK(options(out).at("teacher_forcing") == (out == "plain" ? 1.0 : 0.9));
    CHECK(options(out).at("augment") == (out == "plain" ? "none" : "original"));
    // The encoder has moved, and is the run's.
    CHECK(std::filesystem::exists(folder / (out + "/encoder.safetensors")));
  }
  // What is given holds.
  REQUIRE(run(tests::train_arguments(
                  folder, "given",
                  joined(all, {"--compat", "original", "--model", "plain", "--clip-norm", "0.5",
                               "--teacher-forcing", "0.7", "--encoder-mode", "eval", "--augment", "mirror"})))
              .code == 0);
  CHECK(options("given").at("clip_norm") == 0.5);
  CHECK(options("given").at("teacher_forcing") == 0.7);
  CHECK(options("given").at("augment") == "mirror");
  CHECK_FALSE(std::filesystem::exists(folder / "given/encoder.safetensors"));
  for (const char* file : {"training_features", "validation_features"}) {
    CHECK(std::filesystem::exists(folder / (std::string("run/") + file + ".original0.safetensors")));
    CHECK_FALSE(std::filesystem::exists(folder / (std::string("plain/") + file + ".original0.safetensors")));
  }
}

TEST_CASE("--compat original: an encoder whose batch norm learns, and changed photos in validation") {
  const Folder folder;
  const std::string photos = tests::assets() + "/photos";
  tests::write_text(folder / "train",
                    "coco_000000000285.jpg\ncoco_000000000785.jpg\ncoco_000000000872.jpg\n");
  tests::write_text(folder / "val", "coco_000000000885.jpg\ncoco_000000001268.jpg\n");
  const auto train = [&](const std::vector<std::string>& more) {
    return run(tests::train_arguments(
        folder, "run",
        joined({"--captions", photos + "/captions.csv", "--images", photos, "--train-list", folder / "train",
                "--val-list", folder / "val", "--batch", "2", "--min-frequency", "1", "--compat", "original",
                "--augment", "original", "--augment-views", "2"},
               more)));
  };
  const Result first = train({"--steps", "2"});
  CAPTURE(first.err);
  REQUIRE(first.code == 0);
  const std::string run_folder = folder / "run/";
  // Its validation is a greedy search.
  CHECK(tests::json_lines(tests::read_text(run_folder + "log.jsonl")).back().at("beam") == 1);
  for (const char* file : {"encoder", "training_features.original0", "training_features.original1",
                           "validation_features", "validation_features.original1"})
    CHECK(std::filesystem::exists(run_folder + file + ".safetensors"));
  const auto key = [&](const std::string& file) {
    return read_json(run({"info", run_folder + file + ".safetensors", "--json"}).out)
        .at("metadata")
        .at("key")
        .as_text();
  };
  CHECK(has(key("training_features.original0"), "statistics of 128 photos"));
  CHECK_FALSE(has(key("validation_features"), "statistics"));
  // The encoder has moved, so it goes with the model; going on takes the same one.
  const std::string moved = tests::read_text(run_folder + "encoder.safetensors");
  const Result on = train({"--steps", "4", "--resume"});
  CAPTURE(on.err);
  CHECK(on.code == 0);
  CHECK(tests::read_text(run_folder + "encoder.safetensors") == moved);
  const std::string last = run_folder + "last.safetensors", bear = photos + "/coco_000000000285.jpg";
  CHECK(run({"caption", "--model", last, "--compat", "original", bear}).code == 0);
  check_refused(run({"caption", "--model", last, "--weights", tests::encoder_in_the_box(), bear}),
                "it has the weights of its encoder, which was trained with it; leave out --weights");
}
