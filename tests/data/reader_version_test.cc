#include "imgcap/data/reader_version.h"

#include <doctest/doctest.h>

#include "tests/data/byte_tensors.h"
#include "tests/data_dir.h"

using namespace imgcap;

namespace {

using Bytes = std::vector<uint8_t>;

Bytes golden(const std::string& archive, const std::string& name) {
  static std::map<std::string, std::map<std::string, tests::ByteTensor>> files;
  auto& all = files[archive];
  if (all.empty())
    all = tests::read_byte_tensors(tests::source_dir() / "tests/golden" / (archive + ".safetensors"));
  return all.at("file/" + name).bytes;
}

std::string segment(int marker, const std::string& content) {
  const size_t size = content.size() + 2;
  return std::string{'\xFF', static_cast<char>(marker), static_cast<char>(size >> 8),
                     static_cast<char>(size)} +
         content;
}

// One directory with one tag of the given type and count; little-endian when `order` is 'I'.
std::string exif(char order, int tag, int type, int count, int value) {
  const auto number = [&](int v, int width) {
    std::string text;
    for (int i = 0; i < width; ++i) text += static_cast<char>(v >> 8 * (order == 'I' ? i : width - 1 - i));
    return text;
  };
  return std::string("Exif\0\0", 6) + order + order + number(42, 2) + number(8, 4) + number(1, 2) +
         number(tag, 2) + number(type, 2) + number(count, 4) + number(value, type == 3 ? 2 : 4) +
         number(0, type == 3 ? 6 : 4);
}

std::string xmp(int orientation) {
  return std::string("http://ns.adobe.com/xap/1.0/") + '\0' + "<a tiff:Orientation=\"" +
         std::to_string(orientation) + "\"/>";
}

Reading reading(const std::string& segments, bool whole = false) {
  const std::string text = "\xFF\xD8" + segments + (whole ? "" : segment(0xDA, "scan"));
  return compare_readings({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, whole, {});
}

}  // namespace

TEST_CASE("readers of today are as new as themselves, and newer than none") {
  CHECK(none_newer(reader_versions(), reader_versions()));
  CHECK_FALSE(none_newer(reader_versions(), {}));
  CHECK(none_newer({}, {}));
  CHECK(none_newer({{"GIF", 1}}, {{"GIF", 2}}));
  CHECK_FALSE(none_newer({{"GIF", 2}}, {{"GIF", 1}, {"BMP", 5}}));
  CHECK(reader_version(PictureFormat::none) == 0);
  for (const PictureFormat format : kPictureFormats)
    CHECK(reader_versions().contains(std::string(name_of(format))) == can_read(format));
}

TEST_CASE("which files today's readers see otherwise than those of the time before versions") {
  for (const char* name : {"rgb.bmp", "still.gif"}) {
    const Bytes bytes = golden("images", name);
    CHECK(compare_readings(bytes, true, {}) == Reading::changed);
    CHECK(compare_readings(std::span(bytes).first(64), false, {}) == Reading::changed);
    CHECK(compare_readings(bytes, true, reader_versions()) == Reading::same);
  }
  const Bytes png = golden("images", "rgb.png");
  CHECK(compare_readings(std::span(png).first(64), false, {}) == Reading::undecided);
  CHECK(compare_readings(png, true, {}) == Reading::same);
  CHECK(compare_readings(png, true, reader_versions()) == Reading::same);
  CHECK(compare_readings(Bytes{'n', 'o'}, true, {}) == Reading::same);
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const Bytes jpeg = golden("images", "orientation_" + std::to_string(orientation) + ".jpg");
    CHECK(compare_readings(jpeg, true, {}) == Reading::same);
  }
}

TEST_CASE("a JPEG has changed where XMP turns it and EXIF does not") {
  CHECK(reading("") == Reading::same);
  CHECK(reading(segment(0xE1, xmp(6))) == Reading::changed);
  CHECK(reading(segment(0xE1, xmp(1))) == Reading::same);
  for (const char order : {'I', 'M'}) {
    CHECK(reading(segment(0xE1, exif(order, 0x0112, 3, 1, 6)) + segment(0xE1, xmp(3))) == Reading::same);
    CHECK(reading(segment(0xE1, exif(order, 0x0112, 4, 1, 6)) + segment(0xE1, xmp(3))) == Reading::same);
    CHECK(reading(segment(0xE1, exif(order, 0x0110, 3, 1, 6)) + segment(0xE1, xmp(3))) == Reading::changed);
  }
  CHECK(reading(segment(0xE2, xmp(6))) == Reading::same);                          // another segment
  CHECK(reading(segment(0xDA, "scan") + segment(0xE1, xmp(6))) == Reading::same);  // behind the scan
  // Before the scan, a beginning of a file tells nothing.
  const std::string text = "\xFF\xD8" + segment(0xE1, xmp(6)) + segment(0xE0, "more");
  for (size_t size = 3; size <= text.size(); ++size) {
    const std::span head(reinterpret_cast<const uint8_t*>(text.data()), size);
    CHECK(compare_readings(head, false, {}) == Reading::undecided);
  }
  CHECK(reading(segment(0xE1, xmp(6)), true) == Reading::changed);
}
