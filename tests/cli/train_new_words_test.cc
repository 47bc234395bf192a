// A run that goes on from a model and learns words that it lacks.
#include <doctest/doctest.h>

#include "tests/cli/refused.h"
#include "tests/cli/training_run.h"

using tests::check_refused;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

TEST_CASE("train --init attention: on from the box, with the captions' new words") {
  const Folder folder;
  const std::string photos = tests::assets() + "/photos", name = "coco_000000000285.jpg";
  const std::string captions = folder / "captions.csv";
  tests::write_text(captions, "image_name| comment_number| comment\n" + name +
                                  "|0|a zyzzyva rests on a zyzzyva\n" +
                                  "coco_000000000785.jpg|0|a zyzzyva and a qoph\n" +
                                  "coco_000000000872.jpg|0|a dog and a qoph\n");
  tests::write_text(folder / "train", name + "\ncoco_000000000785.jpg\n");
  tests::write_text(folder / "val", "coco_000000000872.jpg\n");
  const auto begin = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> all = {"train",
                                    "--captions",
                                    captions,
                                    "--images",
                                    photos,
                                    "--train-list",
                                    folder / "train",
                                    "--val-list",
                                    folder / "val",
                                    "--out",
                                    folder / out,
                                    "--features",
                                    folder / "features.safetensors",
                                    "--batch",
                                    "1",
                                    "--beam",
                                    "1"};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  };
  const auto tokens = [&](const std::string& out) {
    return tests::count(run({"vocab", "show", folder / (out + "/last.safetensors")}).out, "\n");
  };

  // Of the training captions alone: the other photo's "qoph" is not counted.
  const Result more = begin("more", {"--init", "attention", "--min-frequency", "2", "--steps", "1"});
  CAPTURE(more.err);
  REQUIRE(more.code == 0);
  CHECK(has(more.out, "new words of the captions (1): zyzzyva\n"));
  const std::string box = tests::assets() + "/model/attention.safetensors";
  const auto known = tests::count(run({"vocab", "show", box}).out, "\n");
  CHECK(tokens("more") == known + 1);
  const std::string model = folder / "more/last.safetensors";
  CHECK(read_json(run({"info", model, "--json"}).out).at("metadata").at("vocabulary") == known + 1);

  SUBCASE("it goes on, and captions") {
    const Result on =
        begin("more", {"--init", "attention", "--min-frequency", "2", "--steps", "2", "--resume"});
    CAPTURE(on.err);
    CHECK(on.code == 0);
    CHECK(has(on.out, "goes on after step 1\n"));
    CHECK(run({"caption", "--model", model, "--prefix", "a zyzzyva", photos + "/" + name})
              .out.find("a zyzzyva") != std::string::npos);
  }
  SUBCASE("none are wanted, or none are there") {
    const Result none = begin("none", {"--init", "attention", "--no-new-words", "--steps", "1"});
    CHECK(none.code == 0);
    CHECK(!has(none.out, "new words"));
    CHECK(tokens("none") == known);
    const Result rare = begin("rare", {"--init", model, "--steps", "1"});
    CHECK(rare.code == 0);
    CHECK(has(rare.out, "no new words: the model has all that stand there 5 times or more\n"));
  }
  SUBCASE("what does not go together") {
    check_refused(begin("bad", {"--no-new-words"}), "--no-new-words");
    check_refused(begin("bad", {"--init", model, "--no-new-words", "--min-frequency", "3"}),
                  "no words are added to the model of --init; leave out --min-frequency");
    check_refused(begin("bad", {"--init", model, "--objective", "self-critical", "--teacher-forcing", "1",
                                "--min-frequency", "3"}),
                  "no words are added to the model of --init; leave out --min-frequency");
  }
}
