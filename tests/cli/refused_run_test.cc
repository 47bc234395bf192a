// A run that is refused leaves nothing behind, and one that goes on is the run that was begun.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "imgcap/models/encoder.h"
#include "tensor/io/safetensors.h"

#include "tests/cli/refused.h"
#include "tests/cli/training_run.h"

using tensor::io::Json;
using tests::check_refused;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

namespace {

const std::string kPhotos = tests::assets() + "/photos";

// a, where options that b has, too, have b's values.
std::vector<std::string> joined(std::vector<std::string> a, const std::vector<std::string>& b) {
  for (const std::string& option : b)
    if (const auto old = std::find(a.begin(), a.end(), option); option.starts_with("--") && old != a.end())
      a.erase(old, old + 2);
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Ten photos with a caption or five each, split by the seed: 8, 1 and 1.
std::string ten_photos(const Folder& folder) {
  const std::string all = tests::read_text(kPhotos + "/captions.csv");
  std::string kept;
  std::vector<std::string> names;
  for (size_t at = 0; at < all.size();) {
    const size_t end = std::min(all.find('\n', at), all.size());
    const std::string line = all.substr(at, end - at), name = line.substr(0, line.find('|'));
    if (at > 0 && (names.empty() || names.back() != name)) names.push_back(name);
    if (names.size() <= 10) kept += line + "\n";
    at = end + 1;
  }
  tests::write_text(folder / "captions", kept);
  return folder / "captions";
}

std::vector<std::string> split_by_seed(const Folder& folder, const std::string& out,
                                       const std::vector<std::string>& more) {
  const std::vector<std::string> own = {"--captions", folder / "captions", "--images", kPhotos, "--batch",
                                        "4",          "--min-frequency",   "1"};
  return joined(tests::train_arguments(folder, out, own), more);
}

std::string lists_of(const std::string& out) {
  return tests::read_text(out + "/train.txt") + "|" + tests::read_text(out + "/val.txt") + "|" +
         tests::read_text(out + "/test.txt");
}

}  // namespace

TEST_CASE("a refused --resume changes nothing of the run, its lists least of all") {
  const Folder folder;
  ten_photos(folder);
  const Result first = run(split_by_seed(folder, "run", {"--steps", "2"}));
  CAPTURE(first.err);
  REQUIRE(first.code == 0);
  const std::string lists = lists_of(folder / "run");
  const auto refused = [&](const std::vector<std::string>& more, const std::string& why) {
    const Result result = run(split_by_seed(folder, "run", joined({"--steps", "4", "--resume"}, more)));
    CAPTURE(result.err);
    CHECK(result.code == 2);
    CHECK(has(result.err, why));
    CHECK_FALSE(has(result.out, "split by seed"));
    CHECK(lists_of(folder / "run") == lists);
  };
  refused({"--seed", "7"}, "seed is 1, here 7");
  refused({"--lr", "0.001"}, "lr is 0.0004, here 0.001");
  refused({"--hidden", "24"}, "hidden is 16, here 24");
  CHECK(run(split_by_seed(folder, "run", {"--steps", "4", "--resume"})).code == 0);
  CHECK(lists_of(folder / "run") == lists);
  // Its photos are those of its lists, whatever the split would be now.
  tests::write_text(folder / "captions", tests::read_text(folder / "captions") +
                                             "coco_000000000139.jpg| 0| a room\nnowhere.jpg| 0| a dog\n");
  const Result grown = run(split_by_seed(folder, "run", {"--steps", "5", "--resume"}));
  CAPTURE(grown.err);
  CHECK(grown.code == 0);
  CHECK(lists_of(folder / "run") == lists);
}

TEST_CASE("--resume of a run that was begun with lists needs them again, and writes none") {
  const Folder folder;
  ten_photos(folder);
  tests::write_text(folder / "train", "coco_000000000285.jpg\ncoco_000000000785.jpg\n");
  tests::write_text(folder / "val", "coco_000000000872.jpg\n");
  const std::vector<std::string> lists = {"--train-list", folder / "train", "--val-list",
                                          folder / "val", "--batch",        "2"};
  REQUIRE(run(split_by_seed(folder, "run", joined({"--steps", "1"}, lists))).code == 0);
  const Result without = run(split_by_seed(folder, "run", {"--steps", "2", "--resume", "--batch", "2"}));
  CHECK(without.code == 2);
  CHECK(has(without.err, "it has no lists of its own"));
  CHECK(run(split_by_seed(folder, "run", joined({"--steps", "2", "--resume"}, lists))).code == 0);
  for (const char* name : {"run/train.txt", "run/val.txt", "run/test.txt"})
    CHECK_FALSE(std::filesystem::exists(folder / name));
}

TEST_CASE("--resume refuses other photos of the same number") {
  const Folder folder;
  tests::write_text(folder / "a", "coco_000000000285.jpg\ncoco_000000000785.jpg\n");
  tests::write_text(folder / "b", "coco_000000000872.jpg\ncoco_000000000885.jpg\n");
  tests::write_text(folder / "val", "coco_000000001268.jpg\n");
  REQUIRE(run({"vocab", "build", "--captions", kPhotos + "/captions.csv", "--out", folder / "words"}).code ==
          0);
  const auto train = [&](const std::string& list, const std::vector<std::string>& more) {
    return run(tests::train_arguments(
        folder, "run",
        joined({"--captions", kPhotos + "/captions.csv", "--images", kPhotos, "--train-list", folder / list,
                "--val-list", folder / "val", "--vocabulary", folder / "words", "--batch", "1"},
               more)));
  };
  REQUIRE(train("a", {"--steps", "1"}).code == 0);
  const Result other = train("b", {"--steps", "2", "--resume"});
  CHECK(other.code == 2);
  CHECK(has(other.err, "other photos or captions"));
  CHECK(train("a", {"--steps", "2", "--resume"}).code == 0);
}

TEST_CASE("a refused new run leaves no folder behind") {
  const Folder folder;
  ten_photos(folder);
  tests::write_text(folder / "words", "no vocabulary\n");
  std::filesystem::create_directory(folder / "empty");
  const auto refused = [&](const std::vector<std::string>& more, const std::string& why) {
    const Result result = run(split_by_seed(folder, "new/run", more));
    CAPTURE(result.err);
    CHECK(result.code == 2);
    CHECK(has(result.err, why));
    CHECK_FALSE(std::filesystem::exists(folder / "new"));
  };
  refused({"--batch", "100000"}, "a batch of 100000 photos, but there are 8 to train on");
  refused({"--encoder", "foo"}, "'foo' is not known");
  refused({"--model", "plain", "--gate"}, "gate");
  refused({"--weights", folder / "nofile"}, "nofile");
  refused({"--images", folder / "empty"}, "empty");
  refused({"--images", folder / "nofolder"}, "nofolder");
  refused({"--vocabulary", folder / "words"}, "words");
  refused({"--layer-dropout", "1"}, "dropout");
  refused({"--resume"}, "there is no run in it to go on with");
  // A folder that was there stays, as it was.
  std::filesystem::create_directories(folder / "new/run");
  tests::write_text(folder / "new/run/notes", "mine");
  check_refused(run(split_by_seed(folder, "new/run", {"--batch", "100000"})), "a batch of 100000 photos");
  CHECK(tests::read_text(folder / "new/run/notes") == "mine");
  CHECK(std::distance(std::filesystem::directory_iterator(folder / "new/run"), {}) == 1);
}

TEST_CASE("a checkpoint that is not whole is named, by whatever reads it") {
  const Folder folder;
  ten_photos(folder);
  REQUIRE(run(split_by_seed(folder, "run", {"--steps", "1"})).code == 0);
  const std::string last = folder / "run/last.safetensors";
  const auto whole = tensor::io::read_safetensors(last);
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& why) {
    const Result result = run(arguments);
    CAPTURE(result.err);
    CHECK(result.code == 2);
    CHECK(has(result.err, "imgcap: " + last + ": " + why));
  };
  const std::vector<std::string> on = split_by_seed(folder, "run", {"--steps", "2", "--resume"});
  auto tensors = whole.tensors;
  REQUIRE(tensors.erase("model.fc.bias") == 1);
  tensor::io::write_safetensors(last, tensors, whole.metadata);
  refused(on, "load_state_dict: ");
  refused({"caption", "--model", last, kPhotos + "/coco_000000000285.jpg"}, "load_state_dict: ");
  refused({"train", "--captions", folder / "captions", "--images", kPhotos, "--weights",
           tests::encoder_in_the_box(), "--features", folder / "features.safetensors", "--out",
           folder / "new", "--batch", "4", "--init", last},
          "load_state_dict: ");
  CHECK_FALSE(std::filesystem::exists(folder / "new"));
  auto metadata = whole.metadata;
  Json training = read_json(metadata["training"]);
  training["options"]["unheard_of"] = 1;
  metadata["training"] = training.dump();
  tensor::io::write_safetensors(last, whole.tensors, metadata);
  refused(on, "train: an option that this version does not know");
  metadata["decoder"] = "[]";
  tensor::io::write_safetensors(last, whole.tensors, metadata);
  refused(on, "model: the decoder's configuration is not a JSON object");
}

TEST_CASE("a photo whose name is not UTF-8 is skipped, and shown so that a terminal bears it") {
  const Folder folder;
  std::filesystem::create_directory(folder / "odd");
  const std::string bear = kPhotos + "/coco_000000000285.jpg";
  std::filesystem::copy_file(bear, folder / "odd/bear.jpg");
  std::filesystem::copy_file(bear, folder / "odd/b\xff\x1b[31m.jpg");
  const Result prepared = run({"prepare", "--images", folder / "odd", "--weights",
                               tests::encoder_in_the_box(), "--out", folder / "features"});
  CAPTURE(prepared.err);
  CHECK(prepared.code == 0);
  CHECK(has(prepared.err, "skipped b\\xff\\x1b[31m.jpg: its name is not UTF-8"));
  CHECK(has(run({"info", folder / "features"}).out, "names: 1"));
  std::filesystem::remove(folder / "odd/bear.jpg");
  const Result alone = run({"prepare", "--images", folder / "odd", "--weights", tests::encoder_in_the_box(),
                            "--out", folder / "none"});
  CHECK(alone.code == 2);
  CHECK(
      has(alone.err, "none of 1 photos can be read; the first: b\\xff\\x1b[31m.jpg: its name is not UTF-8"));
  CHECK_FALSE(std::filesystem::exists(folder / "none"));
  const Result nowhere = run({"prepare", "--images", folder / "odd", "--weights", tests::encoder_in_the_box(),
                              "--out", folder / "no/folder"});
  CHECK(nowhere.code == 2);
  CHECK(has(nowhere.err, "there is no folder"));
  const Result captioned = run({"caption", folder / "odd"});
  CHECK(captioned.code == 0);
  CHECK(has(captioned.out, "b\\xff\\x1b[31m.jpg: a brown"));
}

TEST_CASE("score takes COCO references that have ids alone; training says what it lacks") {
  const Folder folder;
  tests::write_text(folder / "references",
                    R"({"images":[{"id":1},{"id":2}],"annotations":[)"
                    R"({"image_id":1,"id":1,"caption":"a dog runs on the grass"},)"
                    R"({"image_id":2,"id":2,"caption":"two men sit at a small table"}]})");
  tests::write_text(folder / "candidates", R"([{"image_id":1,"caption":"a dog runs on the grass"},)"
                                           R"({"image_id":2,"caption":"two men sit at a small table"}])");
  const Result scored =
      run({"score", "--references", folder / "references", "--candidates", folder / "candidates", "--json"});
  CAPTURE(scored.err);
  REQUIRE(scored.code == 0);
  const Json scores = read_json(scored.out);
  CHECK(scores.at("images") == 2);
  CHECK(scores.at("BLEU-4").as_double() == doctest::Approx(1));
  const Result trained = run(tests::train_arguments(
      folder, "run", {"--captions", folder / "references", "--images", kPhotos, "--batch", "1"}));
  CHECK(trained.code == 2);
  CHECK(has(trained.err, "2 of its images have no file_name"));
}

TEST_CASE("caption --sample draws: the seed decides, and a low temperature is the greedy search") {
  const std::string bear = kPhotos + "/coco_000000000285.jpg";
  const auto captions = [&](const std::vector<std::string>& more) {
    const Result result = run(joined({"caption", bear, "--json", "--nbest", "4", "--sample"}, more));
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    const Json line = read_json(result.out);
    std::vector<std::string> all = {line.at("caption").as_text()};
    for (const Json& other : line.at("alternatives").items()) all.push_back(other.at("caption").as_text());
    return all;
  };
  const auto drawn = captions({"--temperature", "1.5"});
  REQUIRE(drawn.size() == 4);
  CHECK(drawn == captions({"--temperature", "1.5"}));
  CHECK(drawn != captions({"--temperature", "1.5", "--seed", "2"}));
  CHECK(std::set<std::string>(drawn.begin(), drawn.end()).size() > 1);
  const Json greedy = read_json(run({"caption", bear, "--json", "--beam", "1"}).out);
  for (const std::vector<std::string>& same :
       {captions({"--temperature", "0.001"}), captions({"--top-k", "1"}), captions({"--top-p", "1e-9"})})
    for (const std::string& caption : same) CHECK(caption == greedy.at("caption"));
}

TEST_CASE("a model of an encoder that is not in the box asks for its weights") {
  const Folder folder;
  tests::write_text(folder / "train", "coco_000000000285.jpg\n");
  tests::write_text(folder / "val", "coco_000000000785.jpg\n");
  const std::string weights = folder / "resnet18.safetensors";
  tensor::io::write_safetensors(weights, imgcap::make_encoder("resnet18")->state_dict());
  const Result trained =
      run(joined(tests::train_arguments(folder, "run", {}),
                 {"--captions", kPhotos + "/captions.csv", "--images", kPhotos, "--train-list",
                  folder / "train", "--val-list", folder / "val", "--encoder", "resnet18", "--weights",
                  weights, "--features", folder / "features18.safetensors", "--batch", "1", "--steps", "1"}));
  CAPTURE(trained.err);
  REQUIRE(trained.code == 0);
  const Result result =
      run({"caption", "--model", folder / "run/last.safetensors", kPhotos + "/coco_000000000285.jpg"});
  CHECK(result.code == 2);
  CHECK(has(result.err,
            "trained with the encoder resnet18, whose weights are not in the box; give them by --weights"));
}
