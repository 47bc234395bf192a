#include "imgcap/data/picture_format.h"

#include <doctest/doctest.h>

#include "imgcap/data/archive.h"
#include "tests/data/byte_tensors.h"
#include "tests/data_dir.h"

using namespace imgcap;
using tests::contains;
using tests::error_of;

namespace {

std::string golden(const std::string& archive, const std::string& name) {
  const auto all =
      tests::read_byte_tensors(tests::source_dir() / "tests/golden" / (archive + ".safetensors"));
  const auto& bytes = all.at("file/" + name).bytes;
  return {bytes.begin(), bytes.end()};
}

PictureFormat format_of(std::string_view text) {
  return picture_format({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

std::string names_of(const ImageSource& source) {
  std::string all;
  for (int64_t i = 0; i < source.size(); ++i) all += source.name(i) + " ";
  return all;
}

}  // namespace

TEST_CASE("names of pictures") {
  for (const char* name : {"a.jpg", "a.JPG", "a.jpeg", "x/y.PnG", "a.bmp", "a.gif", "a.b.jpe", "a.jfif",
                           "a.webp", "a.tif", "a.TIFF", "a.heic", "a.HEIF", "a.avif"})
    CHECK(has_picture_name(name));
  for (const char* name : {"jpg", ".jpg", "a.jpgx", "a.txt", "a", "", "a.tar", "a.nef"})
    CHECK_FALSE(has_picture_name(name));
  for (const char* name : {"a.nef", "a.CR2", "x/a.dng"}) CHECK(has_raw_name(name));
  for (const char* name : {"a.tif", "nef", ".nef"}) CHECK_FALSE(has_raw_name(name));
}

TEST_CASE("formats are told apart by the first bytes") {
  using namespace std::string_literals;
  const std::map<std::string, PictureFormat> whole = {{"baseline_420.jpg", PictureFormat::jpeg},
                                                      {"rgb.png", PictureFormat::png},
                                                      {"rgb.bmp", PictureFormat::bmp},
                                                      {"still.gif", PictureFormat::gif}};
  for (const auto& [name, format] : whole) CHECK(format_of(golden("images", name)) == format);
  CHECK(format_of(golden("formats", "lossy.webp")) == PictureFormat::webp);
  for (const char* name : {"raw.tif", "big_endian.tif", "big.tif"})
    CHECK(format_of(golden("formats", name)) == PictureFormat::tiff);
  CHECK(format_of("MM\0+\0\x08\0\0"s) == PictureFormat::tiff);
  for (const char* brand : {"heic", "mif1", "avif", "avis", "heix"})
    CHECK(format_of("\0\0\0\x18"s + "ftyp" + brand) == PictureFormat::heif);
  // Other members of the families, and texts that begin alike.
  for (const std::string& text :
       {"\0\0\0\x18"s + "ftypmp42", "RIFF\x10\0\0\0WAVE"s, "BMW is a car, and so are others"s, "BM"s,
        "II, said she"s, "GIF88a"s, ""s, "\xff\xd8"s, "RIFF"s})
    CHECK(format_of(text) == PictureFormat::none);
  const auto cut = [](const std::string& text) {
    for (size_t size = 0; size <= 64; ++size) format_of(std::string_view(text).substr(0, size));
  };
  cut(golden("images", "rgb.bmp"));
  cut(golden("formats", "lossy.webp"));
}

TEST_CASE("folders: pictures by name or content, and a count of the rest") {
  const tests::TempFolder folder;
  const std::string photo = golden("images", "baseline_420.jpg"), tiff = golden("formats", "raw.tif");
  for (const char* name : {"a.jpg", "b.jfif", "c.webp", "d.tif", "e.heic", "damaged.png"})
    folder.write(std::string("p/") + name, std::string("not looked at"));
  for (const char* name : {"no extension", "wrong.txt", "sub/x.jpg_large"})
    folder.write(std::string("p/") + name, photo);
  folder.write("p/y.scan", tiff);
  for (const char* name : {"1.txt", "2.TXT", "list.csv", "Makefile", ".hidden.jpg", "sub/.DS_Store",
                           "empty.bin", "long.averylongextension"})
    folder.write(std::string("p/") + name, std::string(name[0] == 'e' ? "" : "BM no picture"));
  folder.write("p/raw.NEF", tiff);
  std::filesystem::create_directory(folder.path() / "p/dir.txt");
  const ImageSource source({folder.path() / "p"});
  CHECK(names_of(source) ==
        "a.jpg b.jfif c.webp d.tif damaged.png e.heic no extension sub/x.jpg_large wrong.txt y.scan ");
  REQUIRE(source.passed_over().size() == 1);
  CHECK(source.passed_over()[0] == (folder.path() / "p/").string() +
                                       ": passed over 9 files that are no pictures: 2 .txt, 2 hidden, 2 "
                                       "without an extension, 1 .bin, 1 .csv, "
                                       "1 .nef");
  CHECK(source.read_image(6).width == 37);
  CHECK(source.read_head(6, 3) == std::vector<uint8_t>{0xFF, 0xD8, 0xFF});
  CHECK(source.read_head(0, 100).size() == 13);

  // Nothing to say, one, and more kinds than a line holds.
  folder.write("all/a.jpg", photo);
  CHECK(ImageSource({folder.path() / "all"}).passed_over().empty());
  folder.write("all/a.txt", std::string("x"));
  CHECK(contains(ImageSource({folder.path() / "all"}).passed_over().at(0),
                 "all/: passed over a file that is no picture: 1 .txt"));
  for (const char c : std::string("bcdefgh")) folder.write(std::string("all/a.") + c, std::string("x"));
  CHECK(contains(
      ImageSource({folder.path() / "all"}).passed_over().at(0),
      "passed over 8 files that are no pictures: 1 .b, 1 .c, 1 .d, 1 .e, 1 .f, 1 .g, 2 of other kinds"));
  // A file that is given itself is not looked at.
  CHECK(ImageSource({folder.path() / "p/1.txt"}).passed_over().empty());
  folder.write("none/a.txt", std::string("x"));
  CHECK(contains(error_of([&] { ImageSource({folder.path() / "none"}); }), "; it holds 1 .txt"));
}
