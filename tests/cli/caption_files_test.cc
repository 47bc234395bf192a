// Caption files of other programs in the commands: splits, results of every kind, each photo's scores, and
// the formats that caption prints.
#include <doctest/doctest.h>

#include <filesystem>

#include "imgcap/data/feature_cache.h"
#include "tests/cli/given.h"
#include "tests/cli/refused.h"
#include "tests/cli/small_model.h"
#include "tests/instrumented.h"

namespace fs = std::filesystem;
using tensor::io::Json;
using tests::check_refused;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

namespace {

const std::string kGolden = (tests::source_dir() / "tests/golden/captions").string(),
                  kReferences = kGolden + "/references.json", kPhotos = tests::assets() + "/photos",
                  kBear = "coco_000000000285.jpg", kSkier = "coco_000000000785.jpg";

Json score(const std::string& candidates, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"score", "--references", kReferences, "--candidates", candidates, "--json"});
  const Result result = run(more);
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  return read_json(result.out);
}

// BLEU-1..4, ROUGE-L, CIDEr.
void check_scores(const Json& scores, const std::vector<double>& expected, double within) {
  size_t i = 0;
  for (const char* name : {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr"}) {
    CAPTURE(name);
    CHECK(std::abs(scores.at(name).as_double() - expected[i++]) < within);
  }
}

// Two photos in two splits, in Karpathy's format, and a model that captions them.
struct Splits {
  Folder folder;
  std::string model = folder / "small.safetensors", captions = folder / "dataset.json";

  Splits() {
    tests::write_small_model(model, imgcap::DecoderKind::plain, 5, 4);
    tests::write_text(captions,
                      R"({"images": [
        {"filename": ")" + kBear +
                          R"(", "split": "val", "sentences": [{"raw": "a bear a plane"}, {"raw": "a bear"}]},
        {"filename": ")" + kSkier +
                          R"(", "split": "test", "sentences": [{"raw": "plane a . bear"}]}]})");
    tests::write_text(folder / "list.txt", kSkier + "\n");
  }
};

}  // namespace

TEST_CASE("caption files: results as programs write them have the official scores") {
  // pycocoevalcap's; an empty caption counts.
  const std::vector<double> whole = {1, .794719, .632163, .462947, .786364, 2.464604};
  for (const char* file : {"results_float_id.json", "results_nan.json", "results_lines.jsonl"})
    check_scores(score(kGolden + "/" + file), whole, 1e-6);
  check_scores(score(kGolden + "/results_empty_caption.json"),
               {.790338, .667958, .577240, .441525, .601515, 1.976250}, 1e-6);
}

TEST_CASE("caption files: photos with an error in place of a caption are counted, not scored") {
  const Folder folder;
  const std::string lines = tests::read_text(kGolden + "/results_lines.jsonl");
  tests::write_text(
      folder / "r.jsonl",
      lines.substr(0, lines.find("{\"image\": \"d.jpg\"")) +
          "{\"image\": \"d.jpg\", \"error\": \"cut short\"}\n{\"image\": \"e.jpg\", \"error\": \"x\"}\n");
  const Result result =
      run({"score", "--references", kReferences, "--candidates", folder / "r.jsonl", "--json"});
  CHECK(result.code == 0);
  CHECK(result.err == "2 photos have an error in place of a caption and are left out (first: d.jpg)\n");
  CHECK(read_json(result.out).at("images") == 3);
  // One that is simply not there is still a mistake.
  tests::write_text(folder / "r.jsonl", lines.substr(0, lines.find("{\"image\": \"d.jpg\"")));
  check_refused(run({"score", "--references", kReferences, "--candidates", folder / "r.jsonl"}),
                "1 of 4 images with references have no candidate, first d.jpg");
}

TEST_CASE("caption files: each photo's scores are pycocoevalcap's") {
  const Folder folder;
  // By golden/captions/per_image.py.
  const std::vector<std::vector<double>> expected = {
      {1, 0.632455532, 0.464158883, 7.59835685e-05, 0.666666667, 1.70695636},
      {1, 0.894427191, 0.736806299, 0.000107456993, 0.739393939, 2.28445079},
      {1, 1, 1, 0.999999999, 1, 3.91359219},
      {0, 0, 0, 0, 0, 0}};
  const std::string candidates = kGolden + "/results_empty_caption.json";
  score(candidates, {"--per-image", folder / "each.jsonl"});
  const auto lines = tests::json_lines(tests::read_text(folder / "each.jsonl"));
  REQUIRE(lines.size() == 4);
  for (size_t i = 0; i < 4; ++i) {
    check_scores(lines[i], expected[i], 1e-8);
    CHECK(lines[i].at("image") == std::string(1, static_cast<char>('a' + i)) + ".jpg");
  }
  CHECK(lines[1].at("caption") == "two women sit in a park");
  score(candidates, {"--per-image", folder / "each.csv"});
  const std::string csv = tests::read_text(folder / "each.csv");
  CHECK(csv.starts_with(
      "image,caption,BLEU-1,BLEU-2,BLEU-3,BLEU-4,ROUGE-L,CIDEr\na.jpg,a dog runs on the sand,0.99999"));
  CHECK(has(csv, "\nd.jpg,,0"));
  // Both are results themselves.
  for (const char* file : {"each.jsonl", "each.csv"})
    CHECK(score(folder / file).at("CIDEr") == score(candidates).at("CIDEr"));
  check_refused(run({"score", "--references", kReferences, "--candidates", candidates, "--protocol",
                     "original", "--per-image", folder / "none"}),
                "the original has none");
  CHECK_FALSE(fs::exists(folder / "none"));
  check_refused(run({"score", "--references", kReferences, "--candidates", candidates, "--per-image",
                     folder / "no/each.csv"}),
                "there is no folder");
}

TEST_CASE("caption files: --split in place of --list") {
  const Splits s;
  const auto both = [&](std::vector<std::string> command) {
    std::vector<std::string> by_list = command;
    by_list.insert(by_list.end(), {"--list", s.folder / "list.txt"});
    command.insert(command.end(), {"--split", "test"});
    const Result listed = run(by_list), split = run(command);
    CAPTURE(listed.err);
    CAPTURE(split.err);
    CHECK(listed.code == 0);
    CHECK(split.code == 0);
    return std::pair(listed.out, split.out);
  };
  const std::vector<std::string> eval = {"eval",  "--checkpoint", s.model,   "--images",
                                         kPhotos, "--captions",   s.captions};
  auto json_of = eval;
  json_of.insert(json_of.end(), {"--json", "--out", s.folder / "results.json"});
  const auto [listed, split] = both(json_of);
  Json scores = read_json(split);
  CHECK(scores.at("images") == 1);
  CHECK(scores.at("split") == "test");
  scores["split"] = "list.txt";
  CHECK(scores == read_json(listed));

  const auto scored =
      both({"score", "--references", s.captions, "--candidates", s.folder / "results.json", "--json"});
  CHECK(read_json(scored.second).at("CIDEr") == read_json(scored.first).at("CIDEr"));
  CHECK(read_json(scored.second).at("images") == 1);

  const std::string page = s.folder / "page.html", cache = s.folder / "c.safetensors";
  const Result reported = run({"report", "--model", s.model, "--images", kPhotos, "--captions", s.captions,
                               "--split", "test", "--out", page});
  CAPTURE(reported.err);
  CHECK(has(reported.out, "1 photos scored, 1 shown"));
  CHECK(has(tests::read_text(page), kSkier));

  const std::vector<std::string> prepare = {
      "prepare", "--images", kPhotos, "--weights", tests::encoder_in_the_box(), "--out", cache};
  auto prepare_split = prepare, prepare_list = prepare;
  prepare_split.insert(prepare_split.end(), {"--captions", s.captions, "--split", "val"});
  CHECK(run(prepare_split).code == 0);
  CHECK(imgcap::FeatureCache::open(cache).names() == std::vector<std::string>{kBear});
  prepare_list.insert(prepare_list.end(), {"--list", s.folder / "list.txt"});
  CHECK(run(prepare_list).code == 0);
  CHECK(imgcap::FeatureCache::open(cache).names() == std::vector<std::string>{kBear, kSkier});

  auto refused = [&](std::vector<std::string> command, const std::vector<std::string>& more,
                     const std::string& why) {
    command.insert(command.end(), more.begin(), more.end());
    check_refused(run(command), why);
  };
  refused(eval, {}, "which photos? --list FILE or --split NAME is required");
  refused(eval, {"--split", "train"}, "--split train: the captions have the splits test, val");
  refused(eval, {"--split", "val", "--list", s.folder / "list.txt"}, "excludes");
  refused(prepare, {"--split", "val"}, "name them by --captions");
  tests::write_text(s.captions, "image,caption\n" + kBear + ",a bear\n");
  refused(eval, {"--split", "val"}, "--split val: the captions have no splits; name a --list");
  tests::write_text(s.folder / "x.csv", "image,caption,split\n" + kBear + ",a bear,val\n");
  tests::write_text(s.folder / "y.csv", "image,caption,split\n" + kBear + ",a plane,test\n");
  check_refused(run({"eval", "--checkpoint", s.model, "--images", kPhotos, "--captions", s.folder / "x.csv",
                     s.folder / "y.csv", "--split", "val"}),
                "is in the split test here, and in val in another file");
}

TEST_CASE("caption files: train goes by the splits of the captions, and a run that goes on by its lists") {
  const Folder folder;
  std::string lines;
  const std::vector<std::pair<const char*, const char*>> photos = {{"285", "train"},   {"785", "restval"},
                                                                   {"872", "train"},   {"885", "validation"},
                                                                   {"001268", "test"}, {"001993", "other"}};
  for (const auto& [photo, split] : photos) {
    const std::string digits = photo, name = "coco_" + std::string(12 - digits.size(), '0') + digits + ".jpg";
    lines +=
        R"({"file_name": ")" + name + R"(", "captions": ["a bear", "a plane"], "split": ")" + split + "\"}\n";
  }
  tests::write_text(folder / "metadata.jsonl", lines);
  const std::vector<std::string> own = {
      "--captions", folder / "metadata.jsonl", "--images", kPhotos,   "--batch",
      "3",          "--min-frequency",         "1",        "--steps", "2"};
  const Result trained = run(tests::train_arguments(folder, "run", own));
  CAPTURE(trained.err);
  REQUIRE(trained.code == 0);
  CHECK(has(trained.out,
            "split as the captions say: 3 photos to train on, 1 to validate, 1 to test; lists in "));
  CHECK(tests::read_text(folder / "run/train.txt") ==
        "coco_000000000785.jpg\ncoco_000000000285.jpg\ncoco_000000000872.jpg\n");
  CHECK(tests::read_text(folder / "run/val.txt") == "coco_000000000885.jpg\n");
  CHECK(tests::read_text(folder / "run/test.txt") == "coco_000000001268.jpg\n");
  // The file may have no splits by then.
  std::string bare = lines;
  for (size_t at = bare.find("split"); at != std::string::npos; at = bare.find("split"))
    bare.replace(at, 5, "other");
  tests::write_text(folder / "metadata.jsonl", bare);
  std::vector<std::string> further = own;
  further.back() = "3";
  further.emplace_back("--resume");
  const Result resumed = run(tests::train_arguments(folder, "run", further));
  CAPTURE(resumed.err);
  CHECK(resumed.code == 0);
  CHECK_FALSE(has(resumed.out, "split "));
  tests::write_text(folder / "metadata.jsonl",
                    lines.substr(0, lines.find("{\"file_name\": \"coco_000000000885")));
  check_refused(run(tests::train_arguments(folder, "other", own)),
                "the captions have the splits restval, train, and a run needs train and val");
  CHECK_FALSE(fs::exists(folder / "other"));
}

TEST_CASE("caption files: what caption prints in each format is what score reads") {
  const Splits s;
  const std::string bear = kPhotos + "/" + kBear, skier = kPhotos + "/" + kSkier;
  tests::write_text(s.folder / "broken.jpg", "x");
  std::map<std::string, std::string> out;
  for (const std::string format : {"text", "json", "coco", "csv"}) {
    CAPTURE(format);
    const Result result =
        run({"caption", bear, s.folder / "broken.jpg", skier, "--model", s.model, "--format", format});
    CAPTURE(result.err);
    CHECK(result.code == 2);
    CHECK(has(result.err, "broken.jpg"));
    out[format] = result.out;
  }
  const auto lines = tests::json_lines(out["json"]);
  REQUIRE(lines.size() == 3);
  CHECK(lines[1].find("error") != nullptr);
  const std::string first = lines[0].at("caption").as_text(), second = lines[2].at("caption").as_text();
  CHECK(out["text"].starts_with(bear + ": " + first + " ("));
  CHECK(out["csv"] == "image_name| comment_number| comment\n" + bear + "| 0| " + first + "\n" + skier +
                          "| 0| " + second + "\n");
  CHECK(read_json(out["coco"]) == Json::array({Json::object({{"image_id", 285}, {"caption", first}}),
                                               Json::object({{"image_id", 785}, {"caption", second}})}));
  // Names without a number, and two with one.
  fs::create_directories(s.folder / "more");
  for (const char* name : {"photo.jpg", "00285.jpg", "285.jpg"})
    fs::copy_file(bear, s.folder / ("more/" + std::string(name)));
  const Json more =
      read_json(run({"caption", s.folder / "more", "--model", s.model, "--format", "coco"}).out);
  Json ids;
  for (const Json& entry : more.items()) ids.push_back(entry.at("image_id"));
  CHECK(ids == Json::array({285, "285.jpg", "photo.jpg"}));
  CHECK(run({"caption", s.folder / "broken.jpg", "--model", s.model, "--format", "coco"}).out == "[]\n");

  Json expected;
  for (const std::string format : {"json", "coco", "csv"}) {
    CAPTURE(format);
    tests::write_text(s.folder / format, out[format]);
    const Result result =
        run({"score", "--references", s.captions, "--candidates", s.folder / format, "--json"});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    const Json scores = read_json(result.out);
    CHECK(scores.at("images") == 2);
    if (expected.is_null()) expected = scores;
    CHECK(scores == expected);
  }
  check_refused(run({"caption", bear, "--model", s.model, "--format", "csv", "--nbest", "2"}),
                "leave out --nbest");
  check_refused(run({"caption", bear, "--model", s.model, "--format", "xml"}),
                "xml not in {text,json,coco,csv}");
  check_refused(run({"caption", bear, "--model", s.model, "--format", "csv", "--json"}), "excludes");
}

TEST_CASE("caption files: a list that Ctrl-C ends is whole JSON all the same") {
  SKIP_IF_INSTRUMENTED();
  const Splits s;
  tests::Program program({"caption", kPhotos, "--model", s.model, "--format", "coco", "--threads", "1"});
  for (int i = 0; i < 60000 && !has(program.output(), "\"caption\""); ++i) ::usleep(1000);
  program.send(SIGINT);
  const Result result = program.wait();
  CHECK(result.code == 130);
  const Json list = read_json(result.out);
  CHECK(list.size() > 0);
  CHECK(list.size() < 60);
}
