// train with several data sets: SET=FILE in captions and lists.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>

#include "imgcap/data/image.h"
#include "imgcap/serve/run_view.h"
#include "imgcap/training/encode.h"
#include "imgcap/training/trainer.h"
#include "tensor/format.h"
#include "tests/cli/refused.h"
#include "tests/cli/training_run.h"

using namespace imgcap;
using tensor::io::Json;
using tests::check_refused;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

namespace {

using Captions = std::map<std::string, std::vector<std::string>>;

const std::string kHeader = "image_name| comment_number| comment\n";

// Two sets of photos in the box; those of "animals" have two captions, most of "things" one.
struct Data {
  Folder folder;
  std::string photos = tests::assets() + "/photos";
  std::vector<std::string> train_animals = {"coco_000000000285.jpg", "coco_000000000785.jpg"},
                           val_animals = {"coco_000000001268.jpg"},
                           train_things = {"coco_000000000872.jpg", "coco_000000000885.jpg"},
                           val_things = {"coco_000000001993.jpg"};
  Captions animals = {{train_animals[0], {"a bear in the grass", "a bear"}},
                      {train_animals[1], {"a woman in the snow", "a woman on snow"}},
                      {val_animals[0], {"a bear in the snow", "a dog"}}},
           things = {{train_things[0], {"a ball in the air"}},
                     {train_things[1], {"a ball on snow"}},
                     {val_things[0], {"a ball", "a woman on a ball"}}};

  Data() {
    write("animals.csv", animals);
    write("things.csv", things);
    list("animals_train.txt", train_animals);
    list("animals_val.txt", val_animals);
    list("things_train.txt", train_things);
    list("things_val.txt", val_things);
  }
  void write(const std::string& file, const Captions& captions) const {
    std::string text = kHeader;
    for (const auto& [name, all] : captions)
      for (size_t k = 0; k < all.size(); ++k) text += name + "|" + std::to_string(k) + "|" + all[k] + "\n";
    tests::write_text(folder / file, text);
  }
  void list(const std::string& file, const std::vector<std::string>& names) const {
    std::string lines;
    for (const std::string& name : names) lines += name + "\n";
    tests::write_text(folder / file, lines);
  }
  std::string of(const std::string& set, const std::string& file) const {
    return set + "=" + (folder / file);
  }
  std::vector<std::string> captions() const {
    return {"--captions", of("animals", "animals.csv"), of("things", "things.csv")};
  }
  std::vector<std::string> lists() const {
    return {"--train-list", of("things", "things_train.txt"), of("animals", "animals_train.txt"),
            "--val-list",   of("animals", "animals_val.txt"), of("things", "things_val.txt")};
  }
  Result train(const std::string& out, std::vector<std::string> data,
               const std::vector<std::string>& more = {}) const {
    data.insert(data.end(), {"--images", photos, "--min-frequency", "1", "--no-characters", "--layers", "1",
                             "--layer-dropout", "0", "--batch", "3", "--beam", "2"});
    data.insert(data.end(), more.begin(), more.end());
    return run(tests::train_arguments(folder, out, data));
  }
  Result train_both(const std::string& out, const std::vector<std::string>& more = {}) const {
    return train(out, joined(captions(), lists()), more);
  }
  static std::vector<std::string> joined(std::vector<std::string> a, const std::vector<std::string>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }
  std::string text_in(const std::string& file) const { return tests::read_text(folder / file); }
};

// A log's lines without what a clock says.
std::vector<Json> log_of(const std::string& file) {
  std::vector<Json> lines = tests::json_lines(tests::read_text(file));
  for (Json& line : lines) line = tests::without(line, "captions_per_second");
  return lines;
}

}  // namespace

TEST_CASE("train: two sets are the library's run with them, to the bit, stopped and gone on with") {
  const Data data;
  const std::vector<std::string> weight = {"--set-weight", "things=0.5"};
  const Result first = data.train_both("run", Data::joined(weight, {"--steps", "3"}));
  CAPTURE(first.err);
  REQUIRE(first.code == 0);
  CHECK(has(first.out, "; 4 photos with 6 captions to train on, 2 to validate; "));
  CHECK(has(first.out,
            "\nset animals: 2 photos with 4 captions of weight 1 to train on, 1 to validate\n"
            "set things: 2 photos with 2 captions of weight 0.5 to train on, 1 to validate\n"));
  CHECK(has(first.out, "validation of animals: 1 image of animals_val.txt, 2 references each, "));
  CHECK(has(first.out, "validation of things: 1 image of things_val.txt, 2 references each, "));
  CHECK(has(first.out, "best mean CIDEr "));
  const Result second = data.train_both(
      "run", Data::joined(weight, {"--steps", "5", "--resume", "--tensorboard", data.folder / "board"}));
  CAPTURE(second.err);
  REQUIRE(second.code == 0);

  // What is left for those who watch: photos once, captions at each validation.
  const Json watched = read_json(data.text_in("run/samples/run.json"));
  CHECK(watched.at("total_steps").as_int64() == 5);
  CHECK(watched.at("step").as_int64() == 3);
  REQUIRE(watched.at("photos").size() == 2);
  CHECK(watched.at("photos").at(0).at("set").as_text() == "animals");
  CHECK(watched.at("photos").at(0).at("photo").as_text() == data.val_animals[0]);
  CHECK(watched.at("photos").at(1).at("references").at(1).as_text() == "a woman on a ball");
  const Image preview = read_image(data.folder / "run/samples/1.jpg");
  CHECK(std::max(preview.height, preview.width) == 320);
  for (const Json& line : tests::json_lines(data.text_in("run/log.jsonl"))) {
    if (line.find("validation") == nullptr) continue;
    const auto step = line.at("step").as_int64();
    const Json sample = read_json(data.text_in(tensor::format("run/samples/step_{:09d}.json", step)));
    CHECK(sample.at("step").as_int64() == step);
    REQUIRE(sample.at("captions").size() == 2);
    CHECK(sample.at("captions").at(1).at("set").as_text() == "things");
    CHECK(sample.at("captions").at(1).at("photo").as_text() == data.val_things[0]);
  }
  serve::RunView view(data.folder / "run");
  const Json now = view.now();
  CHECK(now.at("step").as_int64() == 5);
  CHECK(now.at("total_steps").as_int64() == 5);
  CHECK(now.at("steps").at("loss").size() == 5);
  CHECK(now.at("validations").size() == now.at("samples").size());
  CHECK(now.at("photos") == watched.at("photos"));
  CHECK(view.preview(1) == data.text_in("run/samples/1.jpg"));
  CHECK(!view.preview(2));

  const FeatureCache features = FeatureCache::open(data.folder / "features.safetensors");
  Checkpoint info = load_checkpoint(data.folder / "run/last.safetensors");
  const Vocabulary vocabulary(info.vocabulary);
  // Words of both sets.
  for (const char* word : {" bear", " ball"}) {
    CAPTURE(word);
    CHECK(std::find(info.vocabulary.begin(), info.vocabulary.end(), word) != info.vocabulary.end());
  }
  CHECK(std::find(info.vocabulary.begin(), info.vocabulary.end(), " dog") == info.vocabulary.end());
  info.weights.clear();
  info.notes.clear();
  info.training.clear();
  info.training_tensors.clear();
  const auto part = [&](const Captions& captions, const std::vector<std::string>& names,
                        const char* split = "") {
    Dataset set = make_dataset({captions}, names, features, vocabulary);
    set.split = split;
    return set;
  };
  const Dataset training =
      join_sets({part(data.animals, data.train_animals), part(data.things, data.train_things)},
                {{"animals", 1, ""}, {"things", 0.5, ""}});
  const Dataset validation = join_sets({part(data.animals, data.val_animals, "animals_val.txt"),
                                        part(data.things, data.val_things, "things_val.txt")},
                                       {{"animals", 1, ""}, {"things", 0.5, ""}});
  TrainOptions o;
  o.batch_photos = 3;
  o.validation.beam = 2;
  std::filesystem::create_directories(data.folder / "expected");
  for (const int64_t steps : {3, 5}) {
    o.max_steps = steps;
    Trainer trainer(info, features, training, validation, o, data.folder / "expected");
    if (steps == 5) trainer.resume();
    const std::atomic<bool> stop{false};
    trainer.run({}, stop);
  }
  const auto own = log_of(data.folder / "run/log.jsonl"),
             expected = log_of(data.folder / "expected/log.jsonl");
  REQUIRE(own.size() == expected.size());
  for (size_t i = 0; i < own.size(); ++i) CHECK(own[i] == expected[i]);
  CHECK(own.back().at("sets").keys() == std::vector<std::string>{"animals", "things"});
  CHECK(data.text_in("run/last.safetensors") == data.text_in("expected/last.safetensors"));
  CHECK(data.text_in("run/best.safetensors") == data.text_in("expected/best.safetensors"));
  // The board has each set's scores, too, and a report draws them.
  const TrainingLog board = read_training_log(data.folder / "board");
  REQUIRE_FALSE(board.validations.empty());
  REQUIRE(board.validations.back().sets.size() == 2);
  CHECK(board.validations.back().sets[1].first == "things");
  CHECK(board.validations.back().sets[1].second ==
        doctest::Approx(own.back().at("sets").at("things").at("CIDEr").as_double()).epsilon(1e-6));
  // Other weights or sets are another run.
  check_refused(data.train_both("run", {"--steps", "6", "--resume"}),
                "it was trained on animals (weight 1.0, ");
}

TEST_CASE("train: one set is the same run with a name and without") {
  const Data data;
  const auto of_animals = [&](const std::string& before) {
    return std::vector<std::string>{"--captions",   before + (data.folder / "animals.csv"),
                                    "--train-list", before + (data.folder / "animals_train.txt"),
                                    "--val-list",   before + (data.folder / "animals_val.txt"),
                                    "--steps",      "2",
                                    "--batch",      "2"};
  };
  std::vector<std::string> rest = {"--images", data.photos, "--min-frequency", "1"};
  const auto train = [&](const std::string& out, const std::string& before) {
    return run(tests::train_arguments(data.folder, out, Data::joined(of_animals(before), rest)));
  };
  const Result bare = train("bare", ""), named = train("named", "animals=");
  CAPTURE(named.err);
  REQUIRE(bare.code == 0);
  REQUIRE(named.code == 0);
  CHECK(data.text_in("bare/last.safetensors") == data.text_in("named/last.safetensors"));
  CHECK(data.text_in("bare/best.safetensors") == data.text_in("named/best.safetensors"));
  CHECK(log_of(data.folder / "bare/log.jsonl") == log_of(data.folder / "named/log.jsonl"));
  CHECK_FALSE(has(named.out, "set animals"));
  CHECK(has(named.out, "validation: 1 image of animals_val.txt"));
}

TEST_CASE("train: lists of one set are put together, and a recipe has them as it has the rest") {
  const Data data;
  data.list("more.txt", {data.train_animals[1], data.train_things[0]});
  data.write("both.csv", [&] {
    Captions both = data.animals;
    both.insert(data.things.begin(), data.things.end());
    return both;
  }());
  const Result result =
      data.train("lists", {"--captions", data.folder / "both.csv", "--train-list",
                           data.folder / "animals_train.txt", data.folder / "more.txt", "--val-list",
                           data.folder / "animals_val.txt", data.folder / "things_val.txt", "--steps", "1"});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(has(result.out, "; 3 photos with 5 captions to train on, 2 to validate; "));
  CHECK(has(result.out, "2 images of animals_val.txt, things_val.txt, "));

  std::string recipe;
  for (const auto& [name, files] : std::map<std::string, std::vector<std::string>>{
           {"captions", {data.of("animals", "animals.csv"), data.of("things", "things.csv")}},
           {"train-list", {data.of("animals", "animals_train.txt"), data.of("things", "things_train.txt")}},
           {"val-list", {data.of("animals", "animals_val.txt"), data.of("things", "things_val.txt")}},
           {"set-weight", {"animals=2", "things=0.25"}}})
    recipe += name + " = [\"" + files[0] + "\", \"" + files[1] + "\"]\n";
  tests::write_text(data.folder / "recipe.toml", recipe);
  const Result by_file = data.train("recipe", {"--config", data.folder / "recipe.toml", "--steps", "1"});
  CAPTURE(by_file.err);
  REQUIRE(by_file.code == 0);
  CHECK(has(by_file.out, "set animals: 2 photos with 4 captions of weight 2 "));
  CHECK(has(by_file.out, "set things: 2 photos with 2 captions of weight 0.25 "));
}

TEST_CASE("train: sets without lists are split one by one, and go on with what was written") {
  const Data data;
  Captions many;
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(data.photos)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("coco_") && !data.animals.contains(name) && count++ < 6)
      many[name] = {"a photo of things"};
  }
  REQUIRE(many.size() == 6);
  data.write("many.csv", many);
  const std::vector<std::string> captions = {"--captions",
                                             data.of("animals", "animals.csv"),
                                             data.of("many", "many.csv"),
                                             "--train-list",
                                             data.of("animals", "animals_train.txt"),
                                             "--val-list",
                                             data.of("animals", "animals_val.txt")};
  const Result first = data.train("run", captions, {"--steps", "1"});
  CAPTURE(first.err);
  REQUIRE(first.code == 0);
  CHECK(has(first.out, "many: split by seed: 4 photos to train on, 1 to validate, 1 to test; lists in "));
  CHECK(std::filesystem::exists(data.folder / "run/many.test.txt"));
  CHECK_FALSE(std::filesystem::exists(data.folder / "run/animals.train.txt"));
  CHECK_FALSE(std::filesystem::exists(data.folder / "run/train.txt"));
  const Result second = data.train("run", captions, {"--steps", "2", "--resume"});
  CAPTURE(second.err);
  CHECK(second.code == 0);
  CHECK(has(second.out, "goes on after step 1\n"));
  std::filesystem::remove(data.folder / "run/many.val.txt");
  check_refused(data.train("run", captions, {"--steps", "3", "--resume"}),
                "it has no lists of its own, many.train.txt and many.val.txt");
}

TEST_CASE("train: what is wrong with sets is said before any work") {
  const Data data;
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& why) {
    check_refused(data.train("refused", arguments), why);
    CHECK_FALSE(std::filesystem::exists(data.folder / "refused"));
  };
  const auto with = [&](const std::vector<std::string>& more) { return Data::joined(data.captions(), more); };
  const std::string list = data.folder / "animals_train.txt";
  refused({"--captions", data.folder / "animals.csv", data.of("things", "things.csv")},
          "of which set? Others have one");
  refused(with({"--train-list", list}),
          "--train-list " + list + ": of which set? --captions has animals, things; write SET=");
  refused(with({"--val-list", "plants=" + list}), "--captions has no set plants, but animals, things");
  refused({"--captions", data.folder / "animals.csv", "--val-list", "animals=" + list},
          "--captions has no set animals; write --captions animals=FILE");
  refused(with({"--train-list", "animals=" + list}), "--train-list and --val-list come together");
  refused(with(Data::joined(data.lists(), {"--set-weight", "plants=2"})),
          "--set-weight plants=2: --captions has no set plants");
  refused(with(Data::joined(data.lists(), {"--set-weight", "things=0"})),
          "--set-weight things=0: it has to be SET=NUMBER");
  refused(with(Data::joined(data.lists(), {"--set-weight", "things=2", "things=3"})),
          "gives things two weights");
  refused({"--captions", data.of("animals", "animals.csv"), "--set-weight", "animals=2"},
          "there is only one");
  refused({"--captions", "animals=" + (data.folder / "none.csv")}, data.folder / "none.csv");
  // A photo that another set validates on, whatever it is called there.
  Captions moved = data.things;
  moved["other/folder/" + data.val_animals[0]] = {"a bear"};
  data.write("moved.csv", moved);
  data.list("moved.txt", {data.train_things[0], "other/folder/" + data.val_animals[0]});
  refused({"--captions", data.of("animals", "animals.csv"), data.of("things", "moved.csv"), "--train-list",
           "animals=" + list, data.of("things", "moved.txt"), "--val-list",
           data.of("animals", "animals_val.txt"), data.of("things", "things_val.txt")},
          "the photo \"" + data.val_animals[0] +
              "\" is in the training part of the set things, and in the validation part of the set animals");
  CHECK_FALSE(std::filesystem::exists(data.folder / "features.safetensors"));
}

TEST_CASE("train: self-critical training says what it does with photos of one reference") {
  const Data data;
  REQUIRE(data.train_both("first", {"--steps", "2"}).code == 0);
  std::vector<std::string> arguments = Data::joined(data.captions(), data.lists());
  const auto train = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> all = {"train",
                                    "--images",
                                    data.photos,
                                    "--weights",
                                    tests::encoder_in_the_box(),
                                    "--features",
                                    data.folder / "features.safetensors",
                                    "--out",
                                    data.folder / out,
                                    "--batch",
                                    "2",
                                    "--steps",
                                    "1",
                                    "--beam",
                                    "2",
                                    "--init",
                                    data.folder / "first/last.safetensors"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  };
  const std::vector<std::string> critical = {"--objective", "self-critical", "--teacher-forcing", "1"};
  const Result kept = train("kept", critical);
  CAPTURE(kept.err);
  REQUIRE(kept.code == 0);
  CHECK(has(
      kept.out,
      "self-critical: 2 of 4 photos have one reference and are kept: their reward is CIDEr with it alone"));
  CHECK(has(kept.out, "; 4 photos with 6 captions to train on"));
  // The set that has no others is left without any.
  check_refused(train("left", Data::joined(critical, {"--min-references", "2"})),
                "no photo of the set things has 2 captions");
  check_refused(train("left", {"--min-references", "2"}),
                "--min-references is for --objective self-critical");
}

TEST_CASE("eval: all sets' photos are looked for at once, and errors name the set") {
  const Data data;
  std::filesystem::create_directories(data.folder / "two/a");
  std::filesystem::create_directories(data.folder / "two/b");
  for (const char* to : {"two/a/1.jpg", "two/b/1.jpg"})
    std::filesystem::copy_file(data.photos + "/" + data.val_animals[0], data.folder / to);
  tests::write_text(data.folder / "exact.csv", kHeader + "a/1.jpg|0|a bear\n");
  tests::write_text(data.folder / "vague.csv", kHeader + "1.jpg|0|a ball\n");
  tests::write_text(data.folder / "exact.txt", "a/1.jpg\n");
  tests::write_text(data.folder / "vague.txt", "1.jpg\n");
  const auto eval = [&](const std::vector<std::string>& lists) {
    return run(Data::joined({"eval", "--checkpoint", "attention", "--images", data.folder / "two",
                             "--features", data.folder / "two.safetensors", "--captions",
                             data.of("a", "exact.csv"), data.of("b", "vague.csv"), "--list"},
                            lists));
  };
  // Not a's photo, which a cache would have by then.
  check_refused(eval({data.of("a", "exact.txt"), data.of("b", "vague.txt")}), "\"1.jpg\" means two photos");
  check_refused(eval({data.of("a", "exact.txt")}), "set b: which photos? --list FILE or --split NAME");
}

TEST_CASE("eval scores each set and their mean; other verbs say what they do with sets") {
  const Data data;
  REQUIRE(data.train_both("run", {"--steps", "2"}).code == 0);
  const auto eval = [&](const std::vector<std::string>& files, const std::vector<std::string>& more = {}) {
    std::vector<std::string> all = {
        "eval",      "--checkpoint", data.folder / "run/last.safetensors", "--images",
        data.photos, "--features",   data.folder / "features.safetensors"};
    all.insert(all.end(), files.begin(), files.end());
    all.insert(all.end(), more.begin(), more.end());
    const Result result = run(all);
    CAPTURE(result.err);
    CHECK(result.code == 0);
    return result.out;
  };
  const std::vector<std::string> both =
      Data::joined(data.captions(),
                   {"--list", data.of("animals", "animals_val.txt"), data.of("things", "things_val.txt")});
  const Json together = read_json(eval(both, {"--json", "--out", data.folder / "results.json"}));
  const auto alone = [&](const std::string& set) {
    return read_json(
        eval({"--captions", data.folder / (set + ".csv"), "--list", data.folder / (set + "_val.txt")},
             {"--json"}));
  };
  const Json animals = alone("animals"), things = alone("things");
  CHECK(together.at("sets").at("animals") == animals);
  CHECK(together.at("sets").at("things") == things);
  CHECK(animals.find("sets") == nullptr);
  for (const char* score : {"BLEU-1", "ROUGE-L", "CIDEr"})
    CHECK(together.at(score).as_double() ==
          doctest::Approx((animals.at(score).as_double() + things.at(score).as_double()) / 2));
  CHECK(together.at("images") == 2);
  const Json written = read_json(data.text_in("results.json"));
  CHECK(written.at("scores") == together);
  CHECK(written.at("captions").size() == 2);
  CHECK(written.at("captions").at(size_t{1}).at("set") == "things");
  const std::string table = eval(both);
  for (const char* row : {"\nattention, animals ", "\nattention, things ", "\nattention, mean "})
    CHECK(has(table, row));

  const std::vector<std::string> list = {"--list", data.of("animals", "animals_val.txt")};
  check_refused(
      run(Data::joined({"report", "--model", data.folder / "run/last.safetensors", "--images", data.photos,
                        "--out", data.folder / "page.html", "--captions", data.of("animals", "animals.csv")},
                       list)),
      "report: --captions animals=" + (data.folder / "animals.csv") +
          ": sets are for train and eval; here it is one at a time: write " + (data.folder / "animals.csv"));
  check_refused(run(Data::joined({"score", "--references", data.folder / "animals.csv", "--candidates",
                                  data.folder / "results.json"},
                                 list)),
                "score: --list animals=");
  check_refused(run({"score", "--references", data.of("animals", "animals.csv"), "--candidates",
                     data.folder / "results.json"}),
                "score: --references animals=");
  const Result checked = run(Data::joined({"data", "check", "--json"}, data.captions()));
  REQUIRE(checked.code == 0);
  CHECK(checked.out == run({"data", "check", "--json", "--captions", data.folder / "animals.csv",
                            data.folder / "things.csv"})
                           .out);
  const Result prepared = run({"prepare", "--images", data.photos, "--weights", tests::encoder_in_the_box(),
                               "--out", data.folder / "prepared.safetensors", "--list",
                               data.of("animals", "animals_val.txt"), data.of("things", "things_val.txt")});
  REQUIRE(prepared.code == 0);
  CHECK(has(prepared.out, ": 2 photos, "));
}
