#include "imgcap/data/image.h"

#include <doctest/doctest.h>

#include <cstdlib>

#include "imgcap/data/image_codecs.h"
#include "imgcap/data/orientation.h"
#include "imgcap/data/picture_format.h"
#include "imgcap/data/resize.h"
#include "tensor/error.h"
#include "tensor/random.h"
#include "tests/data/byte_tensors.h"
#include "tests/data_dir.h"

using namespace imgcap;
using tests::contains;
using tests::error_of;

namespace {

const std::map<std::string, tests::ByteTensor>& goldens() {
  static const auto all = tests::read_byte_tensors(tests::source_dir() / "tests/golden/images.safetensors");
  return all;
}

const std::vector<uint8_t>& file(const std::string& name) { return goldens().at("file/" + name).bytes; }

// Patches big-endian 16 bits.
void put16(std::vector<uint8_t>& bytes, size_t at, int value) {
  bytes.at(at) = static_cast<uint8_t>(value >> 8);
  bytes.at(at + 1) = static_cast<uint8_t>(value);
}

// Makes the checksums of a PNG's parts right again, so that damage gets past them.
void repair_png(std::vector<uint8_t>& bytes) {
  const auto big32 = [&](size_t at) {
    return size_t{bytes[at]} << 24 | size_t{bytes[at + 1]} << 16 | size_t{bytes[at + 2]} << 8 | bytes[at + 3];
  };
  for (size_t at = 8; at + 12 <= bytes.size();) {
    const size_t length = big32(at);
    if (length > bytes.size() - at - 12) return;
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = at + 4; i < at + 8 + length; ++i) {
      crc ^= bytes[i];
      for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? 0xEDB88320u ^ (crc >> 1) : crc >> 1;
    }
    put16(bytes, at + 8 + length, static_cast<int>(~crc >> 16));
    put16(bytes, at + 10 + length, static_cast<int>(~crc & 0xFFFF));
    at += length + 12;
  }
}

size_t find_marker(const std::vector<uint8_t>& bytes, int marker) {
  for (size_t i = 0; i + 1 < bytes.size(); ++i)
    if (bytes[i] == 0xFF && bytes[i + 1] == marker) return i;
  FAIL("no such marker");
  return 0;
}

}  // namespace

TEST_CASE("decoded pictures equal Pillow's") {
  int count = 0;
  for (const auto& [name, tensor] : goldens()) {
    if (name.compare(0, 5, "file/") != 0) continue;
    const std::string base = name.substr(5);
    CAPTURE(base);
    const Image image = decode_image(tensor.bytes, base);
    const tests::ByteTensor& want = goldens().at("pixels/" + base);
    ++count;
    if (!jpeg_is_turbo() && contains(base, ".jpg")) {
      // stb_image's transform and upsampling round differently.
      REQUIRE(image.height == want.shape[0]);
      REQUIRE(image.width == want.shape[1]);
      int64_t total = 0;
      for (size_t i = 0; i < want.bytes.size(); ++i) total += std::abs(image.pixels[i] - want.bytes[i]);
      CHECK(static_cast<double>(total) / static_cast<double>(want.bytes.size()) < 4.0);
      continue;
    }
    CHECK(tests::difference(image, want) == "");
  }
  CHECK(count == 33);
}

TEST_CASE("a photo of the data set, resized, is the reference's input to the bit") {
  const auto dir = tests::data_dir();
  if (dir.empty()) SKIP(tests::kNoData);
  if (!jpeg_is_turbo()) SKIP("built without libjpeg-turbo");
  const auto expected =
      tests::read_byte_tensors(dir / "efficientnet_lite2/expected_features_coco_000000000285.safetensors");
  const Image image = read_image(dir / "cc_photos/coco_000000000285.jpg");
  CHECK(tests::difference(resize(image, 224, 224), expected.at("pixels_224_hwc")) == "");
}

TEST_CASE("orientation: all eight, and tags that make no sense") {
  Image image(2, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i / 3);
  const auto red = [&](int orientation) {
    const Image turned = apply_orientation(image, orientation);
    CHECK(turned.height == (orientation < 5 ? 2 : 3));
    std::string text;
    for (size_t i = 0; i < turned.pixels.size(); i += 3) text += static_cast<char>('0' + turned.pixels[i]);
    return text;
  };
  const char* want[] = {"012345", "210543", "543210", "345012", "031425", "304152", "524130", "251403"};
  for (int orientation = 1; orientation <= 8; ++orientation) CHECK(red(orientation) == want[orientation - 1]);
  CHECK_THROWS_AS(apply_orientation(image, 0), tensor::Error);
  CHECK_THROWS_AS(apply_orientation(image, 9), tensor::Error);

  std::vector<uint8_t> tiff{'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3,
                            0,   1,   0,  0, 0, 6, 0, 0, 0, 0, 0,    0, 0};
  CHECK(codecs::exif_orientation(tiff) == 6);
  for (size_t size = 0; size < 20; ++size) CHECK(codecs::exif_orientation({tiff.data(), size}) == 1);
  auto patched = [&](size_t at, int value) {
    auto copy = tiff;
    copy[at] = static_cast<uint8_t>(value);
    return codecs::exif_orientation(copy);
  };
  CHECK(patched(18, 9) == 1);     // value
  CHECK(patched(18, 0) == 1);     // value
  CHECK(patched(12, 2) == 1);     // type
  CHECK(patched(14, 0) == 1);     // count
  CHECK(patched(14, 2) == 6);     // the first of two counts, as in Pillow
  CHECK(patched(2, 43) == 1);     // magic
  CHECK(patched(7, 0xFF) == 1);   // directory far away
  CHECK(patched(9, 0xFF) == 6);   // more entries than there is room for, ours among the first
  CHECK(patched(10, 0x13) == 1);  // another tag
}

TEST_CASE("a claimed size is refused before memory is taken") {
  auto jpeg = file("baseline_420.jpg");
  const size_t frame = find_marker(jpeg, 0xC0);
  put16(jpeg, frame + 5, 65535);
  put16(jpeg, frame + 7, 65535);
  const std::string text = error_of([&] { decode_image(jpeg, "big.jpg"); });
  CHECK(contains(text, "big.jpg: a picture of 65535 x 65535 has 4294836225 pixels, the limit is " +
                           std::string(jpeg_is_turbo() ? "268435456" : "67108864")));

  auto png = file("rgb.png");
  const auto put32 = [&](size_t at, uint32_t value) {
    put16(png, at, static_cast<int>(value >> 16));
    put16(png, at + 2, static_cast<int>(value & 0xFFFF));
  };
  put32(16, 100000);
  put32(20, 100000);
  CHECK(contains(error_of([&] { decode_image(png, "big.png"); }),
                 "big.png: a picture of 100000 x 100000 has 1000"));
  put32(16, 0xFFFFFFFFu);
  put32(20, 0xFFFFFFFFu);
  CHECK(contains(error_of([&] { decode_image(png, "big.png"); }), "the limit is"));

  auto gif = file("still.gif");
  gif[7] = gif[9] = 0xFF;
  CHECK(contains(error_of([&] { decode_image(gif, "big.gif"); }), "the limit is"));
  auto bmp = file("rgb.bmp");
  bmp[20] = bmp[24] = 0x01;  // 65,573 x 65,559
  CHECK(contains(error_of([&] { decode_image(bmp, "big.bmp"); }), "the limit is"));

  ImageLimits limits;
  limits.pixels = 37 * 23;
  CHECK(decode_image(file("rgb.png"), "x", limits).width == 37);
  limits.pixels -= 1;
  limits.jpeg_pixels = limits.pixels;
  for (const char* name : {"rgb.png", "rgb.bmp", "still.gif", "progressive.jpg"})
    CHECK(contains(error_of([&] { decode_image(file(name), name, limits); }), "the limit is 850"));
  limits = {};
  limits.file_bytes = 100;
  CHECK(
      contains(error_of([&] { decode_image(file("rgb.png"), "x.png", limits); }), "bytes, the limit is 100"));
  limits.file_bytes = std::ssize(file("rgb.png"));
  CHECK(decode_image(file("rgb.png"), "x.png", limits).width == 37);
  limits.file_bytes -= 1;
  CHECK(contains(error_of([&] { decode_image(file("rgb.png"), "x.png", limits); }), "the limit is"));
}

TEST_CASE("sides of zero") {
  for (const int side : {0, 1}) {
    auto jpeg = file("baseline_420.jpg");
    put16(jpeg, find_marker(jpeg, 0xC0) + 5 + static_cast<size_t>(side) * 2, 0);
    CHECK(contains(error_of([&] { decode_image(jpeg, "zero.jpg"); }), "has no pixels"));
    auto png = file("rgb.png");
    for (size_t i = 0; i < 4; ++i) png[16 + static_cast<size_t>(side) * 4 + i] = 0;
    CHECK(contains(error_of([&] { decode_image(png, "zero.png"); }), "has no pixels"));
    auto gif = file("still.gif");
    gif[6 + static_cast<size_t>(side) * 2] = gif[7 + static_cast<size_t>(side) * 2] =
        0;  // the frame has more
    CHECK(tests::difference(decode_image(gif, "zero.gif"), goldens().at("pixels/still.gif")) == "");
    auto bmp = file("rgb.bmp");
    bmp[18 + static_cast<size_t>(side) * 4] = 0;
    CHECK(contains(error_of([&] { decode_image(bmp, "zero.bmp"); }), "has no pixels"));
  }
}

TEST_CASE("a PNG begins with its header, and the checksum of each part is right") {
  const auto error = [](const std::vector<uint8_t>& bytes) {
    return error_of([&] { decode_image(bytes, "f.png"); });
  };
  const std::vector<uint8_t>& good = file("rgb.png");
  for (const size_t at : {11, 12, 15}) {  // the first part's length, then its name
    auto bytes = good;
    bytes[at] ^= 1;
    CHECK(error(bytes) == "f.png: the PNG does not begin with its header");
  }
  // Name, content and checksum of a part, the first, one inside and the last.
  const size_t second = 33, last = good.size() - 12;
  for (const auto& [at, part] : {std::pair<size_t, size_t>{25, 8},
                                 {29, 8},
                                 {second + 5, second},
                                 {second + 20, second},
                                 {last + 4, last},
                                 {last + 11, last}}) {
    auto bytes = good;
    bytes[at] ^= 0x20;
    CAPTURE(at);
    CHECK(error(bytes) ==
          "f.png: damaged PNG: the checksum of the part at byte " + std::to_string(part) + " is wrong");
  }
  auto more = good;
  more.push_back('x');  // behind the end mark
  CHECK(tests::difference(decode_image(more, "f.png"), goldens().at("pixels/rgb.png")) == "");
}

TEST_CASE("a progressive JPEG of 500 scans is decoded, of 501 it is not") {
  if (!jpeg_is_turbo()) return;
  const std::vector<uint8_t>& good = file("progressive.jpg");
  // The third of its ten scans may come any number of times: it sets the same coefficients again.
  const size_t begin = 391, end = 434;
  REQUIRE(good.at(begin + 1) == 0xDA);
  REQUIRE(good.at(end + 1) == 0xC4);
  const auto with = [&](int more) {
    std::vector<uint8_t> bytes(good.begin(), good.begin() + end);
    for (; more > 0; --more) bytes.insert(bytes.end(), good.begin() + begin, good.begin() + end);
    bytes.insert(bytes.end(), good.begin() + end, good.end());
    return bytes;
  };
  CHECK(tests::difference(decode_image(with(490), "f.jpg"), goldens().at("pixels/progressive.jpg")) == "");
  CHECK(error_of([&] { decode_image(with(491), "f.jpg"); }) == "f.jpg: damaged JPEG: more than 500 scans");
}

TEST_CASE("a JPEG of two colour components is refused") {
  if (!jpeg_is_turbo()) return;
  auto bytes = file("baseline_420.jpg");
  bytes[find_marker(bytes, 0xC0) + 9] = 2;
  CHECK(error_of([&] { decode_image(bytes, "f.jpg"); }) ==
        "f.jpg: a JPEG of 2 colour components; 1, 3 and 4 can be read");
}

TEST_CASE("a new picture is black, and has pixels") {
  const Image image(2, 3);
  CHECK(image.height == 2);
  CHECK(image.width == 3);
  CHECK(image.pixels == std::vector<uint8_t>(18, 0));
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{0, 1},
                                      {1, 0},
                                      {-1, 1},
                                      {1, -1},
                                      {INT64_MAX / 3, 2},
                                      {INT64_MAX, INT64_MAX}})
    CHECK(contains(error_of([&] { Image(rows, columns); }), "is no size for a picture"));
}

TEST_CASE("every shorter file is an error that names it") {
  for (const auto& [name, tensor] : goldens()) {
    if (name.compare(0, 5, "file/") != 0) continue;
    const std::string base = name.substr(5);
    CAPTURE(base);
    // All the lengths near the ends, and steps in between. A GIF may lack its end and more frames, a JPEG the
    // two bytes of its end mark and one of nothing but padding, a BMP its last padding.
    const size_t size = tensor.bytes.size();
    const size_t step = std::max<size_t>(1, size / 97);
    for (size_t length = 0; length < size; length += length < 64 || length + 64 > size ? 1 : step) {
      const std::string text = error_of([&] { decode_image({tensor.bytes.data(), length}, base); });
      CAPTURE(length);
      if (text.empty() && (contains(base, ".gif") || (!contains(base, ".png") && length + 3 >= size))) {
        const Image image = decode_image({tensor.bytes.data(), length}, base);
        CHECK(image.pixels == decode_image(tensor.bytes, base).pixels);
        if (contains(base, ".jpg")) CHECK(image.warning == "the JPEG has no end mark; its picture is whole");
        continue;
      }
      CHECK(contains(text, base + ": "));
    }
  }
  CHECK(contains(error_of([] {
                   decode_image({file("rgb.png").data(), 200}, "a.png");
                 }),
                 "cut short after 200 bytes"));
  CHECK(contains(error_of([] {
                   decode_image({file("grey.jpg").data(), 400}, "a.jpg");
                 }),
                 "cut short after 400 bytes"));
}

TEST_CASE("a JPEG that was cut short and given an end mark is an error") {
  if (!jpeg_is_turbo()) SKIP("built without libjpeg-turbo");  // stb_image fills in silently
  for (const char* name : {"baseline_444.jpg", "progressive.jpg", "cmyk.jpg"}) {
    auto bytes = file(name);
    bytes.resize(find_marker(bytes, 0xDA) + 40);
    bytes.push_back(0xFF);
    bytes.push_back(0xD9);
    CHECK(contains(error_of([&] { decode_image(bytes, name); }), std::string(name) + ": damaged JPEG: "));
  }
}

TEST_CASE("a JPEG that was cut short and filled up is an error") {
  for (const char* name :
       {"baseline_420.jpg", "baseline_444.jpg", "restart.jpg", "progressive.jpg", "grey.jpg"}) {
    CAPTURE(name);
    const std::vector<uint8_t>& whole = file(name);
    size_t last = whole.size() - 2;
    while (!(whole.at(last) == 0xFF && whole.at(last + 1) == 0xDA)) --last;  // the last scan begins here
    const size_t behind = whole.size() - 2 - last;
    for (const size_t length : {last, last + behind / 3, last + behind / 2, last + behind * 3 / 4})
      for (const uint8_t filler : {0x00, 0x20, 0xFF}) {
        CAPTURE(length);
        CAPTURE(static_cast<int>(filler));
        std::vector<uint8_t> bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
        bytes.resize(bytes.size() + 500, filler);
        CHECK(error_of([&] { decode_image(bytes, "f"); }) ==
              "f: the JPEG is cut short after " + std::to_string(bytes.size()) + " bytes");
      }
  }
}

TEST_CASE("a progressive JPEG without an end mark lacks none of its scans") {
  const std::vector<uint8_t>& whole = file("progressive.jpg");
  int scans = 0;
  for (size_t at = 2; at + 1 < whole.size(); ++at) {
    if (whole[at] != 0xFF || whole[at + 1] != 0xDA || ++scans == 1) continue;
    // Whatever table belongs to this scan may be there or not.
    for (size_t end : {at, at + 2, at + 9}) {
      std::vector<uint8_t> bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(end));
      bytes.resize(bytes.size() + 50, 0);
      const std::string want =
          end == at + 2 ? "f: the JPEG segment at byte " + std::to_string(at) + " has the length 0"
                        : "f: the JPEG is cut short after " + std::to_string(bytes.size()) + " bytes";
      CHECK(error_of([&] { decode_image(bytes, "f"); }) == want);
    }
  }
  CHECK(scans == 10);
}

TEST_CASE("what follows a JPEG's end mark is nobody's business") {
  std::vector<uint8_t> bytes = file("baseline_444.jpg");
  const Image whole = decode_image(bytes, "f");
  CHECK(whole.warning == "");
  bytes.resize(bytes.size() + 100, 0xFF);
  CHECK(decode_image(bytes, "f").pixels == whole.pixels);
  CHECK(decode_image(bytes, "f").warning == "");
}

TEST_CASE("a picture says how it was turned") {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const std::string name = "orientation_" + std::to_string(orientation);
    CHECK(decode_image(file(name + ".jpg"), "f").orientation == orientation);
  }
  CHECK(decode_image(file("orientation_big_endian.jpg"), "f").orientation == 6);
  CHECK(decode_image(file("rgb.png"), "f").orientation == 1);
  CHECK(decode_image(file("still.gif"), "f").orientation == 1);
}

TEST_CASE("a warning stays with a picture that is turned") {
  std::vector<uint8_t> bytes = file("orientation_6.jpg");
  bytes.resize(bytes.size() - 2);
  bytes.resize(bytes.size() + 40, 0);
  const Image image = decode_image(bytes, "f");
  CHECK(image.pixels == decode_image(file("orientation_6.jpg"), "f").pixels);
  CHECK(image.warning == "the JPEG has no end mark; its picture is whole");
}

TEST_CASE("a JPEG whose Huffman table claims more codes than there are") {
  auto bytes = file("baseline_420.jpg");
  const size_t at = find_marker(bytes, 0xC4);
  for (size_t i = 5; i < 21; ++i) bytes[at + i] = 0xFF;
  CHECK(contains(error_of([&] { decode_image(bytes, "h.jpg"); }),
                 "h.jpg: damaged JPEG: the Huffman tables at byte"));
}

TEST_CASE("flipped bits give a picture or an error, never a crash") {
  tensor::Generator generator(5);
  int errors = 0, pictures = 0;
  for (const auto& [name, tensor] : goldens()) {
    if (name.compare(0, 5, "file/") != 0) continue;
    for (int round = 0; round < 60; ++round) {
      auto bytes = tensor.bytes;
      for (uint64_t flips = 1 + generator.below(4); flips > 0; --flips)
        bytes[generator.below(bytes.size())] ^= static_cast<uint8_t>(1u << generator.below(8));
      if (contains(name, ".png") && round % 4 != 0) repair_png(bytes);
      ImageLimits limits;
      limits.pixels = 1 << 20;
      try {
        const Image image = decode_image(bytes, "x", limits);
        CHECK(static_cast<int64_t>(image.pixels.size()) == image.height * image.width * 3);
        ++pictures;
      } catch (const tensor::Error& error) {
        CHECK(error.kind() == tensor::ErrorKind::data);
        ++errors;
      }
    }
  }
  CHECK(errors > 200);
  CHECK(pictures > 200);
}

TEST_CASE("a PNG that unpacks to far more than its size explains") {
  // 16 MB from 16 kB, for a picture of 37 x 23.
  const std::vector<uint8_t>& bomb = goldens().at("bomb").bytes;
  CHECK(bomb.size() < 20000);
  CHECK(error_of([&] { decode_image(bomb, "bomb.png"); }) == "bomb.png: damaged picture: Out of memory");
}

TEST_CASE("what is no picture, and what is no file") {
  const std::string words = "<html>";
  const std::vector<uint8_t> html(words.begin(), words.end());
  CHECK(contains(error_of([&] { decode_image(html, "page.jpg"); }),
                 "page.jpg: no picture of a known format (" + readable_formats() +
                     "): it begins with the bytes 3c 68 74 6d"));
  CHECK(error_of([&] { decode_image({}, "none.jpg"); }) == "none.jpg: the file is empty");
  const std::vector<uint8_t> only_ends{0xFF, 0xD8, 0xFF, 0xD9};
  CHECK(error_of([&] { decode_image(only_ends, "a.jpg"); }) == "a.jpg: the JPEG holds no picture");

  const tests::TempFolder folder;
  const auto kind_of = [](const std::filesystem::path& path) {
    try {
      read_image(path);
    } catch (const tensor::Error& error) {
      CHECK(contains(error.what(), path.string()));
      return error.kind();
    }
    return tensor::ErrorKind::internal;
  };
  CHECK(kind_of(folder.path() / "missing.jpg") == tensor::ErrorKind::io);
  CHECK(kind_of(folder.path()) == tensor::ErrorKind::io);
  CHECK(kind_of("/dev/zero") == tensor::ErrorKind::io);
  CHECK(kind_of(folder.write("empty.jpg", std::string())) == tensor::ErrorKind::data);
  CHECK(contains(error_of([&] { read_image(folder.path()); }), "is a folder"));
  const auto five = folder.write("five", std::string("12345"));
  CHECK(read_file_bytes(five, 5) == std::vector<uint8_t>{'1', '2', '3', '4', '5'});
  CHECK(contains(error_of([&] { read_file_bytes(five, 4); }), "five: a file of 5 bytes, the limit is 4"));
  // The content decides, not the name.
  CHECK(tests::difference(read_image(folder.write("wrong.jpg", file("rgb.png"))),
                          goldens().at("pixels/rgb.png")) == "");
}
