#include "imgcap/data/photo_names.h"

#include <doctest/doctest.h>

#include "tensor/error.h"

using imgcap::NamesOfFile;
using imgcap::normal_name;
using imgcap::PhotoNames;

namespace {

// The key that the name means, "-" for none, or the refusal.
std::string meant(const PhotoNames& photos, const std::string& name) {
  try {
    const auto key = photos.find(name);
    return key ? photos.keys()[static_cast<size_t>(*key)] : "-";
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == tensor::ErrorKind::data);
    return error.what();
  }
}

}  // namespace

TEST_CASE("photo names: separators, dots and composed letters are spelled one way") {
  CHECK(normal_name("a\\b\\1.jpg") == "a/b/1.jpg");
  CHECK(normal_name("./a//b/./1.jpg") == "a/b/1.jpg");
  CHECK(normal_name("/data/1.jpg") == "/data/1.jpg");
  CHECK(normal_name("../1.jpg") == "../1.jpg");
  CHECK(normal_name("caf\x65\xCC\x81.jpg") == "caf\xC3\xA9.jpg");  // e and an accent, as Macs write it
  CHECK(normal_name("caf\xC3\xA9.jpg") == "caf\xC3\xA9.jpg");
  CHECK(normal_name("\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB") ==
        "\xED\x95\x9C");                               // Hangul letters of one syllable
  CHECK(normal_name("caf\xE9.jpg") == "caf\xE9.jpg");  // Latin-1, no UTF-8
  CHECK(normal_name("").empty());
}

TEST_CASE("photo names: a name means the key whose end it is, or which is its end, in whole parts") {
  const PhotoNames photos({"a/1.jpg", "b/2.jpg", "b/3.jpg", "c/b/3.jpg", "4.jpg", "x/cafe\xCC\x81.jpg"});
  CHECK(meant(photos, "a/1.jpg") == "a/1.jpg");
  CHECK(meant(photos, "1.jpg") == "a/1.jpg");
  CHECK(meant(photos, "/data/photos/a/1.jpg") == "a/1.jpg");
  CHECK(meant(photos, "photos\\a\\1.jpg") == "a/1.jpg");
  CHECK(meant(photos, "c/1.jpg") == "-");
  CHECK(meant(photos, "11.jpg") == "-");
  CHECK(meant(photos, ".jpg") == "-");
  CHECK(meant(photos, "jpg") == "-");
  CHECK(meant(photos, "aa/1.jpg") == "-");
  CHECK(meant(photos, "1.JPG") == "-");
  CHECK(meant(photos, "any/where/4.jpg") == "4.jpg");
  CHECK(meant(photos, "caf\xC3\xA9.jpg") == "x/cafe\xCC\x81.jpg");
  CHECK(meant(photos, "b/3.jpg") == "b/3.jpg");  // an exact match wins
  CHECK(meant(photos, "c/b/3.jpg") == "c/b/3.jpg");
  CHECK(meant(photos, "") == "-");
}

TEST_CASE("photo names: what two photos may be meant by is refused, and both are named") {
  const PhotoNames photos({"a/1.jpg", "b/1.jpg", "x.jpg", "q/x.jpg"});
  CHECK(meant(photos, "1.jpg") ==
        "\"1.jpg\" means two photos, \"a/1.jpg\" and \"b/1.jpg\": name it with its folder");
  CHECK(meant(photos, "p/q/x.jpg") ==
        "\"p/q/x.jpg\" means two photos, \"q/x.jpg\" and \"x.jpg\": name it with its folder");
  CHECK(meant(photos, "x.jpg") == "x.jpg");
  CHECK(meant(photos, "z/b/1.jpg") == "b/1.jpg");
  // Keys that are spelled alike are one photo.
  CHECK(PhotoNames({"a/1.jpg", "./a//1.jpg"}).find("1.jpg") == 0);
}

TEST_CASE("photo names: two names of one file that mean one photo are refused") {
  const PhotoNames photos({"a/1.jpg", "b/2.jpg"});
  NamesOfFile names(photos, "captions.csv");
  CHECK(names.find("1.jpg") == 0);
  CHECK(names.find("1.jpg") == 0);
  CHECK(names.find("b/2.jpg") == 1);
  CHECK_FALSE(names.find("c/9.jpg").has_value());
  CHECK_THROWS_WITH_AS(names.find("a/1.jpg"),
                       "captions.csv: \"1.jpg\" and \"a/1.jpg\" mean one photo, \"a/1.jpg\"", tensor::Error);
  NamesOfFile other(photos, "more.csv");
  CHECK(other.find("a/1.jpg") == 0);
}

TEST_CASE("photo names: a hundred thousand photos of one name cost no more than others") {
  std::vector<std::string> keys;
  for (int i = 0; i < 100'000; ++i) keys.push_back(std::to_string(i) + "/deep/image.jpg");
  const PhotoNames photos(keys);
  for (int i = 0; i < 100'000; ++i) REQUIRE(photos.find(keys[static_cast<size_t>(i)]) == i);
  for (int i = 0; i < 100'000; i += 97) REQUIRE(photos.find("root/" + keys[static_cast<size_t>(i)]) == i);
  // Deep names are linear, too.
  std::string deep;
  for (int i = 0; i < 2'000; ++i) deep += "d/";
  CHECK_FALSE(photos.find(deep + "1.jpg").has_value());
}

TEST_CASE("photo names: one of the two may lack its extension") {
  const PhotoNames photos({"a/1.jpg", "b/2.JPG", "b/2.png", "x/v1.5.jpg", "plain", "c/3.jpg", "d/3.png"});
  CHECK(photos.find("1") == 0);
  CHECK(photos.find("a/1") == 0);
  CHECK(photos.find("photos/a/1") == 0);
  CHECK(photos.find("v1.5") == 3);
  CHECK(photos.find("plain.jpg") == 4);
  CHECK(photos.find("photos/plain.gif") == 4);
  CHECK(photos.find("1.png") == std::nullopt);  // two extensions are two photos
  CHECK(photos.find("c/1") == std::nullopt);
  CHECK(photos.find("v1") == std::nullopt);
  CHECK(photos.find("c/3") == 5);
  CHECK_THROWS_WITH_AS(photos.find("b/2"),
                       "\"b/2\" means two photos, \"b/2.JPG\" and \"b/2.png\": name it with its folder",
                       tensor::Error);
  CHECK_THROWS_WITH_AS(photos.find("3"),
                       "\"3\" means two photos, \"c/3.jpg\" and \"d/3.png\": name it with its folder",
                       tensor::Error);
  // Keys that are spelled alike are one here, too.
  CHECK(PhotoNames({"a/1.jpg", "./a/1.jpg"}).find("1") == 0);
}
