// Captions from each format into each other one.
#include "imgcap/data/captions_write.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>

#include "tensor/error.h"
#include "tests/folder.h"
#include "tests/json.h"
#include "tests/text.h"

using imgcap::Caption;
using imgcap::CaptionFile;
using imgcap::read_captions;
using imgcap::write_captions;
using tests::read_json;
using Names = std::vector<std::string>;

namespace {

CaptionFile of(std::vector<Caption> captions, std::map<std::string, std::string> splits = {}) {
  CaptionFile file;
  file.captions = std::move(captions);
  file.split_of = std::move(splits);
  return file;
}

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<Caption> without_extensions(std::vector<Caption> captions) {
  for (Caption& caption : captions) caption.image = caption.image.substr(0, caption.image.rfind('.'));
  return captions;
}

// By image, as a folder has them.
std::vector<Caption> sorted(std::vector<Caption> captions) {
  std::stable_sort(captions.begin(), captions.end(),
                   [](const Caption& a, const Caption& b) { return a.image < b.image; });
  return captions;
}

const std::string kExtensions = "the extensions of the photos' names (they are found without)";

}  // namespace

TEST_CASE("captions are written in each format and read back, from each into each other one") {
  const tests::TemporaryFolder folder("written");
  const CaptionFile plain = of({{"a/COCO_val2014_000000000139.jpg", 0, " A \"dog\" ; runs , fast ."},
                                {"a/COCO_val2014_000000000139.jpg", 1, "\u00e9t\u00e9 | two\ttabs"},
                                {"b.jpg", 0, "{\"x\": 1}"},
                                {"1.jpg", 0, "image,caption"},
                                {"1.jpg", 1, "[\"x"}});
  for (const std::string& from : imgcap::written_formats()) {
    CAPTURE(from);
    const auto first = folder.path / ("from_" + from);
    CHECK(write_captions(plain, from, first) == (from == "folder" ? Names{kExtensions} : Names{}));
    const CaptionFile read = read_captions(first);
    CHECK(read.report.format == from);
    CHECK(read.report.skipped == 0);
    if (from == "folder")
      CHECK(read.captions == sorted(without_extensions(plain.captions)));
    else
      CHECK(read.captions == plain.captions);
    for (const std::string& to : imgcap::written_formats()) {
      CAPTURE(to);
      const auto second = folder.path / (from + "_to_" + to);
      const Names losses = write_captions(read, to, second);
      CHECK(losses == (to == "folder" && from != "folder" ? Names{kExtensions} : Names{}));
      if (to != "folder")
        CHECK(read_captions(second).captions == read.captions);
      else
        CHECK(read_captions(second).captions == sorted(without_extensions(plain.captions)));
    }
  }
}

TEST_CASE("what a format cannot hold is named") {
  const tests::TemporaryFolder folder("written");
  const CaptionFile file = of({{"a.jpg", 2, "two\r\nlines"}, {"a.jpg", 0, "x"}, {"b.jpg", 0, "y"}},
                              {{"a.jpg", "train"}, {"b.jpg", "test"}});
  const std::string splits = "the splits", numbers = "the captions' own numbers",
                    breaks = "line breaks in captions";
  const std::map<std::string, Names> losses = {{"results.csv", {breaks, splits}},
                                               {"csv", {}},
                                               {"token", {breaks, splits}},
                                               {"coco", {splits, numbers}},
                                               {"karpathy", {numbers}},
                                               {"jsonl", {numbers}},
                                               {"folder", {splits, numbers, kExtensions, breaks}}};
  for (const auto& [format, lost] : losses) {
    CAPTURE(format);
    const auto out = folder.path / format;
    CHECK(write_captions(file, format, out) == lost);
    const CaptionFile read = read_captions(out);
    const bool has_splits = std::find(lost.begin(), lost.end(), splits) == lost.end();
    CHECK(read.split_of == (has_splits ? file.split_of : std::map<std::string, std::string>{}));
    REQUIRE(read.captions.size() == 3);
    const bool has_breaks = std::find(lost.begin(), lost.end(), breaks) == lost.end();
    const bool by_number = format == "karpathy" || format == "folder";
    CHECK(read.captions[by_number ? 1 : 0].text == (has_breaks ? "two\r\nlines" : "two  lines"));
    const bool has_numbers = std::find(lost.begin(), lost.end(), numbers) == lost.end();
    CHECK(read.captions[0].number == (has_numbers ? 2 : 0));
  }
}

TEST_CASE("what other programs read in the written files is there") {
  const tests::TemporaryFolder folder("written");
  const CaptionFile file =
      of({{"v/COCO_val2014_000000000001.jpg", 0, "A man's (red) hat, 2 ."}, {"b.jpg", 0, "x"}},
         {{"b.jpg", "val"}});
  write_captions(file, "coco", folder.path / "coco.json");
  // b.jpg has no number, and 1 is taken.
  CHECK(
      read_json(text_of(folder.path / "coco.json")).at("images") ==
      read_json(
          R"([{"id": 1, "file_name": "v/COCO_val2014_000000000001.jpg"}, {"id": 2, "file_name": "b.jpg"}])"));
  write_captions(file, "karpathy", folder.path / "dataset.json");
  CHECK(read_json(text_of(folder.path / "dataset.json")).at("images") == read_json(R"([
    {"imgid": 0, "filepath": "v", "filename": "COCO_val2014_000000000001.jpg", "sentids": [0], "sentences":
      [{"tokens": ["a", "mans", "red", "hat", "2"], "raw": "A man's (red) hat, 2 .", "imgid": 0, "sentid": 0}]},
    {"imgid": 1, "filename": "b.jpg", "split": "val", "sentids": [1], "sentences":
      [{"tokens": ["x"], "raw": "x", "imgid": 1, "sentid": 1}]}])"));
  write_captions(file, "csv", folder.path / "a.csv");
  CHECK(text_of(folder.path / "a.csv") ==
        "image_name,comment_number,comment,split\nv/COCO_val2014_000000000001.jpg,0,\"A man's (red) hat, 2 "
        ".\",\n"
        "b.jpg,0,x,val\n");
}

TEST_CASE("names that a format cannot hold are refused, and nothing is written outside of a folder") {
  const tests::TemporaryFolder folder("written");
  const auto error = [&](const std::string& image, const std::string& format) {
    const auto out = folder.path / "out";
    try {
      write_captions(of({{image, 0, "x"}}), format, out);
    } catch (const tensor::Error& e) {
      CHECK(e.kind() == tensor::ErrorKind::data);
      CHECK_FALSE(std::filesystem::exists(out));
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(error("a|b.jpg", "results.csv") == "the photo \"a|b.jpg\" cannot be named in the format results.csv");
  CHECK(error("a\nb.jpg", "results.csv") ==
        "the photo \"a\\x0ab.jpg\" cannot be named in the format results.csv");
  CHECK(error("a\tb.jpg", "token") == "the photo \"a\\x09b.jpg\" cannot be named in the format token");
  for (const std::string image : {"../a.jpg", "/tmp/a.jpg", "a/../../b.jpg", "a\\b.jpg"})
    CHECK(tests::has(error(image, "folder"), "cannot be a file in the folder"));
  CHECK_THROWS_WITH_AS(
      write_captions(of({{"a.jpg", 0, "x"}, {"a.png", 0, "y"}}), "folder", folder.path / "out"),
      "\"a.jpg\" and \"a.png\" would be one file, a.txt", tensor::Error);
  CHECK_THROWS_AS(write_captions(of({{"a.jpg", 0, "x"}}), "coco-results", folder.path / "out"),
                  tensor::Error);
  // An empty folder is taken; a name that is too long leaves nothing, the folder's other files neither.
  std::filesystem::create_directory(folder.path / "there");
  write_captions(of({{"a.jpg", 0, "x"}}), "folder", folder.path / "there");
  CHECK_THROWS_AS(
      write_captions(of({{"a.jpg", 0, "x"}, {std::string(300, 'n'), 0, "y"}}), "folder", folder.path / "out"),
      tensor::Error);
  CHECK_THROWS_AS(write_captions(of({{"a.jpg", 0, "x"}}), "folder", folder.path / "no/out"), tensor::Error);
  size_t left = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path))
    left += entry.path().filename() != "there";
  CHECK(left == 0);
  CHECK_THROWS_WITH_AS(
      write_captions(of({{"a.jpg", 0, "x"}}), "folder", folder.path / "there"),
      ((folder.path / "there").string() + ": is there already and is no empty folder").c_str(),
      tensor::Error);
}
