// What score and eval count beside the scores: distinct words and captions, and copies of training captions.
#include <doctest/doctest.h>

#include "tests/cli/refused.h"
#include "tests/cli/small_model.h"

using tensor::io::Json;
using tests::check_refused;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

namespace {

const std::string kHeader = "image_name| comment_number| comment\n";

struct Scene {
  Folder folder;

  Scene() {
    tests::write_text(folder / "truths",
                      kHeader + "a.jpg|0|a dog runs\nb.jpg|0|a cat\nc.jpg|0|two men sit\n");
    tests::write_text(folder / "mine", kHeader + "a.jpg|0|A dog runs .\nb.jpg|0|a dog runs\nc.jpg|0|A bus\n");
    tests::write_text(folder / "others", kHeader + "a.jpg|0|a bus\nb.jpg|0|the bus\nc.jpg|0|the bus\n");
    // Captions of photos to train on, and one of another photo.
    tests::write_text(folder / "training",
                      kHeader + "x.jpg|0|A dog runs!\nx.jpg|1|some cat\ny.jpg|0|a bus\n");
    tests::write_text(folder / "list", "x.jpg\n");
    tests::write_text(
        folder / "splits.json",
        R"({"images": [{"filename": "x.jpg", "split": "train", "sentences": [{"raw": "no bus"}]},
                       {"filename": "v.jpg", "split": "restval", "sentences": [{"raw": "a bus ."}]},
                       {"filename": "y.jpg", "split": "test", "sentences": [{"raw": "a dog runs"}]}]})");
    tests::write_text(
        folder / "test.json",
        R"({"images": [{"filename": "y.jpg", "split": "test", "sentences": [{"raw": "a dog"}]}]})");
  }

  Result score(std::vector<std::string> more) const {
    more.insert(more.begin(), {"score", "--references", folder / "truths"});
    return run(more);
  }
  Json scored(std::vector<std::string> more) const {
    more.insert(more.end(), {"--candidates", folder / "mine", "--json"});
    const Result result = score(more);
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return read_json(result.out);
  }
};

}  // namespace

TEST_CASE("score: what is distinct, and what stands in the training captions") {
  const Scene scene;
  const auto& folder = scene.folder;
  const Json plain = scene.scored({});
  CHECK(plain.at("distinct-1") == 0.5);      // a dog runs bus, of 8
  CHECK(plain.at("distinct-2") == 3.0 / 5);  // a-dog dog-runs a-bus
  CHECK(plain.at("distinct_captions") == 2);
  CHECK(plain.find("in_training") == nullptr);
  // Other words, other counts: the full stop is one.
  CHECK(scene.scored({"--tokenizer", "none"}).at("distinct_captions") == 3);

  const Json all = scene.scored({"--training", folder / "training"});
  CHECK(all.at("in_training") == 1);
  CHECK(all.at("training_captions") == 3);
  const Json listed = scene.scored({"--training", folder / "training", "--training-list", folder / "list"});
  CHECK(listed.at("in_training") == 2.0 / 3);
  CHECK(listed.at("training_captions") == 2);
  const Json split = scene.scored({"--training", folder / "splits.json"});
  CHECK(split.at("in_training") == 1.0 / 3);
  CHECK(split.at("training_captions") == 2);
  CHECK(scene.scored({"--training", folder / "splits.json", folder / "training"}).at("training_captions") ==
        5);

  const Result text = scene.score({"--candidates", folder / "mine", "--training", folder / "training"});
  CHECK(has(text.out,
            "\ndistinct-1 0.5000, distinct-2 0.6000; 2 distinct captions of 3; 1.0000 of all stand in the 3 "
            "training captions\n"));
  const std::vector<std::string> two = {"--compare", folder / "mine", folder / "others",  "--samples",
                                        "9",         "--training",    folder / "training"};
  CHECK(has(
      scene.score(two).out,
      "\nA: distinct-1 0.5000, distinct-2 0.6000; 2 distinct captions of 3; 1.0000 of all stand in the 3 "
      "training captions\nB: distinct-1 0.5000, distinct-2 0.6667; 2 distinct captions of 3; 0.3333 of "));
  std::vector<std::string> in_json = two;
  in_json.emplace_back("--json");
  const Json compared = read_json(scene.score(in_json).out);
  CHECK(compared.at("a").at("in_training") == 1);
  CHECK(compared.at("b").at("in_training") == 1.0 / 3);
  CHECK(compared.at("b").at("distinct-2") == 2.0 / 3);

  const auto refused = [&](std::vector<std::string> more, const std::string& why) {
    more.insert(more.end(), {"--candidates", folder / "mine"});
    check_refused(scene.score(more), why);
  };
  refused({"--training", folder / "nofile"}, "nofile: cannot be read");
  refused({"--training", folder / "test.json"},
          "test.json: it has no captions of training photos (no split train)");
  tests::write_text(folder / "strangers", "z.jpg\n");
  refused({"--training", folder / "training", "--training-list", folder / "strangers"},
          "training: it has no captions of training photos of " + (folder / "strangers"));
  refused({"--training-list", folder / "list"}, "--training-list requires --training");
  CHECK(has(run({"score", "--help"}).out, "distinct n-grams"));
}

TEST_CASE("eval: the same of its own captions, in the form that they have") {
  const Folder folder;
  const std::string photos = tests::assets() + "/photos";
  const auto eval = [&](std::vector<std::string> more, const std::string& model = "plain") {
    more.insert(more.begin(), {"eval", "--checkpoint", model, "--images", photos, "--captions",
                               photos + "/captions.csv", "--list", photos + "/val.txt", "--beam", "2"});
    const Result result = run(more);
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return result.out;
  };
  const Json scores = read_json(eval({"--json", "--out", folder / "out.json"}));
  const Json written = read_json(tests::read_text(folder / "out.json"));
  CHECK(written.at("scores") == scores);
  REQUIRE(written.at("captions").size() > 1);
  // All of these captions are in the file itself, and none in one without them.
  CHECK(read_json(eval({"--json", "--training", folder / "out.json"})).at("in_training") == 1);
  tests::write_text(folder / "others",
                    "image_name| comment_number| comment\na.jpg|0|nobody says this of a photo .\n");
  CHECK(read_json(eval({"--json", "--training", folder / "others"})).at("in_training") == 0);
  // score says the same of what eval wrote.
  const Json again = read_json(run({"score", "--references", photos + "/captions.csv", "--candidates",
                                    folder / "out.json", "--list", photos + "/val.txt", "--json"})
                                   .out);
  for (const char* name : {"distinct-1", "distinct-2", "distinct_captions"})
    CHECK(scores.at(name) == again.at(name));
  CHECK(has(eval({"--training", folder / "out.json"}), "; 1.0000 of all stand in the 6 training captions\n"));
  // The original's captions have <sos> and <eos>, and so have training captions then.
  const std::string tokens = folder / "tokens.json", training = folder / "training.csv",
                    small = folder / "small.safetensors";
  tests::write_model_without_languages(small);
  eval({"--protocol", "original", "--out", tokens}, small);
  std::string file = kHeader;
  int known = 0, all = 0;
  const Json as_tokens = read_json(tests::read_text(tokens));
  for (const Json& caption : as_tokens.at("captions").items()) {
    const std::string text = caption.at("caption").as_text(), begin = "<sos>   ", end = "<eos>";
    REQUIRE(text.starts_with(begin));
    REQUIRE(text.ends_with(end));
    ++all;
    if (has(text, "<unk>")) continue;  // it stands for words that cannot be told
    ++known;
    file += "x.jpg|0| " + text.substr(begin.size(), text.size() - begin.size() - end.size()) + "\n";
  }
  REQUIRE(known > 1);
  tests::write_text(training, file);
  const std::vector<std::string> original = {"--protocol", "original", "--json", "--training", training};
  CHECK(read_json(eval(original, small)).at("in_training") == static_cast<double>(known) / all);
}
