#include "imgcap/data/captions.h"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "imgcap/data/captions_formats.h"
#include "tensor/error.h"
#include "tests/data_dir.h"

using imgcap::Caption;
using imgcap::CaptionFile;
using imgcap::parse_captions;
using Captions = std::vector<Caption>;
using Names = std::vector<std::string>;

namespace {

template <class Call>
std::string data_error(Call call) {
  try {
    call();
  } catch (const tensor::Error& e) {
    CHECK(e.kind() == tensor::ErrorKind::data);
    return e.what();
  }
  return "no error";
}

std::string parse_error(const std::string& text) {
  return data_error([&] { parse_captions(text, "f"); });
}

const std::string kHeader = "image_name| comment_number| comment\n";

}  // namespace

TEST_CASE("captions: the results.csv format keeps the blank before the text") {
  const auto file = parse_captions(kHeader + "a.jpg| 0| A dog .\na.jpg| 1| \"Yes\" , it says .\n", "f");
  CHECK(file.captions == Captions{{"a.jpg", 0, " A dog ."}, {"a.jpg", 1, " \"Yes\" , it says ."}});
  CHECK(file.report.format == "results.csv");
  CHECK(file.report.kept == 2);
  CHECK(file.report.skipped == 0);
  CHECK(file.report.summary() == "2 captions (results.csv format)");
}

TEST_CASE("captions: byte order mark, CRLF, no header, no last line end, blank lines, a | in the text") {
  const Captions expected = {{"a.jpg", 0, " A dog ."}, {"b.jpg", 3, " A | cat"}};
  CHECK(parse_captions("\xEF\xBB\xBF" + kHeader + "a.jpg| 0| A dog .\n\nb.jpg| 3| A | cat", "f").captions ==
        expected);
  CHECK(parse_captions("a.jpg|0| A dog .\r\n\r\nb.jpg|3| A | cat\r\n", "f").captions == expected);
}

TEST_CASE("captions: bad rows are skipped, counted and the first ones named") {
  std::string text = kHeader + "2199200615.jpg| 4   A dog runs across the grass .\n" + "a.jpg| 0|   \n" +
                     "| 1| No image\n" + "a.jpg| x| Not a number\n" + "a.jpg| 2| Good\n" +
                     "a.jpg| -1| Negative\n" + "a.jpg| 99999999999| Large\n" + "nothing\n" + "a.jpg| 5|" +
                     std::string(2'000'000, 'x') + "\n";
  const auto file = parse_captions(text, "f");
  CHECK(file.captions == Captions{{"a.jpg", 2, " Good"}});
  CHECK(file.report.kept == 1);
  CHECK(file.report.skipped == 8);
  CHECK(file.report.problems ==
        Names{"f:2: fewer than three fields between \"|\"", "f:3: no caption", "f:4: no image name",
              "f:5: the second field is no caption number", "f:7: the second field is no caption number",
              "f:8: the second field is no caption number", "f:9: fewer than three fields between \"|\"",
              "f:10: longer than 1048576 bytes"});
  for (int i = 0; i < 100; ++i) text += "bad\n";
  const auto many = parse_captions(text, "f");
  CHECK(many.report.skipped == 108);
  CHECK(many.report.problems.size() == imgcap::CaptionReport::kMaxProblems);
  CHECK(many.report.summary().starts_with(
      "1 captions (results.csv format), 108 rows skipped, the first: f:2: "));
}

TEST_CASE("captions: fields between commas, quoted, with line breaks and other columns") {
  const auto file = parse_captions(
      ",image_name, comment_number, comment\n"
      "0,a.jpg,4, A surfer .\n"
      "1,b.jpg,0,\" A man , with \"\"Life\"\"\r\non it\"\n"
      "2,b.jpg,1\n"
      "\n"
      "3,b.jpg,2, Last",
      "f");
  CHECK(file.report.format == "comma");
  CHECK(file.captions == Captions{{"a.jpg", 4, " A surfer ."},
                                  {"b.jpg", 0, " A man , with \"Life\"\r\non it"},
                                  {"b.jpg", 2, " Last"}});
  CHECK(file.report.problems == Names{"f:5: 3 fields; the header has 4"});
  CHECK(parse_captions("image,caption\r\na.jpg,x\r\nb.jpg,\"y\"\r\na.jpg,z\r\n", "f").captions ==
        Captions{{"a.jpg", 0, "x"}, {"b.jpg", 0, "y"}, {"a.jpg", 1, "z"}});
  CHECK(parse_error("image,caption\na.jpg,\"never\nclosed")
            .starts_with("f:2: a quoted field that begins here"));
  CHECK(parse_error("a,b\n1,2\n") == "f:1: the header has no column \"image_name\" or \"image\"");
  CHECK(parse_error("image,b\n1,2\n") == "f:1: the header has no column \"comment\" or \"caption\"");
  const auto wide = parse_captions("image,caption\n" + std::string(100'000, ',') + "\na.jpg,\"" +
                                       std::string(2'000'000, 'x') + "\"\na.jpg,good\n",
                                   "f");
  CHECK(wide.report.skipped == 2);
  CHECK(wide.captions == Captions{{"a.jpg", 0, "good"}});
}

TEST_CASE("captions: COCO captions, in any order of the keys") {
  const std::string annotations = R"("annotations": [
      {"image_id": 9, "id": 1, "caption": "A dog.", "extra": {"caption": "no", "list": [1, {"image_id": 3}]}},
      {"image_id": 139, "id": 2, "caption": "A \u00e9."}, {"image_id": 9, "id": 3, "caption": "Two."},
      {"image_id": 77, "id": 4, "caption": "Whose?"}, {"image_id": 9, "id": 5}, {"image_id": 9, "caption": 5},
      {"image_id": 9, "caption": "a\u0000b"}, 17, [{"image_id": 9, "caption": "nested"}]])";
  const std::string images = R"("info": {"a": [1.5, null, true]},
      "images": [{"id": 9, "file_name": "9.jpg", "height": 3}, {"file_name": "139.jpg", "id": 139}, {"id": 5}])";
  for (const auto& text :
       {"{" + annotations + "," + images + "}", "\n{" + images + "," + annotations + "}\n"}) {
    const auto file = parse_captions(text, "f");
    CHECK(file.report.format == "coco");
    CHECK(file.captions ==
          Captions{{"9.jpg", 0, "A dog."}, {"139.jpg", 0, "A \u00e9."}, {"9.jpg", 1, "Two."}});
    CHECK(file.report.problems == Names{"f: annotation 4: no image has the id 77",
                                        "f: annotation 5: no caption", "f: annotation 6: no caption",
                                        "f: annotation 7: a NUL character"});
    CHECK(file.image_of_id.at("139") == "139.jpg");
    auto results =
        parse_captions(R"([{"image_id": 139, "caption": "x"}, {"image_id": "9.jpg", "caption": "y"},
                                      {"image_id": 8, "caption": "z"}])",
                       "r");
    CHECK(results.report.format == "coco-results");
    CHECK(results.captions == Captions{{"139", 0, "x"}, {"9.jpg", 0, "y"}, {"8", 0, "z"}});
    CHECK(imgcap::rename_images_by_id(results, file) == 1);
    CHECK(results.captions == Captions{{"139.jpg", 0, "x"}, {"9.jpg", 0, "y"}, {"8", 0, "z"}});
  }
}

TEST_CASE(
    "captions: COCO images without a file_name are named by their id, and counted where they have captions") {
  const auto file = parse_captions(
      R"({"images": [{"id": 1}, {"id": 2, "file_name": "b.jpg"}, {"id": 3}, {"id": 4, "file_name": " "}],
          "annotations": [{"image_id": 1, "caption": "x"}, {"image_id": 1, "caption": "y"},
                          {"image_id": 2, "caption": "z"}, {"image_id": 4, "caption": "w"}]})",
      "f");
  CHECK(file.captions == Captions{{"1", 0, "x"}, {"1", 1, "y"}, {"b.jpg", 0, "z"}, {"4", 0, "w"}});
  CHECK(file.report.skipped == 0);
  CHECK(file.images_by_id == 2);
}

TEST_CASE("captions: bad JSON is refused with its line") {
  CHECK(parse_error("{\"images\": [],\n \"annotations\": [}") == "f:2: no valid JSON at column 18");
  CHECK(parse_error("[{\"image_id\": 1, \"caption\": \"x\"}").starts_with("f:1: no valid JSON at column"));
  CHECK(parse_error("[{\"image_id\": 1, \"caption\": \"x\"}] x").starts_with("f:1: no valid JSON at column"));
  CHECK(parse_error(std::string(3'000'000, '[')) == "f: JSON nested deeper than 256 levels");
  CHECK(parse_error("{}") == "f: not one caption in it (coco format)");
  CHECK(parse_error("[]") == "f: not one caption in it (coco-results format)");
  CHECK(parse_error("[{\"caption\": \"x\"}]") ==
        "f: not one caption in it (coco-results format; f: result 1: no image name)");
}

TEST_CASE("captions: what is no caption file is refused") {
  CHECK(parse_error("") == "f: the file is empty; expected captions");
  CHECK(parse_error(" \n\n") == "f: the file is empty; expected captions");
  for (const std::string_view nothing : {std::string_view(), std::string_view(" \n")}) {  // found by fuzzing
    CaptionFile file;
    CHECK(data_error([&] { imgcap::formats::parse_coco(nothing, "f", file); }).starts_with("f:"));
  }
  CHECK(parse_error("hello\n").starts_with("f:1: no known caption format"));
  CHECK(parse_error(kHeader) == "f: not one caption in it (results.csv format)");
  CHECK(parse_error(kHeader + "a.jpg| 0|\n") ==
        "f: not one caption in it (results.csv format; f:2: no caption)");
  CHECK(parse_error(kHeader + "a.jpg| 0| x\nb.jpg| 0| \xff\n") ==
        "f:3: bytes that are no valid UTF-8; is this a text file in UTF-8?");
  std::string nul = kHeader;  // g++ 12 warns wrongly of adding a temporary to it
  nul.append("a.jpg| 0| x\0y\n", 14);
  CHECK(parse_error(nul).starts_with("f:2: a NUL byte"));
  CHECK_THROWS_AS(imgcap::read_captions("/no/such/file"), tensor::Error);
}

TEST_CASE("captions: image lists") {
  const auto list = imgcap::parse_image_list(
      "\xEF\xBB\xBF"
      "a.jpg\r\n\r\n b.jpg \na.jpg\nc d.jpg",
      "l");
  CHECK(list.names == Names{"a.jpg", "b.jpg", "c d.jpg"});
  CHECK(list.duplicates == Names{"l:4: \"a.jpg\" is on line 1 already"});
  CHECK(data_error([] { imgcap::parse_image_list("\n \n", "l"); }).starts_with("l: not one image name"));
  CHECK(data_error([] {
          imgcap::parse_image_list("a\n\xc0\n", "l");
        }).starts_with("l:2: bytes that are no valid UTF-8"));
  CHECK(data_error([] {
          imgcap::parse_image_list("a\n" + std::string(5000, 'x'), "l");
        }).starts_with("l:2: an image name of"));
}

TEST_CASE("captions: groups by image, selected by a list") {
  const Captions captions = {
      {"b", 1, "b1"}, {"a", 0, "a0"}, {"b", 0, "b0"}, {"b", 1, "b1 again"}, {"c", 0, "c0"}};
  const auto groups = imgcap::group_by_image(captions);
  REQUIRE(groups.size() == 3);
  CHECK(groups[0].image == "b");
  CHECK(groups[0].captions == std::vector<size_t>{2, 0, 3});
  CHECK(groups[1].image == "a");
  Names missing;
  const auto chosen = imgcap::select_images(groups, {"c", "x", "b"}, &missing);
  REQUIRE(chosen.size() == 2);
  CHECK(chosen[0].image == "c");
  CHECK(chosen[1].captions == groups[0].captions);
  CHECK(missing == Names{"x"});
}

TEST_CASE("captions: every file of the data folder reads, with its counts") {
  const auto dir = tests::data_dir();
  if (dir.empty()) SKIP(tests::kNoData);
  const auto check_file = [&](const char* name, const char* format, size_t captions, size_t images) {
    CAPTURE(name);
    const auto file = imgcap::read_captions(dir / name);
    CHECK(file.report.format == format);
    CHECK(file.report.skipped == 0);
    CHECK(file.captions.size() == captions);
    const auto groups = imgcap::group_by_image(file.captions);
    CHECK(groups.size() == images);
    for (const auto& caption : file.captions) REQUIRE(caption.text.front() == ' ');
    return groups;
  };
  const auto flickr30k = check_file("flickr30k/results.csv", "results.csv", 153665, 30733);
  check_file("flickr30k/sample_original_format.csv", "comma", 15729, 12861);
  const auto flickr8k = check_file("flickr8k/captions.csv", "results.csv", 38955, 7791);
  check_file("coco_subset/captions.csv", "results.csv", 1816, 363);
  check_file("cc_photos/captions.csv", "results.csv", 285, 57);

  const auto check_list = [&](const char* name, size_t size, const auto& groups) {
    CAPTURE(name);
    const auto list = imgcap::read_image_list(dir / name);
    CHECK(list.names.size() == size);
    CHECK(list.duplicates.empty());
    Names missing;
    CHECK(imgcap::select_images(groups, list.names, &missing).size() == size);
    CHECK(missing.empty());
  };
  check_list("flickr30k/train.txt", 28742, flickr30k);
  check_list("flickr30k/val.txt", 1005, flickr30k);
  check_list("flickr30k/test.txt", 986, flickr30k);
  check_list("flickr8k/train.txt", 6000, flickr8k);
  check_list("flickr8k/val.txt", 1000, flickr8k);
  check_list("flickr8k/test.txt", 700, flickr8k);
  check_list("flickr8k/unassigned.txt", 91, flickr8k);
}
