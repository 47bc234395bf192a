// imgcap data: what check finds, and convert in both directions.
#include <doctest/doctest.h>

#include <filesystem>

#include "imgcap/data/captions_write.h"
#include "tests/cli/given.h"
#include "tests/cli/refused.h"
#include "tests/cli/training_run.h"

namespace fs = std::filesystem;
using tensor::io::Json;
using tests::check_refused;
using tests::Folder;
using tests::Given;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

namespace {

const std::string kAssets = tests::assets() + "/photos/";

// Five photos, one damaged and one twice, and two files of captions.
struct Set {
  Folder folder;
  std::string photos = folder / "photos", captions = folder / "captions.csv", more = folder / "more.jsonl";

  Set() {
    fs::create_directories(photos + "/sub");
    const std::string bear = kAssets + "coco_000000000285.jpg", skier = kAssets + "coco_000000000785.jpg";
    fs::copy_file(bear, photos + "/bear.jpg");
    fs::copy_file(bear, photos + "/sub/again.jpg");
    fs::copy_file(skier, photos + "/skier.jpg");
    tests::write_text(photos + "/cut.jpg", tests::read_text(bear).substr(0, 300));
    tests::write_text(photos + "/alone.png", "x");
    tests::write_text(
        captions,
        "Image Name;Caption;Split\nbear.jpg;A bear .;train\nbear.jpg;A bear .;train\n"
        "bear.jpg;The bear of the long  caption .;train\nImages/skier.jpg;A man;val\ncut.jpg;Cut;train\n"
        "gone.jpg;Where?;test\nbroken\n");
    tests::write_text(more,
                      "{\"image\": \"again\", \"captions\": [\"One\", \"Two\"]}\n{\"image\": \"bear.jpg\", "
                      "\"caption\": \"x\"}\n");
  }
};

Result ran(const std::vector<std::string>& command) {
  Result result = run(command);
  CAPTURE(result.err);
  CHECK(result.code == 0);
  return result;
}

}  // namespace

TEST_CASE("data check: what is there, what is missing, what is there twice") {
  const Set set;
  Given given({"data", "check"});
  const Json found =
      read_json(ran(given({"--captions", set.captions, set.more, "--images", set.photos, "--json"})).out);
  CHECK(found.at("files") == Json::array({Json::object({{"file", set.captions}, {"format", "csv"}}),
                                          Json::object({{"file", set.more}, {"format", "jsonl"}})}));
  CHECK(found.at("captions") == 9);
  CHECK(found.at("captioned_photos") == 5);
  CHECK(found.at("photos_with") == Json::object({{"1", 3}, {"2", 1}, {"4", 1}}));
  CHECK(found.at("longest_words") == 7);
  CHECK(found.at("longest_of") == "bear.jpg");
  CHECK(found.at("splits") == Json::object({{"test", 1}, {"train", 2}, {"val", 1}}));
  CHECK(found.at("rows_skipped") == 1);
  CHECK(found.at("problems") == Json::array({set.captions + ":8: 1 fields; the header has 3"}));
  CHECK(found.at("same_captions") == 1);
  CHECK(found.at("photos") == 5);
  CHECK(found.at("captions_without_photo") == Json::array({"gone.jpg"}));
  CHECK(found.at("photos_without_captions") == Json::array({"alone.png"}));
  REQUIRE(found.at("unreadable").size() == 2);
  CHECK(found.at("unreadable").at(0).at("image") == "alone.png");
  CHECK(has(found.at("unreadable").at(1).at("error").as_text(), "cut.jpg"));
  CHECK(found.at("same_photos") ==
        Json::array({Json::object({{"image", "bear.jpg"}, {"same_as", "sub/again.jpg"}})}));

  const std::string text =
      ran({"data", "check", "--captions", set.captions, set.more, "--images", set.photos}).out;
  for (const std::string& line :
       {"captions              " + set.captions + " (csv format)\n", std::string("9 captions of 5 photos\n"),
        std::string("captions per photo    1: 3 photos\n                      2: 1 photo\n"),
        std::string("longest caption       7 words, of bear.jpg\n"),
        std::string("splits                test 1, train 2, val 1\n"),
        "rows skipped          1, the first: " + set.captions + ":8: ",
        std::string("same caption twice    1, the first of bear.jpg\n"),
        std::string("photos                5, 3 can be read\n"),
        std::string("captions, no photo    1: gone.jpg\n"),
        std::string("photos, no caption    1: alone.png\n"),
        std::string("unreadable photos     2: alone.png ("),
        std::string("same photo twice      1: bear.jpg = sub/again.jpg\n"),
        std::string("to train with         4 photos with captions, less those that cannot be read\n")}) {
    CAPTURE(line);
    CAPTURE(text);
    CHECK(has(text, line));
  }
  CHECK(std::count(text.begin(), text.end(), '\n') < 24);

  const Json names = read_json(
      ran(given({"--captions", set.captions, "--images", set.photos, "--names-only", "--json"})).out);
  CHECK(names.find("unreadable") == nullptr);
  CHECK(names.at("photos_without_captions") == Json::array({"alone.png", "sub/again.jpg"}));
  const Json captions = read_json(ran(given({"--captions", set.captions, "--json"})).out);
  CHECK(captions.find("photos") == nullptr);
  CHECK(captions.at("captioned_photos") == 4);
  CHECK(has(ran({"data", "check", "--captions", set.more}).out, "splits                none\n"));

  ran(given({"--captions", set.captions, "--expect-photos", "4", "--expect-captions", "6"}));
  ran({"data", "check", "--captions", set.captions, "--images", set.photos, "--names-only", "--expect-photos",
       "5"});
  const Result other =
      run({"data", "check", "--captions", set.captions, "--expect-photos", "5", "--expect-captions", "7"});
  check_refused(
      other,
      "imgcap: 5 photos were expected, and there are 4\nimgcap: 7 captions were expected, and there are 6\n");
  CHECK(has(other.out, "6 captions of 4 photos"));
  CHECK(given.left() == "");
  check_refused(run({"data", "check", "--captions", set.captions, "--names-only"}),
                "--names-only is about the photos");
  check_refused(run({"data", "check", "--captions", set.folder / "none"}), "none: cannot be read");
  check_refused(run({"data"}), "A subcommand is required");
}

TEST_CASE("data convert: each format from each other one, with what it loses on stderr") {
  const Set set;
  Given given({"data", "convert"});
  const std::string start = set.folder / "start.json";
  const Result first = ran(given({set.captions, start, "--to", "karpathy"}));
  CHECK(given.left() == "");
  CHECK(first.out == start + ": 6 captions, karpathy format, from csv\n");
  CHECK(has(first.err, "6 captions (csv format), 1 rows skipped, the first: "));
  const auto captions = imgcap::read_captions(start);
  for (const std::string& from : imgcap::written_formats())
    for (const std::string& to : imgcap::written_formats()) {
      CAPTURE(from);
      CAPTURE(to);
      const std::string a = set.folder / from, b = set.folder / (from + "_" + to);
      if (!fs::exists(a)) ran({"data", "convert", start, a, "--to", from});
      const Result converted = ran({"data", "convert", a, b, "--to", to});
      const auto before = imgcap::read_captions(a), after = imgcap::read_captions(b);
      const bool splits_go = !before.split_of.empty() && after.split_of.empty();
      CHECK(has(converted.err, b + ": the format " + to + " does not hold the splits") == splits_go);
      CHECK((after.split_of == before.split_of || splits_go));
      const bool names_go = has(converted.err, "does not hold the extensions of the photos' names");
      CHECK(names_go == (to == "folder" && from != "folder"));
      if (to != "folder") CHECK(after.captions == before.captions);
      CHECK(after.captions.size() == captions.captions.size());
    }
  check_refused(run({"data", "convert", start, set.folder / "x", "--to", "coco-results"}),
                "coco-results not in {");
  check_refused(run({"data", "convert", start, set.folder / "no/x", "--to", "csv"}), "there is no folder");
  check_refused(run({"data", "convert", set.photos, set.folder / "x", "--to", "csv"}),
                "a folder without .txt files");
  check_refused(run({"data", "convert", start, set.photos, "--to", "folder"}), "is no empty folder");
}
