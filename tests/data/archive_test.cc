#include "imgcap/data/archive.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "tensor/error.h"
#include "tests/data/byte_tensors.h"
#include "tests/data_dir.h"

using namespace imgcap;
using tests::contains;
using tests::error_of;

namespace {

std::string octal(uint64_t value, int width) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*llo", width, static_cast<unsigned long long>(value));
  return text;
}

// One tar member; `change` may alter the header before its checksum is made.
template <class Change>
std::string member(const std::string& name, const std::string& bytes, char type, Change change) {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  header.replace(100, 7, "0000644");
  header.replace(124, 11, octal(bytes.size(), 11));
  header[156] = type;
  header.replace(257, 8, std::string("ustar\0", 6) + "00");
  change(header);
  header.replace(148, 8, 8, ' ');
  uint64_t sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  header.replace(148, 7, octal(sum, 6) + '\0');
  return header + bytes + std::string((512 - bytes.size() % 512) % 512, '\0');
}
std::string member(const std::string& name, const std::string& bytes, char type = '0') {
  return member(name, bytes, type, [](std::string&) {});
}
std::string pax_record(const std::string& key, const std::string& value) {
  const std::string rest = " " + key + "=" + value + "\n";
  size_t length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() != length) ++length;
  return std::to_string(length) + rest;
}
const std::string kEnd(1024, '\0');

std::string text_of(const ImageSource& source, int64_t index) {
  const auto bytes = source.read(index);
  return {bytes.begin(), bytes.end()};
}
std::string locations(const ImageSource& source) {
  std::string all;
  for (int64_t i = 0; i < source.size(); ++i) all += source.name(i) + " ";
  return all;
}

}  // namespace

TEST_CASE("folders, files and archives in one source") {
  const tests::TempFolder folder;
  folder.write("photos/b.jpg", std::string("B"));
  folder.write("photos/a.PNG", std::string("A"));
  folder.write("photos/sub/c.jpeg", std::string("C"));
  folder.write("photos/notes.txt", std::string("no"));
  folder.write("photos/.hidden.jpg", std::string("no"));
  folder.write("photos/._b.jpg", std::string("no"));
  std::filesystem::create_directory(folder.path() / "photos/folder.jpg");
  const auto single = folder.write("odd name", std::string("S"));
  const auto tar = folder.write(
      "t.tar", member("dir/", "", '5') + member("dir/z.jpg", "Z") + member("readme", "no") +
                   member("./y.jpg", std::string(700, 'Y')) + member("link.jpg", "", '2') + kEnd);
  const ImageSource source({tar, single, folder.path() / "photos"});
  CHECK(locations(source) == "dir/z.jpg y.jpg " + single.string() + " a.PNG b.jpg sub/c.jpeg ");
  CHECK(text_of(source, 0) == "Z");
  CHECK(text_of(source, 1) == std::string(700, 'Y'));
  CHECK(text_of(source, 2) == "S");
  CHECK(text_of(source, 5) == "C");
  CHECK(source.location(0) == tar.string() + ":dir/z.jpg");
  CHECK(source.location(5) == (folder.path() / "photos/sub/c.jpeg").string());
  CHECK(source.find("z.jpg") == 0);
  CHECK(source.find("dir/z.jpg") == 0);
  CHECK(source.find("sub/c.jpeg") == 5);
  CHECK(source.find("c.jpeg") == 5);
  CHECK_FALSE(source.find("nothing.jpg").has_value());
  CHECK_THROWS_AS(source.read(6), tensor::Error);
  CHECK_THROWS_AS(source.read(-1), tensor::Error);
  CHECK(
      contains(error_of([&] { source.read(1, 699); }), "t.tar:y.jpg: a file of 700 bytes, the limit is 699"));
  CHECK(contains(error_of([&] { source.read_image(1); }), "t.tar:y.jpg: no picture of a known format"));
}

TEST_CASE("tar: pictures by name or content, and a count of the rest") {
  const tests::TempFolder folder;
  const std::string png("\x89PNG\r\n\x1a\n", 8);
  const auto path =
      folder.write("t.tar", member("a/readme", "no") + member("a/photo", png) + member("b.txt", png) +
                                member("c.txt", "\x89PN") + member("d.webp", "") + member(".e.jpg", png) +
                                member("raw.dng", "II*") + kEnd);
  const ImageSource source({path});
  CHECK(locations(source) == "a/photo b.txt d.webp ");
  CHECK(source.read_head(0, 4) == std::vector<uint8_t>{0x89, 'P', 'N', 'G'});
  CHECK(source.read_head(0, 400).size() == 8);
  CHECK(source.read_head(2, 4).empty());
  REQUIRE(source.passed_over().size() == 1);
  CHECK(source.passed_over()[0] ==
        path.string() +
            ": passed over 4 files that are no pictures: 1 .dng, 1 .txt, 1 hidden, 1 without an extension");
}

TEST_CASE("two roots with one name each: the root stands in front, and the bare name is refused") {
  const tests::TempFolder folder;
  folder.write("one/a.jpg", std::string("1"));
  folder.write("two/a.jpg", std::string("2"));
  folder.write("two/b.jpg", std::string("2"));
  const ImageSource source({folder.path() / "one", folder.path() / "two"});
  CHECK(source.size() == 3);
  CHECK(source.find("b.jpg") == 2);
  const std::string text = error_of([&] { source.find("a.jpg"); });
  const std::string one = (folder.path() / "one/a.jpg").string(),
                    two = (folder.path() / "two/a.jpg").string();
  CHECK(text == "\"a.jpg\" means two photos, \"" + one + "\" and \"" + two + "\": name it with its folder");
  CHECK(locations(source) == one + " " + two + " b.jpg ");
  CHECK(source.find("one/a.jpg") == 0);
  CHECK(source.find("two/a.jpg") == 1);
  CHECK_FALSE(source.find("three/a.jpg").has_value());
  // One file, given twice, is one place; so is a member that was appended again, with its later bytes.
  const ImageSource again({folder.path() / "one", folder.path() / "one/a.jpg"});
  CHECK(again.find("a.jpg") == 0);
  const ImageSource updated(
      {folder.write("u.tar", member("a.jpg", "old") + member("b.jpg", "b") + member("a.jpg", "new") + kEnd)});
  CHECK(locations(updated) == "a.jpg b.jpg ");
  CHECK(text_of(updated, 0) == "new");
}

TEST_CASE("tar: long names, prefixes, pax headers, binary sizes") {
  const tests::TempFolder folder;
  const std::string long_name = std::string(200, 'd') + "/" + std::string(90, 'n') + ".jpg";
  const std::string gnu = member("././@LongLink", long_name + '\0', 'L') + member("cut", "1");
  const std::string pax =
      member("pax",
             pax_record("mtime", "1.5") + pax_record("path", "p/\xc3\xa9.jpg") + pax_record("size", "3"),
             'x') +
      member("short", "abc", '0', [](std::string& h) { h.replace(124, 11, "00000000000"); });
  const std::string prefix = member("q.jpg", "4", '0', [](std::string& h) { h.replace(345, 3, "pre"); });
  const std::string old_gnu = member("r.jpg", "5", '0', [](std::string& h) {
    h.replace(257, 8, std::string("ustar  \0", 8));
    h.replace(345, 3, "123");  // a time, not a prefix
  });
  const std::string old = member("s.jpg", "6", '\0', [](std::string& h) { h.replace(257, 8, 8, '\0'); });
  const std::string binary = member("t.jpg", "77", '0', [](std::string& h) {
    h.replace(124, 12, std::string("\x80\0\0\0\0\0\0\0\0\0\0\x02", 12));
  });
  const std::string global = member("g", pax_record("comment", "x"), 'g');
  const ImageSource source(
      {folder.write("a.tar", gnu + pax + prefix + global + old_gnu + old + binary + kEnd)});
  REQUIRE(source.size() == 6);
  CHECK(source.find(long_name) == 0);
  CHECK(text_of(source, 0) == "1");
  CHECK(source.find("p/\xc3\xa9.jpg") == 1);
  CHECK(text_of(source, 1) == "abc");
  CHECK(source.find("pre/q.jpg") == 2);
  CHECK(source.find("r.jpg") == 3);
  CHECK(text_of(source, 4) == "6");
  CHECK(text_of(source, 5) == "77");
  // Without the extension the magic number tells, and one block of zeros is an end.
  CHECK(ImageSource({folder.write("archive", old_gnu + std::string(512, '\0'))}).size() == 1);
}

TEST_CASE("tar: members of every kind and size, and those that are no files") {
  const tests::TempFolder folder;
  const auto claims = [](const char* size) { return [size](std::string& h) { h.replace(124, 11, size); }; };
  // Folders, links and devices have no bytes, whatever their size field says.
  std::string bytes;
  for (const char type : {'1', '2', '3', '4', '5', '6'})
    bytes += member("no.jpg", "", type, claims("00000000777")) + member(std::string(1, type) + ".jpg", "it");
  bytes += member("old/", "");                                      // a folder before POSIX
  bytes += member("long link", std::string(600, 'l') + '\0', 'K');  // names no file
  bytes += member("g", pax_record("path", "wrong.jpg") + pax_record("size", "1"), 'g');
  bytes += member("dense.jpg", "7", '7');
  for (const size_t size : {0, 1, 511, 512, 513, 1024})
    bytes += member(std::to_string(size) + "b.jpg", std::string(size, static_cast<char>('a' + size % 26)));
  const ImageSource source({folder.write("kinds.TAR", bytes + kEnd)});
  CHECK(locations(source) ==
        "1.jpg 2.jpg 3.jpg 4.jpg 5.jpg 6.jpg dense.jpg 0b.jpg 1b.jpg 511b.jpg 512b.jpg 513b.jpg 1024b.jpg ");
  for (int64_t i = 0; i < 6; ++i) CHECK(text_of(source, i) == "it");
  CHECK(text_of(source, 6) == "7");
  for (int64_t i = 7; i < source.size(); ++i) {
    const auto size = static_cast<size_t>(std::stoi(source.name(i)));
    CHECK(text_of(source, i) == std::string(size, static_cast<char>('a' + size % 26)));
  }
}

TEST_CASE("tar: fields that are full, blanks around numbers, and sums of signed characters") {
  const tests::TempFolder folder;
  const std::string full_name = std::string(96, 'n') + ".jpg", full_prefix(155, 'p');
  const std::string full =
      member(full_name, "1", '0', [&](std::string& h) { h.replace(345, 155, full_prefix); });
  const std::string blanks =
      member("b.jpg", "22", '0', [](std::string& h) { h.replace(124, 12, "   2        "); });
  const std::string digits =
      member("c.jpg", "333", '0', [](std::string& h) { h.replace(124, 12, "000000000003"); });
  std::string with_sign = member("\xc3\xa9.jpg", "4");
  int64_t sum = 0;
  with_sign.replace(148, 8, 8, ' ');
  for (size_t i = 0; i < 512; ++i) sum += static_cast<signed char>(with_sign[i]);
  with_sign.replace(148, 7, octal(static_cast<uint64_t>(sum), 6) + '\0');
  const ImageSource source({folder.write("f.tar", full + blanks + digits + with_sign + kEnd)});
  REQUIRE(source.size() == 4);
  CHECK(source.find(full_prefix + "/" + full_name) == 0);
  CHECK(text_of(source, 1) == "22");
  CHECK(text_of(source, 2) == "333");
  CHECK(source.find("\xc3\xa9.jpg") == 3);
  CHECK(text_of(source, 3) == "4");
}

TEST_CASE("tar: an extra header of a mebibyte is read") {
  const tests::TempFolder folder;
  const std::string name = "a.jpg" + std::string((1 << 20) - 5, '\0');
  const ImageSource source({folder.write("x.tar", member("long", name, 'L') + member("cut", "1") + kEnd)});
  CHECK(locations(source) == "a.jpg ");
}

TEST_CASE("what is listed, in which order, and what a name means") {
  const tests::TempFolder folder;
  for (const char* name : {"p/a/b.jpg", "p/a.jpg", "p/a-b.jpg", "p/B.jpg", "p/.dot/c.jpg", "p/.d.jpg"})
    folder.write(name, std::string(name));
  std::filesystem::create_directory_symlink(folder.path() / "p/a", folder.path() / "p/linked");
  std::filesystem::create_symlink(folder.path() / "p/a.jpg", folder.path() / "p/z.jpg");
  const ImageSource source({folder.path() / "p"});
  // Byte by byte, so capitals come first and "-" before "." before "/".
  std::vector<std::string> paths;
  for (int64_t i = 0; i < source.size(); ++i)
    paths.push_back(
        std::filesystem::path(source.location(i)).lexically_relative(folder.path() / "p").string());
  CHECK(paths == std::vector<std::string>{".dot/c.jpg", "B.jpg", "a-b.jpg", "a.jpg", "a/b.jpg", "z.jpg"});
  CHECK(text_of(source, 5) == "p/a.jpg");

  // A path says which of two with one base name is meant; the shorter path may be a base name, too.
  const ImageSource nested(
      {folder.write("n.tar", member("b/a.jpg", "1") + member(".//.b.jpg", "2") + member("././a.jpg", "3") +
                                 member("c/.x.jpg", "4") + member("readme.txt", "5") + kEnd)});
  CHECK(locations(nested) == "b/a.jpg a.jpg ");
  CHECK(nested.find("a.jpg") == 1);
  CHECK(nested.find("b/a.jpg") == 0);
  CHECK_FALSE(nested.find("c/b.jpg").has_value());
}

TEST_CASE("a source that was moved still reads") {
  const tests::TempFolder folder;
  ImageSource source({folder.write("a.tar", member("a.jpg", "A") + kEnd)});
  ImageSource moved = std::move(source);
  CHECK(text_of(moved, 0) == "A");
  moved = ImageSource({folder.write("b.jpg", std::string("B"))});
  CHECK(locations(moved) == (folder.path() / "b.jpg").string() + " ");
  CHECK(text_of(moved, 0) == "B");
}

TEST_CASE("a file of exactly the limit is read") {
  const tests::TempFolder folder;
  const ImageSource source(
      {folder.write("a.tar", member("a.jpg", "12345") + kEnd), folder.write("b.jpg", std::string("12345"))});
  for (const int64_t i : {0, 1}) {
    CHECK(source.read(i, 5).size() == 5);
    CHECK(contains(error_of([&] { source.read(i, 4); }), "a file of 5 bytes, the limit is 4"));
  }
}

TEST_CASE("hostile tar files: a sentence with file and offset") {
  const tests::TempFolder folder;
  const std::string good = member("a.jpg", "A");
  int number = 0;
  const auto text = [&](const std::string& bytes) {
    const auto path = folder.write("h" + std::to_string(++number) + ".tar", bytes);
    return error_of([&] { ImageSource({path}); });
  };
  const auto with_size = [&](const std::string& field) {
    return text(good + member("b.jpg", "B", '0', [&](std::string& h) { h.replace(124, 12, field); }) + kEnd);
  };
  std::string flipped = good + good + kEnd;
  flipped[1024 + 3] ^= 1;
  CHECK(contains(text(flipped), "h1.tar: wrong checksum in the tar header at byte 1024"));
  CHECK(contains(with_size("77777777777 "),
                 ".tar: the archive is cut short: the member at byte 1024 has 8589934591 bytes"));
  CHECK(contains(with_size("-0000000001 "), "the size in the tar header at byte 1024 is no number"));
  CHECK(contains(with_size("0000009     "), "is no number"));
  CHECK(contains(with_size(std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12)),
                 "is no number"));
  CHECK(contains(with_size(std::string("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12)), "cut short"));
  CHECK(contains(with_size(std::string("\x80\0\0\1\0\0\0\0\0\0\0\0", 12)), "is no number"));
  CHECK(contains(text(good), "cut short: no end mark at byte 1024"));
  CHECK(contains(text(good + "abc"), "cut short: no end mark at byte 1024"));
  CHECK(contains(text(member("a.jpg", std::string(600, 'A')).substr(0, 1100)),
                 "has 600 bytes, the file only 588 more"));
  CHECK(contains(text(member("a.jpg", "A").substr(0, 700)), "cut short at byte 700"));
  CHECK(contains(text(""), "no end mark at byte 0"));
  CHECK(contains(text("hello"), "no end mark at byte 0"));
  CHECK(contains(text(kEnd), "no pictures in the archive"));
  CHECK(contains(text(member("x.jpg", "", 'S') + kEnd), "the member at byte 0 is sparse"));
  CHECK(contains(text(member("p", pax_record("GNU.sparse.major", "1"), 'x') + good + kEnd), "sparse"));
  CHECK(
      contains(text(member("p", "999 path=a\n", 'x') + good + kEnd), "the pax header at byte 0 is damaged"));
  CHECK(contains(text(member("p", "path=a\n", 'x') + good + kEnd), "the pax header at byte 0 is damaged"));
  CHECK(contains(text(member("p", "3 a\n", 'x') + good + kEnd), "damaged"));
  CHECK(contains(text(member("p", pax_record("size", "-1"), 'x') + good + kEnd), "gives the size '-1'"));
  CHECK(contains(text(member("p", pax_record("size", "\x11"), 'x') + good + kEnd), "gives the size '\\x11'"));
  CHECK(contains(text(member("p", pax_record("size", "99999999999999999999"), 'x') + good + kEnd),
                 "gives the size"));
  CHECK(
      contains(text(member("p", pax_record("size", "9223372036854775807"), 'x') + good + kEnd), "cut short"));
  CHECK(contains(text(member("p", std::string((1 << 20) + 1, 'a'), 'L') + good + kEnd),
                 "extra header at byte 0 has 1048577"));

  // A file that shrinks after it was listed.
  const auto path = folder.write("shrinks.tar", good + kEnd);
  const ImageSource source({path});
  std::filesystem::resize_file(path, 512);
  CHECK(contains(error_of([&] { source.read(0); }), "shrinks.tar: ends at byte 512, 1 bytes too early"));
}

TEST_CASE("missing paths, empty folders, compressed archives") {
  const tests::TempFolder folder;
  const auto text = [](const std::filesystem::path& path) { return error_of([&] { ImageSource({path}); }); };
  CHECK(contains(text(folder.path() / "nowhere"), "nowhere: "));
  CHECK(contains(text(folder.path()), "no pictures in the folder"));
  CHECK(contains(text("/dev/null"), "is neither a file nor a folder"));
  CHECK(contains(text(folder.write("a.tgz", std::string("\x1f\x8b\x08"))), "a.tgz: is compressed"));
  for (const std::string magic : {"BZh9", "\x28\xb5\x2f\xfd\x04",
                                  "\xfd"
                                  "7zXZ"
                                  "\x01"})
    CHECK(contains(text(folder.write("packed.tar", magic)), "packed.tar: is compressed"));
  // Only like one.
  for (const std::string magic : {"\x1f\x8a", "BZ9", "\x28\xb5\x2f\xfc",
                                  "\xfd"
                                  "7zXY"})
    CHECK(text(folder.write("photo.jpg", magic)) == "");
  CHECK(contains(error_of([] { ImageSource({}); }), "no file, folder or archive"));
  try {
    ImageSource({folder.path() / "nowhere"});
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == tensor::ErrorKind::io);
  }
}

TEST_CASE("two threads read one archive") {
  const tests::TempFolder folder;
  std::string bytes;
  for (int i = 0; i < 50; ++i)
    bytes += member(std::to_string(i) + ".jpg",
                    std::string(static_cast<size_t>(i) * 37, static_cast<char>('a' + i % 26)));
  const ImageSource source({folder.write("a.tar", bytes + kEnd)});
  int wrong[2] = {0, 0};
  const auto work = [&](int which) {
    for (int round = 0; round < 20; ++round)
      for (int i = 0; i < 50; ++i)
        wrong[which] +=
            text_of(source, i) != std::string(static_cast<size_t>(i) * 37, static_cast<char>('a' + i % 26));
  };
  std::thread other(work, 0);
  work(1);
  other.join();
  CHECK(wrong[0] + wrong[1] == 0);
}

TEST_CASE("the archives of the data set") {
  const auto dir = tests::data_dir();
  if (dir.empty()) SKIP(tests::kNoData);
  const ImageSource source(
      {dir / "flickr8k/images_00.tar", dir / "flickr8k/images_01.tar", dir / "flickr8k/images_02.tar"});
  CHECK(source.size() == 7791);
  const Image image = source.read_image(source.size() - 1);
  CHECK(image.height == 224);
  CHECK(image.width == 224);
  CHECK(ImageSource({dir / "cc_photos"}).size() == 60);
}
