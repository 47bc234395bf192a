// The formats of caption files that other people have, each with the ways in which it comes. The files in
// golden/captions are made by make.py there.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "imgcap/data/captions.h"
#include "imgcap/data/captions_formats.h"
#include "tensor/error.h"
#include "tests/data_dir.h"
#include "tests/folder.h"
#include "tests/text.h"

using imgcap::Caption;
using imgcap::CaptionFile;
using imgcap::EmptyCaptions;
using imgcap::parse_captions;
using imgcap::read_captions;
using tests::has;
using Captions = std::vector<Caption>;
using Names = std::vector<std::string>;

namespace {

std::string error_of(const std::string& text) {
  try {
    parse_captions(text, "f");
  } catch (const tensor::Error& e) {
    CHECK(e.kind() == tensor::ErrorKind::data);
    return e.what();
  }
  return "no error";
}

std::string utf16(const std::u16string& text, bool big_endian) {
  std::string bytes = big_endian ? "\xFE\xFF" : "\xFF\xFE";
  for (const char16_t unit : text) {
    const char high = static_cast<char>(unit >> 8), low = static_cast<char>(unit & 0xFF);
    bytes += big_endian ? std::string{high, low} : std::string{low, high};
  }
  return bytes;
}

const std::filesystem::path kGolden = std::filesystem::path(IMGCAP_SOURCE_DIR) / "tests/golden/captions";

void write(const std::filesystem::path& file, std::string_view text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

}  // namespace

TEST_CASE("caption formats: one data set in every format is the same captions") {
  const CaptionFile coco = read_captions(kGolden / "references.json");
  REQUIRE(coco.captions.size() == 12);
  CHECK(coco.captions[5] == Caption{"b.jpg", 2, "A pair on a green bench ."});
  for (const auto& [file, format] : {std::pair{"cr_line_ends.csv", "csv"},
                                     {"flickr8k_token.txt", "token"},
                                     {"karpathy.json", "karpathy"},
                                     {"metadata.jsonl", "jsonl"},
                                     {"number_as_float.csv", "csv"}}) {
    CAPTURE(file);
    const CaptionFile other = read_captions(kGolden / file);
    CHECK(other.captions == coco.captions);
    CHECK(other.report.format == format);
    CHECK(other.report.skipped == 0);
  }
  CaptionFile folders = read_captions(kGolden / "folder_in_name.csv");
  CHECK(folders.captions[0].image == "Images/a.jpg");
  imgcap::rename_images(folders.captions, imgcap::PhotoNames({"a.jpg", "b.jpg", "c.jpg", "d.jpg"}), "f");
  CHECK(folders.captions == coco.captions);
}

TEST_CASE("caption formats: titles in any case, with blanks, between commas, semicolons, tabs and |") {
  const Captions expected = {{"a.jpg", 0, "One"}, {"a.jpg", 1, "Two"}};
  for (const std::string header :
       {"Image Name;Caption", " FILENAME ; TEXT ", "file_name\tcomment", "\"image\",\"caption_text\"",
        "Image|Text", "caption,image", "Raw,File-Name", "image_id,sentence"}) {
    CAPTURE(header);
    const char d = header[header.find_first_of(";\t|,")];
    const bool swapped = header.starts_with("caption,") || header.starts_with("Raw");
    std::string text = header + "\n";
    for (const std::string word : {"One", "Two"})
      text += (swapped ? word + d + "a.jpg" : "a.jpg" + std::string(1, d) + word) + "\n";
    CHECK(parse_captions(text, "f").captions == expected);
  }
  // A name goes before an id, and of two columns of captions the first counts.
  CHECK(parse_captions("image_id,image,caption,text\n7,a.jpg,One,x\n8,a.jpg,Two,x\n", "f").captions ==
        expected);
  CHECK(parse_captions("image;comment_number;comment\na.jpg;0.0;One\na.jpg;1.;Two\n", "f").captions ==
        expected);
  CHECK(parse_captions("image,comment_number,comment\na.jpg,0.5,x\na.jpg,1.0,y\n", "f").captions ==
        Captions{{"a.jpg", 1, "y"}});
  // A list of captions in one field, as the Hugging Face hub has Flickr30k.
  const CaptionFile list = parse_captions(
      "raw,sentids,split,filename\n\"[\"\"One\"\", \"\"Two\"\"]\",\"[0, "
      "1]\",test,a.jpg\n[\"\"cut,[],test,a.jpg\n",
      "f");
  CHECK(list.captions[0] == expected[0]);
  CHECK(list.captions[1] == expected[1]);
  CHECK(list.split_of.at("a.jpg") == "test");
}

TEST_CASE("caption formats: UTF-16 with its mark, CR alone, and what is malformed") {
  const Captions expected = {{"a.jpg", 0, "un \u00e9t\u00e9 \U0001F43B"}, {"b.jpg", 0, "two"}};
  for (const bool big : {false, true}) {
    CAPTURE(big);
    CHECK(parse_captions(utf16(u"image,caption\r\na.jpg,un \u00e9t\u00e9 \U0001F43B\r\nb.jpg,two\r\n", big),
                         "f")
              .captions == expected);
    const std::string alone = utf16(u"image,caption\na.jpg,\xD83D\n", big);
    CHECK(error_of(alone) == "f:2: bytes that are no valid UTF-8; is this a text file in UTF-8?");
    CHECK(has(error_of(utf16(u"image,caption\na.jpg,\xDC3B\xD83D\n", big)), "f:2: "));
    CHECK(has(error_of(utf16(u"image,caption\na.jpg,x\n", big) + "x"), "f:3: "));
    CHECK(imgcap::parse_image_list(utf16(u"a.jpg\rb.jpg", big), "l").names == Names{"a.jpg", "b.jpg"});
  }
  CHECK(has(error_of("\xFF\xFE"), "the file is empty"));
  for (const std::string text :
       {"a.jpg|0|x\rb.jpg|1|y\r", "a.jpg#0\tx\rb.jpg#1\ty\r",
        "\xEF\xBB\xBF"
        "image,comment_number,comment\ra.jpg,0,x\rb.jpg,1,y",
        "{\"image\":\"a.jpg\",\"caption\":\"x\"}\r{\"image\":\"b.jpg\",\"caption\":\"y\"}\r"}) {
    CAPTURE(text);
    const Captions captions = parse_captions(text, "f").captions;
    REQUIRE(captions.size() == 2);
    CHECK(captions[1].image == "b.jpg");
    CHECK(captions[1].text == "y");
  }
}

TEST_CASE("caption formats: Flickr8k.token.txt, and lines that are nearly so") {
  const CaptionFile file = parse_captions(
      "a.jpg#0\tA dog, a caption .\nb#1.jpg#12\tTwo\ttabs\nc.jpg#x\tx\nd.jpg\ty\ne.jpg#1 no tab\n#0\tno "
      "name\n",
      "f");
  CHECK(file.captions == Captions{{"a.jpg", 0, "A dog, a caption ."}, {"b#1.jpg", 12, "Two\ttabs"}});
  CHECK(file.report.format == "token");
  CHECK(file.report.problems == Names{"f:3: no #number behind the image", "f:4: no #number behind the image",
                                      "f:5: no tab between name#number and caption", "f:6: no image name"});
  CHECK(parse_captions("a.jpg#0\tx, image, text\n", "f").captions ==
        Captions{{"a.jpg", 0, "x, image, text"}});
  CHECK(error_of("a.jpg#0 A dog runs\n") ==
        "f: not one caption in it (token format; f:1: no tab between name#number and caption)");
}

TEST_CASE("caption formats: Karpathy's files with folders, splits, ids and words") {
  const CaptionFile file = parse_captions(
      R"({"images": [
        {"filepath": "val2014", "sentids": [1], "filename": "COCO_val2014_000000000139.jpg", "cocoid": 139, "split": "restval",
         "sentences": [{"tokens": ["a", "dog"], "raw": "A dog.", "imgid": 0, "sentid": 1}, {"raw": "Two."}]},
        {"filename": "b.jpg", "split": "test", "sentences": [{"tokens": ["only", "words"]}, {"raw": " "}]},
        {"filename": "c.jpg", "split": "val", "sentences": []}], "dataset": "coco"})",
      "f");
  CHECK(file.report.format == "karpathy");
  const std::string first = "val2014/COCO_val2014_000000000139.jpg";
  CHECK(file.captions == Captions{{first, 0, "A dog."}, {first, 1, "Two."}, {"b.jpg", 0, "only words"}});
  CHECK(file.split_of == std::map<std::string, std::string>{{first, "restval"}, {"b.jpg", "test"}});
  CHECK(file.image_of_id.at("139") == first);
  CHECK(file.report.problems == Names{"f: image 2: no caption", "f: image 3: no caption"});
  CHECK(parse_captions(R"({"images": [{"id": 1, "file_name": "a.jpg", "captions": ["x", "y"]}]})", "f")
            .captions == Captions{{"a.jpg", 0, "x"}, {"a.jpg", 1, "y"}});
}

TEST_CASE("caption formats: JSON lines with any of the titles, lists of captions, errors and bad lines") {
  const CaptionFile file = parse_captions(
      R"({"image": "a.jpg", "caption": "One", "alternatives": [{"caption": "no"}], "score": NaN}
{"file_name": "b.jpg", "captions": ["One", "Two", 3], "split": "val"}
{"image": "c.jpg", "error": "cannot be read"}

{"image_id": 139.0, "text": "x"}
{"image_id": "139", "text": "y", "image_id": 7}
{"caption": "whose?"}
{"image": "d.jpg", "caption": ""}
{"image": "e.jpg", "caption": "cut
[1]
{"image": "f.jpg", "sentences": [{"raw": "Of a sentence"}]}
)",
      "f");
  CHECK(file.report.format == "jsonl");
  CHECK(file.captions == Captions{{"a.jpg", 0, "One"},
                                  {"b.jpg", 0, "One"},
                                  {"b.jpg", 1, "Two"},
                                  {"139", 0, "x"},
                                  {"139", 1, "y"},
                                  {"f.jpg", 0, "Of a sentence"}});
  CHECK(file.failed == Names{"c.jpg"});
  CHECK(file.split_of == std::map<std::string, std::string>{{"b.jpg", "val"}});
  CHECK(file.report.problems == Names{"f:7: no image name", "f:8: no caption",
                                      "f:9: no valid JSON at column 35", "f:10: no image name"});
  // A single object that is no document.
  CHECK(parse_captions(R"({"images": 3, "image": "a.jpg", "captions": ["x"]})", "f").captions ==
        Captions{{"a.jpg", 0, "x"}});
  CHECK(error_of("{\"image\": \"a.jpg\"}\n{\"image\": \"b.jpg\"}") ==
        "f: not one caption in it (jsonl format; f:1: no caption)");
  CHECK(error_of("{\"image\": \"a.jpg\", \"caption\": \"x\"") == "f:1: no valid JSON at column 34");
}

TEST_CASE("caption formats: COCO results as Python writes them, and lists with names") {
  for (const char* file : {"results_float_id.json", "results_nan.json"}) {
    CAPTURE(file);
    const CaptionFile results = read_captions(kGolden / file);
    REQUIRE(results.captions.size() == 4);
    CHECK(results.captions[3] == Caption{"4", 0, "a bus waits at a stop"});
  }
  CHECK(parse_captions(
            R"([{"image_id": 1, "x": Infinity, "y": [-Infinity, {"z": NaN}], "caption": "NaN \"Infinity"}])",
            "f")
            .captions == Captions{{"1", 0, "NaN \"Infinity"}});
  CHECK(error_of(R"([{"image_id": NaN, "caption": "x"}])") ==
        "f: not one caption in it (coco-results format; f: result 1: no image name)");
  for (const std::string bad : {"NaNs", "-NaN", "1NaN", "Infinit", "NaN NaN", "nan"}) {
    CAPTURE(bad);
    CHECK(has(error_of("[{\"image_id\": 1, \"caption\": \"x\", \"y\": " + bad + "}]"),
              "f:1: no valid JSON at column"));
  }
  // A list of photos with all their captions, where image_id is something else.
  const CaptionFile list = parse_captions(
      R"([{"image": "val2014/a.jpg", "image_id": "coco_5", "caption": ["One", "Two"], "split": "test"}, {"image": 5, "image_id": 6, "caption": "x"}])",
      "f");
  CHECK(list.captions == Captions{{"val2014/a.jpg", 0, "One"}, {"val2014/a.jpg", 1, "Two"}, {"6", 0, "x"}});
  CHECK(list.split_of == std::map<std::string, std::string>{{"val2014/a.jpg", "test"}});
  const std::string empty = R"([{"image_id": 1, "caption": ""}, {"image_id": 2, "caption": "x"}])";
  CHECK(parse_captions(empty, "f").captions == Captions{{"2", 0, "x"}});
  CHECK(parse_captions(empty, "f", EmptyCaptions::keep).captions == Captions{{"1", 0, ""}, {"2", 0, "x"}});
}

TEST_CASE("caption formats: a photo in two splits is refused") {
  CHECK(error_of("image,caption,split\na.jpg,x,train\na.jpg,y,\nb.jpg,z,val\na.jpg,w,val\n") ==
        "f:5: \"a.jpg\" is in the split val here, and in train before");
}

TEST_CASE("caption formats: a folder of texts, with the photos beside them or not") {
  const tests::TemporaryFolder folder("captions");
  write(folder.path / "a/1.txt", "One\r\n\r\nTwo");
  write(folder.path / "a/1.png", "");
  write(folder.path / "2.jpg.txt", "Three\n");
  write(folder.path / "train.txt", "1.png\n");
  write(folder.path / "empty.txt", " \n");
  write(folder.path / "bad.txt", "\xFF\n");
  write(folder.path / ".hidden.txt", "no\n");
  write(folder.path / ".git/x.txt", "no\n");
  write(folder.path / "notes.md", "no\n");
  const CaptionFile file = read_captions(folder.path);
  CHECK(file.report.format == "folder");
  CHECK(file.captions == Captions{{"2.jpg", 0, "Three"}, {"a/1.png", 0, "One"}, {"a/1.png", 1, "Two"}});
  const std::string root = folder.path.string();
  CHECK(file.report.problems == Names{root + "/bad.txt: no picture of this name beside it",
                                      root + "/empty.txt: no picture of this name beside it",
                                      root + "/train.txt: no picture of this name beside it"});
  // Photos elsewhere.
  std::filesystem::remove(folder.path / "a/1.png");
  const CaptionFile alone = read_captions(folder.path);
  CHECK(alone.captions ==
        Captions{{"2.jpg", 0, "Three"}, {"a/1", 0, "One"}, {"a/1", 1, "Two"}, {"train", 0, "1.png"}});
  CHECK(alone.report.problems ==
        Names{root + "/bad.txt:1: bytes that are no valid UTF-8; is this a text file in UTF-8?",
              root + "/empty.txt: no caption"});
  write(folder.path / "metadata.jsonl", "{\"file_name\": \"a.jpg\", \"text\": \"of the hub\"}\n");
  CHECK(read_captions(folder.path).captions == Captions{{"a.jpg", 0, "of the hub"}});
  const tests::TemporaryFolder none("captions");
  CHECK_THROWS_WITH_AS(read_captions(none.path),
                       (none.path.string() +
                        ": a folder without .txt files; expected one for each photo, one caption per line")
                           .c_str(),
                       tensor::Error);
}

TEST_CASE("caption formats: the number in a photo's name") {
  using imgcap::id_in_name;
  CHECK(id_in_name("COCO_val2014_000000000139.jpg") == 139);
  CHECK(id_in_name("val/000000000139.jpg") == 139);
  CHECK(id_in_name("1000092795.jpg") == 1000092795);
  CHECK(id_in_name("0.png") == 0);
  for (const char* name : {"photo_2.jpg", "a.jpg", "", "-1.jpg", "1a.jpg", "667626_18933d713e.jpg",
                           "99999999999999999999.jpg", "x_0000000001390.jpg"}) {
    CAPTURE(name);
    CHECK_FALSE(id_in_name(name).has_value());
  }
  CaptionFile results =
      parse_captions(R"([{"image_id": 139, "caption": "x"}, {"image_id": 5, "caption": "y"}])", "r");
  CaptionFile references =
      parse_captions("image,caption\nCOCO_val2014_000000000139.jpg,z\na/7.jpg,z\nb/7.jpg,z\n", "f");
  results.failed = {"139", "6"};  // the same for what has an error, which is not counted
  CHECK(imgcap::rename_images_by_id(results, references) == 1);
  CHECK(results.failed == std::vector<std::string>{"COCO_val2014_000000000139.jpg", "6"});
  CHECK(results.captions[0].image == "COCO_val2014_000000000139.jpg");
  CHECK(results.captions[1].image == "5");
  const CaptionFile ids =
      parse_captions(R"({"images": [{"id": 139}], "annotations": [{"image_id": 139, "caption": "z"}]})", "f");
  CHECK(imgcap::rename_images_by_id(results, ids) == 1);
  CHECK(results.captions[0].image == "139");
  results.captions[0].image = "000000000007.jpg";  // is not a/7.jpg
  CHECK(imgcap::rename_images_by_id(results, references) == 0);
  results.captions[1].image = "7";
  CHECK_THROWS_WITH_AS(imgcap::rename_images_by_id(results, references),
                       "the id 7 is in two photos' names, \"a/7.jpg\" and \"b/7.jpg\"", tensor::Error);
}

TEST_CASE("caption formats: the nearest format says what is wrong") {
  CHECK(error_of("hello, world\n") == "f:1: the header has no column \"image_name\" or \"image\"");
  CHECK(error_of("image;price\na.jpg;3\n") == "f:1: the header has no column \"comment\" or \"caption\"");
  CHECK(error_of("a,b;caption\nx,y;z\n") == "f:1: the header has no column \"image_name\" or \"image\"");
  CHECK(error_of("p/a.jpg: a dog, a man (12 ms)\n") ==
        "f:1: this is what imgcap caption prints for people; --format json, coco and csv are for programs");
  CHECK(has(error_of("a.jpg\nb.jpg\n"), "f:1: no known caption format; expected"));
  CHECK(has(error_of("a.jpg|zero|x, caption\n"),
            "(results.csv format; f:1: the second field is no caption number)"));
}

TEST_CASE("caption formats: long hostile texts take linear time") {
  const size_t n = 4'000'000;
  CHECK(error_of("[" + std::string(n, '[')) == "f: JSON nested deeper than 256 levels");
  for (const char c : {'\t', ',', ';', '|', '"', '#', '\r', '{', '[', 'N', '\\', ':'}) {
    CAPTURE(c);
    for (const std::string start : {"", "{\"", "{\"a\":", "[", "image,caption\n", "a.jpg#0\tx\n", "a|0|x\n"})
      error_of(start + std::string(n, c));
  }
  std::string keys = "{";
  for (size_t i = 0; i < n / 8; ++i) keys += "\"images\"  ";
  error_of(keys);
  std::string nans = "[";
  for (size_t i = 0; i < n / 4; ++i) nans += "NaN,";
  error_of(nans);
}
