// WebP, TIFF and reduced JPEGs against Pillow's pixels (tests/golden/make_formats.py).
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "imgcap/data/image.h"
#include "imgcap/data/picture_format.h"
#include "tensor/error.h"
#include "tests/data/byte_tensors.h"
#include "tests/data_dir.h"

using namespace imgcap;
using tests::contains;
using tests::error_of;

namespace {

using Bytes = std::vector<uint8_t>;

const std::map<std::string, tests::ByteTensor>& goldens() {
  static const auto all = tests::read_byte_tensors(tests::source_dir() / "tests/golden/formats.safetensors");
  return all;
}
const Bytes& file(const std::string& name) { return goldens().at("file/" + name).bytes; }

std::string error(const Bytes& bytes, const std::string& name = "f") {
  return error_of([&] { decode_image(bytes, name); });
}

int check_all(const std::string& extension) {
  int count = 0;
  for (const auto& [name, tensor] : goldens()) {
    if (!name.starts_with("file/") || !name.ends_with(extension)) continue;
    const std::string base = name.substr(5);
    CAPTURE(base);
    // By content alone: the name says something else.
    std::string difference;
    CHECK_NOTHROW(difference =
                      tests::difference(decode_image(tensor.bytes, "x.jpg"), goldens().at("pixels/" + base)));
    CHECK(difference == "");
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("WebP files give Pillow's pixels") {
  if (!can_read(PictureFormat::webp)) SKIP("built without libwebp");
  CHECK(check_all(".webp") == 13);
}

TEST_CASE("TIFF files give Pillow's pixels") {
  if (!can_read(PictureFormat::tiff)) SKIP("built without libtiff");
  CHECK(check_all(".tif") == 60);
}

TEST_CASE("WebP and TIFF pictures say how they were turned") {
  if (can_read(PictureFormat::webp)) {
    for (const int orientation : {1, 3, 6})
      CHECK(decode_image(file("exif_" + std::to_string(orientation) + ".webp"), "f").orientation ==
            orientation);
    CHECK(decode_image(file("exif_5_xmp_8.webp"), "f").orientation == 5);
  }
  if (can_read(PictureFormat::tiff)) {
    for (int orientation = 1; orientation <= 8; ++orientation)
      CHECK(decode_image(file("orientation_" + std::to_string(orientation) + ".tif"), "f").orientation ==
            orientation);
    CHECK(decode_image(file("ycbcr_orientation_6.tif"), "f").orientation == 6);
  }
}

TEST_CASE("a format whose library is missing is named, with what to install") {
  const std::pair<PictureFormat, const char*> libraries[] = {
      {PictureFormat::webp, "libwebp"}, {PictureFormat::tiff, "libtiff"}, {PictureFormat::heif, "libheif"}};
  const std::string heic(
      "\0\0\0\x18"
      "ftypheic\0\0\0\0mif1heic",
      24);
  for (const auto& [format, library] : libraries) {
    const Bytes bytes = format == PictureFormat::webp   ? file("lossy.webp")
                        : format == PictureFormat::tiff ? file("raw.tif")
                                                        : Bytes(heic.begin(), heic.end());
    const std::string text = error(bytes, "x.jpg");
    if (can_read(format)) {
      CHECK_FALSE(contains(text, "this build"));
    } else {
      CHECK(contains(text, "x.jpg: a "));
      CHECK(contains(text, "which this build cannot read: build with "));
      CHECK(contains(text, library));
    }
    CHECK(contains(readable_formats(), std::string(name_of(format))) == can_read(format));
  }
  CHECK(contains(error({'h', 'i'}), "no picture of a known format (" + readable_formats() + ")"));
}

TEST_CASE("damaged WebP files are refused in a sentence") {
  if (!can_read(PictureFormat::webp)) SKIP("built without libwebp");
  for (const char* name : {"lossy.webp", "lossless_alpha.webp", "moving.webp", "part.webp"}) {
    CAPTURE(name);
    const Bytes& good = file(name);
    for (size_t size = 12; size + 1 < good.size(); size += size < 100 ? 1 : 37)
      CHECK(contains(error({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)}), "cut short"));
    // Cut short, and the RIFF says so itself.
    Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(good.size() / 2));
    cut[4] = static_cast<uint8_t>(cut.size() - 8), cut[5] = static_cast<uint8_t>((cut.size() - 8) >> 8);
    CHECK(contains(error(cut), "WebP"));
    Bytes longer = good;
    longer.resize(longer.size() + 20, 7);
    CHECK(error(longer) == "");
  }
  // A frame beyond the canvas, and a picture of another size than its canvas.
  Bytes part = file("part.webp");
  const size_t anmf = std::string(part.begin(), part.end()).find("ANMF");
  part.at(anmf + 8) = 5;
  CHECK(contains(error(part), "a frame of 11 x 6 in a picture of 19 x 13"));
  Bytes other = file("exif_6.webp");
  other.at(24) ^= 1;
  CHECK(contains(error(other), "a frame of 11 x 6 in a picture of"));
  Bytes huge = part;
  for (size_t at = 24; at < 30; ++at) huge.at(at) = 0xFF;
  CHECK(contains(error(huge), "16777216 x 16777216 has 281474976710656 pixels, the limit is"));
}

TEST_CASE("TIFF files that are refused, in one sentence, and nothing printed") {
  if (!can_read(PictureFormat::tiff)) SKIP("built without libtiff");
  const auto bad = [](const std::string& name) { return error(goldens().at("bad/" + name).bytes); };
  CHECK(contains(bad("float.tif"),
                 "f: a TIFF of floating-point samples cannot be read: save it with 8 or 16 bits"));
  CHECK(contains(bad("signed.tif"), "a TIFF of signed samples"));
  CHECK(contains(bad("bits_32.tif"), "a TIFF of 32 bits per sample"));
  CHECK(contains(bad("lab.tif"), "a TIFF of the colour kind 8 cannot be read: save it as RGB"));
  CHECK(contains(bad("no_palette.tif"), "f: damaged TIFF: "));
  CHECK(contains(bad("short.tif"), "f: damaged TIFF: "));
  // Whatever libtiff has to say goes to stderr by itself.
  const tests::TempFolder folder;
  const int before = ::dup(2),
            file_of_errors = ::open((folder.path() / "err").c_str(), O_WRONLY | O_CREAT, 0600);
  REQUIRE(before >= 0);
  ::dup2(file_of_errors, 2);
  int refused = 0, cuts = 0;
  for (const char* name :
       {"raw.tif", "tiff_lzw.tif", "jpeg.tif", "tiles.tif", "big.tif", "group4.tif", "planes.tif"}) {
    const Bytes& good = file(name);
    for (size_t size = 4; size < good.size(); size += 1 + size / 9) {
      CAPTURE(name);
      CAPTURE(size);
      const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
      std::string text;
      CHECK_NOTHROW(text = error(cut));
      refused += text != "", ++cuts;
      if (text != "") CHECK(contains(text, "TIFF"));
    }
  }
  // What Pillow writes last is the directory or something that no pixel needs.
  CHECK(cuts - refused <= 5);
  CHECK(cuts > 200);
  ::dup2(before, 2);
  ::close(before);
  ::close(file_of_errors);
  CHECK(std::filesystem::file_size(folder.path() / "err") == 0);
}

TEST_CASE("sizes that TIFF and WebP claim are measured before memory is taken") {
  ImageLimits limits;
  limits.pixels = 37 * 23 - 1;
  for (const char* name : {"lossy.webp", "moving.webp", "raw.tif", "tiles.tif", "big.tif"}) {
    if (!can_read(picture_format(file(name)))) continue;
    CHECK(contains(error_of([&] { decode_image(file(name), name, limits); }),
                   "has 851 pixels, the limit is 850"));
  }
  if (!can_read(PictureFormat::tiff)) SKIP("built without libtiff");
  // A picture of 4294967295 x 4294967295 in strips of one row; tiles of a gigabyte for a picture of 37 x 23.
  Bytes big = file("raw.tif");
  const auto set = [](Bytes& bytes, int tag, uint32_t value) {
    for (size_t at = 8; at + 12 <= bytes.size(); ++at)
      if (bytes[at] == (tag & 0xFF) && bytes[at + 1] == tag >> 8 &&
          (bytes[at + 2] == 3 || bytes[at + 2] == 4) && bytes[at + 3] == 0 && bytes[at + 4] == 1 &&
          bytes[at + 5] == 0) {
        bytes[at + 2] = 4;
        for (size_t i = 0; i < 4; ++i) bytes[at + 8 + i] = static_cast<uint8_t>(value >> 8 * i);
        return;
      }
    FAIL("no such tag");
  };
  set(big, 256, 0xFFFFFFFFu);
  set(big, 257, 0xFFFFFFFFu);
  set(big, 278, 1);
  CHECK(contains(error(big), "f: "));
  Bytes tiles = file("tiles.tif");
  set(tiles, 322, 1 << 15);
  set(tiles, 323, 1 << 15);
  CHECK(contains(error(tiles), "for a picture of 37 x 23"));
}

TEST_CASE("HEIC and AVIF files are upright, once, and close to Pillow's pixels") {
  if (!can_read(PictureFormat::heif)) SKIP("built without libheif");
  int count = 0;
  for (const auto& [name, tensor] : goldens()) {
    if (!name.starts_with("heif/")) continue;
    CAPTURE(name);
    Image image;
    CHECK_NOTHROW(image = decode_image(tensor.bytes, "x"));
    const tests::ByteTensor& want = goldens().at("of_" + name);
    REQUIRE(image.height == want.shape[0]);
    REQUIRE(image.width == want.shape[1]);
    // Another decoder, and another way from YCbCr to RGB; of the lossless file, the rounding of that way
    // alone.
    int worst = 0;
    for (size_t i = 0; i < want.bytes.size(); ++i)
      worst = std::max(worst, std::abs(image.pixels[i] - want.bytes[i]));
    CHECK(worst <= (name.ends_with(".heic") ? 1 : 3));
    ++count;
    for (size_t size = 12; size < tensor.bytes.size(); size += 1 + size / 7) {
      std::string text;
      CHECK_NOTHROW(
          text = error({tensor.bytes.begin(), tensor.bytes.begin() + static_cast<std::ptrdiff_t>(size)}));
      CHECK(contains(text, "HEIF"));
    }
  }
  CHECK(count == 10);
  ImageLimits limits;
  limits.pixels = 33 * 21 - 1;
  CHECK(contains(error_of([&] { decode_image(goldens().at("heif/orientation_6.avif").bytes, "x", limits); }),
                 " 693 pixels, the limit is 692"));
}
