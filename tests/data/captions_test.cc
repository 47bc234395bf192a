#include "imgcap/data/captions.h"

#include <doctest/doctest.h>
#include <sys/mman.h>

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
  REQUIRE(many.report.problems.size() == 10);  // the first ones
  CHECK(many.report.problems[7] == "f:10: longer than 1048576 bytes");
  CHECK(many.report.problems[9] == "f:12: fewer than three fields between \"|\"");
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
  CHECK(file.report.format == "csv");
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

TEST_CASE("captions: a row between commas has exactly the header's fields") {
  const auto file = parse_captions(
      "image,caption,extra\n"
      "a.jpg,fits,x\n"
      "a.jpg,one less\n"
      "a.jpg,one,more,x\n"
      "a.jpg,\"quoted, commas\",x\n"
      "a.jpg,empty at the end,\n"
      "a.jpg,one empty more,,\n"
      "\n"
      "  \n",
      "f");
  CHECK(file.captions ==
        Captions{{"a.jpg", 0, "fits"}, {"a.jpg", 1, "quoted, commas"}, {"a.jpg", 2, "empty at the end"}});
  CHECK(file.report.problems == Names{"f:3: 2 fields; the header has 3", "f:4: 4 fields; the header has 3",
                                      "f:7: 4 fields; the header has 3"});
  CHECK(file.report.kept == 3);
  CHECK(file.report.skipped == 3);
}

TEST_CASE("captions: between commas, a row without image, number or caption is skipped") {
  const auto file = parse_captions(
      "\n\r\n"
      "comment,image_name,comment_number\n"
      "good, a.jpg , 3 \n"
      "no number,a.jpg,\n"
      "below 0,a.jpg,-1\n"
      "half,a.jpg,1.5\n"
      "too large,a.jpg,2147483648\n"
      "largest,a.jpg,2147483647\n"
      "no image, ,1\n"
      "  ,a.jpg,1\n",
      "f");
  CHECK(file.captions == Captions{{"a.jpg", 3, "good"}, {"a.jpg", 2147483647, "largest"}});
  CHECK(file.report.problems ==
        Names{"f:5: comment_number is no caption number", "f:6: comment_number is no caption number",
              "f:7: comment_number is no caption number", "f:8: comment_number is no caption number",
              "f:10: no image name", "f:11: no caption"});
}

TEST_CASE("captions: quotes between commas") {
  const auto file = parse_captions(
      "image,caption\r\n"
      "a.jpg,\"two\nlines\"\r\n"
      "a.jpg,\"behind\" the quote\n"
      "a.jpg,in \"the\" middle\n"
      "a.jpg,\"\"\"all\"\"\"\n"
      "\"b,1.jpg\",\"\"\n"
      "a.jpg,a \r stays\r\n",
      "f");
  CHECK(file.captions == Captions{{"a.jpg", 0, "two\nlines"},
                                  {"a.jpg", 1, "behind the quote"},
                                  {"a.jpg", 2, "in \"the\" middle"},
                                  {"a.jpg", 3, "\"all\""},
                                  {"a.jpg", 4, "a \r stays"}});
  // The line where a row begins, line breaks in quotes counted.
  CHECK(file.report.problems == Names{"f:7: no caption"});
  CHECK(parse_error("image,caption\na.jpg,\"x\ny\"\nb.jpg,\"z\n\n") ==
        "f:4: a quoted field that begins here is never closed");
}

TEST_CASE("captions: 64 columns and captions of a mebibyte, no more") {
  const auto columns = [](size_t count) {
    std::string header = "image,caption", row = "a.jpg,x";
    for (size_t i = 2; i < count; ++i) header += ",c", row += ",1";
    return parse_captions(header + "\n" + row + "\na.jpg,short\n" + row + "\n", "f");
  };
  CHECK(columns(64).captions == Captions{{"a.jpg", 0, "x"}, {"a.jpg", 1, "x"}});
  const auto wide = [&](const std::string& row) {
    return parse_captions("image,caption\na.jpg,good\n" + row + "\n", "f").report.problems;
  };
  std::string fields = "a.jpg,x";
  for (int i = 2; i < 64; ++i) fields += ",1";
  CHECK(wide(fields) == Names{"f:3: 64 fields; the header has 2"});
  CHECK(wide(fields + ",1") == Names{"f:3: a field is longer than 1048576 bytes or there are too many"});

  // A field may have a mebibyte; image and caption together, too.
  const size_t most = size_t{1} << 20;
  const auto long_caption = [](size_t bytes, const char* format) {
    const std::string text(bytes, 'x');
    return parse_captions(std::string(format) == "csv" ? "image,caption\na.jpg,good\na.jpg," + text + "\n"
                                                       : "a.jpg|0|good\na.jpg|1|" + text + "\n",
                          "f")
        .report;
  };
  for (const char* format : {"csv", "pipe"}) {
    CAPTURE(format);
    CHECK(long_caption(most - 5, format).kept == 2);
    CHECK(long_caption(most - 4, format).problems == Names{std::string(format) == "csv"
                                                               ? "f:3: longer than 1048576 bytes"
                                                               : "f:2: longer than 1048576 bytes"});
  }
  const std::string other = "image,caption,other\na.jpg,good,1\na.jpg,good,";
  CHECK(parse_captions(other + std::string(most, 'x') + "\n", "f").report.kept == 2);
  CHECK(parse_captions(other + std::string(most + 1, 'x') + "\n", "f").report.problems ==
        Names{"f:3: a field is longer than 1048576 bytes or there are too many"});
}

TEST_CASE("captions: a header between | is one in the first row only") {
  CHECK(parse_captions("\n \n image_name |x|y\na.jpg|0|x\nimage_name|1|y\n", "f").captions ==
        Captions{{"a.jpg", 0, "x"}, {"image_name", 1, "y"}});
  CHECK(parse_captions("a.jpg| 0 |x\n", "f").captions == Captions{{"a.jpg", 0, "x"}});
  CHECK(parse_captions("a.jpg|0|x||y|\n", "f").captions == Captions{{"a.jpg", 0, "x||y|"}});
  CHECK(parse_error("a.jpg|0x|x\n").ends_with("f:1: the second field is no caption number)"));
}

TEST_CASE("captions: what eval writes, and COCO files with an id twice") {
  // Results name the image itself, under "captions".
  const auto results = parse_captions(
      R"({"split": "test", "captions": [{"image_id": "a.jpg", "caption": "x"}, {"caption": "y"}]})", "f");
  CHECK(results.report.format == "coco");
  CHECK(results.captions == Captions{{"a.jpg", 0, "x"}});
  CHECK(results.report.problems == Names{"f: result 2: no image name"});
  // The first name of an image counts.
  const auto twice = parse_captions(
      R"({"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}],
          "annotations": [{"image_id": 1, "caption": "x"}]})",
      "f");
  CHECK(twice.captions == Captions{{"a.jpg", 0, "x"}});
  // A caption that is skipped takes no number.
  const auto skipped = parse_captions(
      R"([{"image_id": 1, "caption": " "}, {"image_id": 1, "caption": "x"}, {"image_id": -2, "caption": "y"}])",
      "f");
  CHECK(skipped.captions == Captions{{"1", 0, "x"}, {"-2", 0, "y"}});
  CHECK(skipped.report.skipped == 1);
  // Names and ids of the wrong type are none.
  const auto types = parse_captions(
      R"({"images": [{"id": 1.5, "file_name": "a.jpg"}, {"id": "s", "file_name": 7}],
          "annotations": [{"image_id": "s", "caption": "x"}, {"image_id": 1.5, "caption": "y"}]})",
      "f");
  CHECK(types.captions == Captions{{"s", 0, "x"}});
  CHECK(types.images_by_id == 1);
  CHECK(types.report.problems == Names{"f: annotation 2: no image has the id (none)"});
}

TEST_CASE("captions: JSON of 256 levels is read, of 257 it is not") {
  const auto nested = [](size_t levels) {
    return "[{\"image_id\": 1, \"caption\": \"x\", \"more\": " + std::string(levels - 2, '[') +
           std::string(levels - 2, ']') + "}]";
  };
  CHECK(parse_captions(nested(256), "f").captions == Captions{{"1", 0, "x"}});
  CHECK(parse_error(nested(257)) == "f: JSON nested deeper than 256 levels");
}

TEST_CASE("captions: ids that are file names already stay as they are") {
  CaptionFile results, references;
  references.captions = {{"7", 0, "x"}};
  references.image_of_id = {{"7", "seven.jpg"}, {"8", "eight.jpg"}};
  results.captions = {{"7", 0, "a"}, {"8", 0, "b"}, {"8", 1, "c"}, {"9", 0, "d"}};
  CHECK(imgcap::rename_images_by_id(results, references) == 2);
  CHECK(results.captions ==
        Captions{{"7", 0, "a"}, {"eight.jpg", 0, "b"}, {"eight.jpg", 1, "c"}, {"9", 0, "d"}});
}

TEST_CASE("captions: files over a gibibyte are refused before they are read") {
  // Memory that is never touched, so it costs nothing.
  const size_t bytes = (size_t{1} << 30) + 1;
  void* memory = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  const std::string_view huge(static_cast<const char*>(memory), bytes);
  CHECK(data_error([&] { parse_captions(huge, "f"); }) == "f: 1073741825 bytes; the limit is 1073741824");
  ::munmap(memory, bytes);
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
  CHECK(parse_error("{]") == "f:1: no valid JSON at column 2");
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
    const std::string name = "f";
    imgcap::formats::Reading reading(name, file);
    CHECK(data_error([&] { imgcap::formats::parse_document(nothing, reading); }).starts_with("f:"));
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
  const std::string longest(4096, 'x');
  CHECK(imgcap::parse_image_list(" " + longest + " \n", "l").names == Names{longest});
  CHECK(data_error([&] { imgcap::parse_image_list(longest + "x", "l"); }) ==
        "l:1: an image name of 4097 bytes; expected one name per line");
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
  check_file("flickr30k/sample_original_format.csv", "csv", 15729, 12861);
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
