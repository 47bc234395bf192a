// Captions, features and photos as the verbs read them.
#include "imgcap/cli/data_options.h"

#include <doctest/doctest.h>

#include "imgcap/cli/photos.h"
#include "tensor/error.h"
#include "tests/cli/captured.h"
#include "tests/cli/refused.h"
#include "tests/cli/training_run.h"

namespace fs = std::filesystem;
using namespace imgcap;
using namespace imgcap::cli;
using tensor::ErrorKind;
using tests::Folder;
using tests::has;
using tests::refused;
using tests::said_by;

namespace {

const std::string kBear = tests::assets() + "/photos/coco_000000000285.jpg",
                  kSkier = tests::assets() + "/photos/coco_000000000785.jpg";

}  // namespace

TEST_CASE("captions of several files are put together by photo, in the files' order") {
  const Folder folder;
  const std::string header = "image_name| comment_number| comment\n";
  tests::write_text(folder / "a", header + "x.jpg|1|second\nx.jpg|0|first\ny.jpg|0|of y\nbroken\nx.jpg\n");
  tests::write_text(folder / "b", header + "x.jpg|0|third\n");
  std::vector<CaptionsByPhoto> captions;
  const auto said = said_by([&] { captions = load_captions({folder / "a", folder / "b"}); });
  CHECK(captions.size() == 2);
  CHECK(captions[0] == CaptionsByPhoto{{"x.jpg", {"first", "second"}}, {"y.jpg", {"of y"}}});
  CHECK(captions[1] == CaptionsByPhoto{{"x.jpg", {"third"}}});
  CHECK(has(said.err, "2 rows skipped"));
  CHECK(has(said.err, (folder / "a") + ":5"));
  CHECK(said_by([&] { load_captions({folder / "b"}); }).err.empty());
  tests::write_text(folder / "ids", R"({"images":[{"id":1},{"id":2,"file_name":"z.jpg"}],"annotations":[)"
                                    R"({"image_id":1,"caption":"a dog"},{"image_id":2,"caption":"a cat"}]})");
  CHECK(refused([&] { load_captions({folder / "ids"}); }, ErrorKind::data) ==
        (folder / "ids") +
            ": 1 of its images have no file_name, by which photos are found; ids alone do for imgcap score");
}

TEST_CASE("features: made once, added to, and never mixed") {
  const Folder folder;
  const LoadedEncoder encoder = load_encoder("efficientnet_lite2", tests::encoder_in_the_box());
  const std::string photos = folder / "photos", cache = folder / "features.safetensors";
  fs::create_directory(photos);
  fs::copy_file(kBear, photos + "/bear.jpg");
  fs::copy_file(kSkier, photos + "/skier.jpg");
  // Twelve that cannot be read, of one byte each.
  std::vector<std::string> broken;
  for (int i = 0; i < 12; ++i) {
    broken.push_back("broken" + std::to_string(100 + i) + ".jpg");
    tests::write_text(photos + "/" + broken.back(), "x");
  }
  const auto load = [&](const std::vector<std::string>& names, const std::string& file,
                        EncodeReport* report = nullptr, EncodeOptions options = {}) {
    return load_features(encoder, {photos}, names, file, options, report);
  };

  SUBCASE("without a file") {
    EncodeReport report;
    const auto said = said_by([&] {
      const FeatureCache features = load({"skier.jpg", "gone.jpg", "bear.jpg", "lost.jpg"}, "", &report);
      CHECK(features.names() == std::vector<std::string>{"skier.jpg", "bear.jpg"});
      const auto rows =
          encode_images(encoder, {read_image(kSkier)}).to(tensor::DType::f16).to(tensor::DType::f32);
      CHECK(features.rows({0}).to_vector<float>() == rows.to_vector<float>());
    });
    CHECK(said.err == "2 photos are missing (first: gone.jpg)\n");
    CHECK(report.skipped.empty());
    CHECK(std::distance(fs::directory_iterator(folder / "."), {}) == 1);
    CHECK(refused([&] { said_by([&] {
                          load({"gone.jpg", "lost.jpg"}, "");
                        }); }, ErrorKind::data) ==
          "images: none of 2 photos is there and can be read (first: gone.jpg)");
  }

  SUBCASE("a photo without its end mark is encoded, with a warning") {
    std::string bytes = tests::read_text(kBear);
    tests::write_text(photos + "/endless.jpg", bytes.substr(0, bytes.size() - 2) + std::string(3000, '\0'));
    EncodeReport report;
    const auto said = said_by([&] {
      const FeatureCache features = load({"bear.jpg", "endless.jpg"}, "", &report);
      CHECK(features.rows({0}).to_vector<float>() == features.rows({1}).to_vector<float>());
    });
    CHECK(said.err == "endless.jpg: warning: the JPEG has no end mark; its picture is whole\n");
    CHECK(report.warned.size() == 1);
    CHECK(report.skipped.empty());
  }

  SUBCASE("with a file") {
    std::vector<std::string> names = broken;
    names.emplace_back("bear.jpg");
    EncodeReport report;
    auto said = said_by([&] { CHECK(load(names, cache, &report).size() == 1); });
    CHECK(tests::count(said.err, "skipped broken") == 10);  // by name
    CHECK(has(said.err, "skipped broken100.jpg: "));
    CHECK(has(said.err, "12 photos cannot be read and are skipped\n"));
    CHECK_FALSE(has(said.err, "added"));
    CHECK(report.skipped.size() == 12);
    REQUIRE(fs::exists(cache));
    // What is there is not made again, and the photos are not even looked for.
    const std::string before = tests::read_text(cache);
    said = said_by([&] {
      CHECK(load_features(encoder, {"/nowhere"}, {"bear.jpg"}, cache).find("bear.jpg").has_value());
    });
    CHECK(said.err.empty());
    // Those that still cannot be read are counted, not tried.
    report = {};
    said = said_by([&] { CHECK(load(names, cache, &report).size() == 1); });
    CHECK(said.err == "12 photos cannot be read and are skipped (first: broken100.jpg)\n");
    CHECK(report.skipped.empty());
    CHECK(tests::read_text(cache) == before);
    // Another one is added, and one whose size has changed is tried again.
    tests::write_text(photos + "/broken100.jpg", "xx");
    fs::copy_file(kSkier, photos + "/broken101.jpg", fs::copy_options::overwrite_existing);
    said = said_by([&] {
      const FeatureCache features = load({}, cache);  // all that are there
      CHECK(features.names() == std::vector<std::string>{"bear.jpg", "broken101.jpg", "skier.jpg"});
      CHECK(features.unreadable().size() == 11);
      CHECK(features.unreadable().at("broken100.jpg") == 2);
    });
    CHECK(has(said.err, "10 photos cannot be read and are skipped (first: broken102.jpg)\n"));
    CHECK(has(said.err, cache + ": 3 photos are added\n"));
    CHECK(has(said.err, "skipped broken100.jpg"));
    CHECK(FeatureCache::open(cache).size() == 3);
    // A file of another encoder stays as it is.
    EncodeOptions mirrored;
    mirrored.augmentation.kind = Augmentation::Kind::mirror;
    const std::string whole = tests::read_text(cache);
    CHECK(has(refused([&] { load({"bear.jpg"}, cache, nullptr, mirrored); }, ErrorKind::data),
              cache + ": these features are of another encoder"));
    CHECK(tests::read_text(cache) == whole);
    CHECK(has(refused([&] { load({"bear.jpg"}, folder / "none/features"); }, ErrorKind::io),
              "there is no folder"));
  }
}

TEST_CASE("what is passed over among the photos is said once") {
  const Folder folder;
  const std::string photos = folder / "photos";
  fs::create_directory(photos);
  fs::copy_file(kBear, photos + "/bear");
  tests::write_text(photos + "/captions.csv", "image,caption\n");
  tests::write_text(photos + "/a\x1b.t\x1bt", "");
  const auto said = said_by([&] {
    for (int i = 0; i < 3; ++i) CHECK(open_images({photos}).size() == 1);
  });
  CHECK(said.err ==
        "imgcap: " + photos + "/: passed over 2 files that are no pictures: 1 .csv, 1 .t\\x1bt\n");
  // Photo by photo, too: by caption and classify.
  const std::string others = folder / "others";
  fs::create_directory(others);
  fs::copy_file(kBear, others + "/bear.txt");
  tests::write_text(others + "/list.txt", "");
  Program program;
  int count = 0;
  CHECK(said_by([&] { for_each_photo({others}, true, program, [&](const Photo&) { ++count; }); }).err ==
        "imgcap: " + others + "/: passed over a file that is no picture: 1 .txt\n");
  CHECK(count == 1);
  CHECK(program.exit_code == 0);
}

TEST_CASE("photo by photo: a warning is said once and changes nothing else") {
  const Folder folder;
  const std::string bytes = tests::read_text(kBear);
  tests::write_text(folder / "endless.jpg", bytes.substr(0, bytes.size() - 2));
  for (const bool as_json : {false, true}) {
    Program program;
    const auto said = said_by([&] {
      for_each_photo({folder / "endless.jpg", kBear}, as_json, program,
                     [&](const Photo& photo) { CHECK(photo.image.pixels == read_image(kBear).pixels); });
    });
    CHECK(said.err == "imgcap: " + (folder / "endless.jpg") +
                          ": warning: the JPEG has no end mark; its picture is whole\n");
    CHECK(said.out.empty());
    CHECK(program.exit_code == 0);
  }
}

TEST_CASE("photos of a data set without captions are told") {
  Dataset data;
  CHECK(said_by([&] { report_without_captions(data); }).err.empty());
  data.without_captions = {"a\x1b.jpg", "b.jpg"};
  CHECK(said_by([&] { report_without_captions(data); }).err ==
        "2 photos have no captions and are left out (first: a\\x1b.jpg)\n");
}

TEST_CASE("photo by photo: what cannot be read is named, and the others are done") {
  const Folder folder;
  fs::create_directory(folder / "photos");
  fs::copy_file(kBear, folder / "photos/b.jpg");
  tests::write_text(folder / "photos/a.jpg", "no picture");
  for (const bool as_json : {false, true}) {
    CAPTURE(as_json);
    Program program;
    std::vector<std::string> used;
    const auto said = said_by([&] {
      for_each_photo({kSkier, folder / "photos/", folder / "missing/", folder / "missing.jpg", kBear},
                     as_json, program, [&](const Photo& photo) {
                       used.push_back(photo.name);
                       CHECK(photo.image.width > 0);
                       CHECK(milliseconds_since(photo.start) >= 0);
                     });
    });
    CHECK(used == std::vector<std::string>{kSkier, "b.jpg", kBear});
    CHECK(program.exit_code == 2);
    CHECK(tests::count(said.err, "imgcap: ") == 3);
    CHECK(has(said.err, "imgcap: " + (folder / "photos/a.jpg") + ": "));
    CHECK(has(said.err, "missing/"));
    CHECK(has(said.err, "missing.jpg: "));
    if (as_json) {
      const auto lines = tests::json_lines(said.out);
      REQUIRE(lines.size() == 3);
      CHECK(lines[0].at("image") == "a.jpg");
      CHECK(has(lines[0].at("error").as_text(), "a.jpg: "));
      CHECK(lines[1].at("image") == folder / "missing/");
      CHECK(lines[2].at("image") == folder / "missing.jpg");
    } else {
      CHECK(said.out.empty());
    }
  }
  Program program;
  for_each_photo({kBear}, false, program, [](const Photo&) {});
  CHECK(program.exit_code == 0);
  // What goes wrong with what is done with a photo is no fault of the photo, nor are arguments.
  CHECK(refused(
            [&] {
              for_each_photo({kBear}, false, program,
                             [](const Photo&) { tensor::fail(ErrorKind::data, "mine"); });
            },
            ErrorKind::data) == "mine");
}
