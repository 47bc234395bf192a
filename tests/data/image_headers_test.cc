// The walks over a picture's structure that come before decoding, on files written down byte by byte.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "imgcap/data/image_codecs.h"
#include "imgcap/data/orientation.h"
#include "tensor/error.h"
#include "tests/data/byte_tensors.h"

using namespace imgcap;
using codecs::Header;
using tests::contains;
using tests::error_of;

namespace {

using Bytes = std::vector<uint8_t>;

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

uint8_t byte(int64_t value, int shift) { return static_cast<uint8_t>(value >> shift); }
Bytes big16(int64_t v) { return {byte(v, 8), byte(v, 0)}; }
Bytes little16(int64_t v) { return {byte(v, 0), byte(v, 8)}; }
Bytes little32(int64_t v) { return {byte(v, 0), byte(v, 8), byte(v, 16), byte(v, 24)}; }
Bytes big32(int64_t v) { return {byte(v, 24), byte(v, 16), byte(v, 8), byte(v, 0)}; }
Bytes text(const std::string& words) { return {words.begin(), words.end()}; }

Header jpeg(const Bytes& bytes, const ImageLimits& limits = {}) {
  return codecs::check_jpeg(bytes, "f", limits);
}
std::string jpeg_error(const Bytes& bytes, const ImageLimits& limits = {}) {
  return error_of([&] { jpeg(bytes, limits); });
}
Bytes segment(int marker, const Bytes& content) {
  return Bytes{0xFF, byte(marker, 0)} + big16(std::ssize(content) + 2) + content;
}
// 7 x 5 pixels, one component.
const Bytes kFrame = {8, 0, 5, 0, 7, 1};
const Bytes kBegin = {0xFF, 0xD8}, kEnd = {0xFF, 0xD9}, kScan = segment(0xDA, {1, 2, 3});
Bytes jpeg_with(const Bytes& more) { return kBegin + more + segment(0xC0, kFrame) + kScan + kEnd; }

// A tag of a TIFF structure, its value as it lies there.
struct Tag {
  int id, type;
  int64_t count;
  Bytes value;
};
Bytes tiff(bool little, const std::vector<Tag>& tags, int64_t at = 8) {
  const auto put16 = [&](int64_t v) { return little ? little16(v) : big16(v); };
  const auto put32 = [&](int64_t v) { return little ? little32(v) : big32(v); };
  Bytes out = text(little ? "II" : "MM") + put16(42) + put32(at);
  out.resize(static_cast<size_t>(at), 0);
  out = out + put16(std::ssize(tags));
  for (const Tag& tag : tags) out = out + put16(tag.id) + put16(tag.type) + put32(tag.count) + tag.value;
  return out;
}
Bytes oriented(int value) { return tiff(true, {{0x112, 3, 1, little32(value)}}); }
const Bytes kExif = {'E', 'x', 'i', 'f', 0, 0};

std::string gif_error(const Bytes& bytes) {
  return error_of([&] { codecs::decode_gif(bytes, "f", {}); });
}
Bytes gif_head(int flags) { return text("GIF89a") + little16(2) + little16(3) + Bytes{byte(flags, 0), 0, 0}; }
// A frame's place and size, without its flags.
Bytes gif_frame(int64_t width, int64_t height) {
  return Bytes{0x2C} + little16(1) + little16(2) + little16(width) + little16(height);
}
// A picture of one pixel: code size, a block with the codes clear, 1 and end (3 bits each), the end.
const Bytes kGifData = {2, 2, 0x4C, 0x01, 0};

std::string bmp_error(const Bytes& bytes, const ImageLimits& limits = {}) {
  return error_of([&] { codecs::decode_bmp(bytes, "f", limits); });
}
Bytes bmp(int64_t info, int64_t width, int64_t height, int bits, int compression, int64_t pixel_bytes) {
  Bytes out = text("BM") + little32(0) + little32(0) + little32(14 + info) + little32(info);
  if (info == 12)
    out = out + little16(width) + little16(height) + little16(1) + little16(bits);
  else
    out = out + little32(width) + little32(height) + little16(1) + little16(bits) + little32(compression);
  out.resize(static_cast<size_t>(14 + info + pixel_bytes), 0);
  return out;
}

}  // namespace

TEST_CASE("a JPEG's size is in its first frame, of any kind") {
  const Header header = jpeg(jpeg_with({}));
  CHECK(header.width == 7);
  CHECK(header.height == 5);
  CHECK(header.components == 1);
  CHECK(header.orientation == 1);
  for (int marker = 0xC0; marker <= 0xCF; ++marker) {
    CAPTURE(marker);
    const bool frame = marker != 0xC4 && marker != 0xC8 && marker != 0xCC;  // tables, reserved, conditioning
    const Bytes content = marker == 0xC4 ? Bytes{} : Bytes{8, 1, 2, 0, 9, 3};
    const Bytes file = kBegin + segment(marker, content) + segment(0xDA, {}) + kEnd;
    if (!frame) {
      CHECK(jpeg_error(file) == "f: the JPEG holds no picture");
      continue;
    }
    CHECK(jpeg(file).height == 258);
    CHECK(jpeg(file).width == 9);
    CHECK(jpeg(file).components == 3);
  }
  CHECK(jpeg(kBegin + segment(0xC2, kFrame) + segment(0xC0, {8, 0, 1, 0, 1, 3}) + kScan + kEnd).width == 7);
  CHECK(jpeg_error(kBegin + segment(0xC0, kFrame) + kEnd) == "f: the JPEG holds no picture");
  CHECK(jpeg_error(kBegin + kScan + kEnd) == "f: the JPEG holds no picture");
  CHECK(jpeg_error(kBegin + segment(0xC0, {8, 0, 5, 0, 7}) + kScan + kEnd) ==
        "f: the JPEG's frame header is too short");
}

TEST_CASE("between a JPEG's segments there may be padding, stray bytes and marks without a segment") {
  CHECK(jpeg(jpeg_with({0xFF, 0xFF, 0xFF, 0xD3, 1, 2, 3, 0xFF, 0x01, 0xFF, 0x00, 0xFF, 0xD0, 0xFF, 0xD7, 0xFF,
                        0xD8}))
            .width == 7);
  CHECK(jpeg(jpeg_with(segment(0xFE, {}))).width == 7);  // an empty comment
  for (const int length : {0, 1})
    CHECK(jpeg_error(jpeg_with({0xFF, 0xFE, 0, byte(length, 0)})) ==
          "f: the JPEG segment at byte 2 has the length " + std::to_string(length));
  const Bytes whole = jpeg_with(segment(0xFE, {1, 2, 3}));
  for (size_t size = 2; size < whole.size(); ++size) {
    CAPTURE(size);
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(jpeg_error(part) == "f: the JPEG is cut short after " + std::to_string(size) + " bytes");
  }
}

TEST_CASE("a JPEG's Huffman tables have at most 256 codes, and all that they claim") {
  const auto table = [](const std::vector<int>& counts, size_t symbols) {
    Bytes out(17, 0);
    for (size_t i = 0; i < counts.size(); ++i) out[i + 1] = byte(counts[i], 0);
    out.resize(17 + symbols, 7);
    return out;
  };
  const auto fits = [&](const Bytes& content) {
    const std::string error = jpeg_error(jpeg_with(segment(0xC4, content)));
    if (!error.empty()) CHECK(error == "f: damaged JPEG: the Huffman tables at byte 2");
    return error.empty();
  };
  CHECK(fits({}));
  CHECK(fits(table({}, 0)));
  CHECK(fits(table({1, 2}, 3)));
  CHECK_FALSE(fits(table({1, 2}, 2)));
  CHECK_FALSE(fits(table({1, 2}, 4)));  // one more than it claims begins a table that is not there
  CHECK(fits(table({255, 1}, 256)));
  CHECK_FALSE(fits(table({255, 2}, 257)));
  std::vector<int> sixteen(16, 16);
  CHECK(fits(table(sixteen, 256)));
  sixteen.back() = 17;
  CHECK_FALSE(fits(table(sixteen, 257)));
  CHECK(fits(table({1}, 1) + table({0, 3}, 3)));
  CHECK_FALSE(fits(table({1}, 1) + table({0, 3}, 2)));
  CHECK_FALSE(fits(table({1}, 1) + Bytes(16, 0)));
}

TEST_CASE("orientation in both byte orders, short or long, anywhere among the tags") {
  using codecs::exif_orientation;
  for (int value = 1; value <= 8; ++value) {
    CAPTURE(value);
    CHECK(exif_orientation(tiff(true, {{0x112, 3, 1, little32(value)}})) == value);
    CHECK(exif_orientation(tiff(true, {{0x112, 4, 1, little32(value)}})) == value);
    CHECK(exif_orientation(tiff(false, {{0x112, 3, 1, big16(value) + big16(0xFFFF)}})) == value);
    CHECK(exif_orientation(tiff(false, {{0x112, 4, 1, big32(value)}})) == value);
    CHECK(jpeg(jpeg_with(segment(0xE1, kExif + oriented(value)))).orientation == value);
  }
  // A short is two bytes, whatever is behind them; a long is four.
  CHECK(exif_orientation(tiff(true, {{0x112, 3, 1, little16(6) + little16(5)}})) == 6);
  CHECK(exif_orientation(tiff(true, {{0x112, 4, 1, little16(6) + little16(5)}})) == 1);
  for (const int64_t value : {0, 9, 0x106})
    CHECK(exif_orientation(tiff(false, {{0x112, 3, 1, big16(value) + big16(0)}})) == 1);
  const Tag other = {0x110, 2, 4, little32(3)}, ours = {0x112, 3, 1, little32(6)},
            late = {0x112, 3, 1, little32(3)};
  CHECK(exif_orientation(tiff(true, {other, other, ours})) == 6);
  CHECK(exif_orientation(tiff(true, {ours, late})) == 6);
  CHECK(exif_orientation(tiff(true, {other}) + Bytes(24, 0)) == 1);
  CHECK(exif_orientation(tiff(true, {ours}, 20)) == 6);
  CHECK(exif_orientation(tiff(true, {})) == 1);
  // A directory inside of the structure's own head makes no sense.
  Bytes inside = oriented(6);
  inside[4] = 7;
  CHECK(exif_orientation(inside) == 1);
  Bytes mixed = oriented(6);
  mixed[1] = 'M';
  CHECK(exif_orientation(mixed) == 1);
  for (size_t size = 0; size < oriented(6).size(); ++size) {
    Bytes part = oriented(6);
    part.resize(size);
    CHECK(exif_orientation(part) == 1);
  }
}

TEST_CASE("orientation may be any whole number but a BYTE, alone or the first of several") {
  using codecs::exif_orientation;
  for (int type = 0; type <= 16; ++type) {
    CAPTURE(type);
    const bool whole = type == 3 || type == 4 || type == 6 || type == 8 || type == 9 || type == 13;
    CHECK(exif_orientation(tiff(true, {{0x112, type, 1, little32(6)}}) + Bytes(16, 0)) == (whole ? 6 : 1));
    CHECK(exif_orientation(tiff(true, {{0x112, type, 0, little32(6)}}) + Bytes(16, 0)) == 1);
  }
  // The values of more than four bytes are elsewhere; the structure's directory ends at byte 22.
  const Bytes far = tiff(true, {{0x112, 4, 2, little32(22)}}) + little32(6) + little32(3);
  CHECK(exif_orientation(far) == 6);
  CHECK(exif_orientation(Bytes(far.begin(), far.end() - 1)) == 1);
  CHECK(exif_orientation(tiff(true, {{0x112, 3, 3, little32(22)}}) + little32(6) + little32(3)) == 6);
  CHECK(exif_orientation(tiff(true, {{0x112, 4, 0x40000001, little32(22)}}) + little32(6) + little32(3)) ==
        1);
  // A tag that says nothing doesn't count; the next one does.
  CHECK(exif_orientation(tiff(true, {{0x112, 1, 1, little32(6)}, {0x112, 3, 1, little32(3)}})) == 3);
  // The order of the 42 alone may be wrong.
  Bytes turned = oriented(6);
  std::swap(turned[2], turned[3]);
  CHECK(exif_orientation(turned) == 6);
  CHECK(exif_orientation(kExif + kExif + oriented(6)) == 6);
  CHECK(exif_orientation(kExif + kExif + kExif + oriented(6)) == 1);
}

TEST_CASE("orientation in XMP: an attribute or an element, the first with a digit") {
  using codecs::xmp_orientation;
  for (int value = 0; value <= 9; ++value) {
    const std::string digit = std::to_string(value);
    const int want = value >= 1 && value <= 8 ? value : 1;
    CAPTURE(value);
    CHECK(xmp_orientation("<rdf:Description tiff:Orientation=\"" + digit + "\"/>") == want);
    CHECK(xmp_orientation("<rdf:Description tiff:Orientation = '" + digit + "'/>") == want);
    CHECK(xmp_orientation("<tiff:Orientation>" + digit + "</tiff:Orientation>") == want);
    CHECK(xmp_orientation("<tiff:Orientation>\n\t\r " + digit + "</tiff:Orientation>") == want);
  }
  CHECK(xmp_orientation("tiff:Orientation=\"6\" tiff:Orientation=\"3\"") == 6);
  for (const std::string nothing :
       {"", "x", "\"", "=", "=6", ">", "=\"", "=\"\"", ">x", "=\"x6\"", "=\"-6\"", "6"}) {
    CAPTURE(nothing);
    CHECK(xmp_orientation("tiff:Orientation" + nothing) == 1);
    CHECK(xmp_orientation("tiff:Orientation" + nothing + " tiff:Orientation=\"3\"") == 3);
  }
  CHECK(xmp_orientation("exif:Orientation=\"6\"") == 1);
  const std::string whole = "tiff:Orientation = \"6";
  for (size_t size = 0; size < whole.size(); ++size)  // the bytes behind the end are a digit, too
    CHECK(xmp_orientation(std::string_view(whole).substr(0, size)) == 1);
}

TEST_CASE("a raw profile's bytes are behind its third line break") {
  using codecs::raw_profile;
  CHECK(raw_profile("\nexif\n       4\n00fF\n1\n2\n") == Bytes{0x00, 0xFF, 0x12});
  CHECK(raw_profile("\nexif\n       4\n00f") == Bytes{0x00});
  CHECK(raw_profile("\nexif\n       4\n09azAF") == Bytes{0x09});
  CHECK(raw_profile("\nexif\n       4\naf:1122") == Bytes{0xAF});
  CHECK(raw_profile("\nexif\n       4\nA0F9a0f9") == Bytes{0xA0, 0xF9, 0xA0, 0xF9});
  for (const char* none : {"", "\n", "\nexif\n", "\nexif\n4", "\nexif\n4\n"})
    CHECK(raw_profile(none).empty());
}

TEST_CASE("a JPEG's first EXIF segment counts, and only EXIF is EXIF") {
  const auto orientation = [](const Bytes& more) { return jpeg(jpeg_with(more)).orientation; };
  const Bytes six = segment(0xE1, kExif + oriented(6)), three = segment(0xE1, kExif + oriented(3));
  CHECK(orientation(six + three) == 6);
  CHECK(orientation(segment(0xE2, kExif + oriented(3)) + six) == 6);
  CHECK(orientation(segment(0xE1, text("http:") + Bytes{0} + oriented(3)) + six) == 6);
  CHECK(orientation(segment(0xE1, kExif) + six) == 6);  // nothing in it
  CHECK(orientation(segment(0xE1, {}) + six) == 6);
  // It may come after the frame.
  CHECK(jpeg(kBegin + segment(0xC0, kFrame) + six + kScan + kEnd).orientation == 6);
}

TEST_CASE("a picture of as many pixels as the limit is read, one of more is not") {
  ImageLimits limits;
  limits.pixels = 35;
  CHECK(jpeg(jpeg_with({}), limits).width == 7);
  CHECK(bmp_error(bmp(40, 7, 5, 24, 0, 24 * 5), limits) == "");
  limits.pixels = limits.jpeg_pixels = 34;
  const std::string wanted = "f: a picture of 7 x 5 has 35 pixels, the limit is 34: make it smaller";
  CHECK(jpeg_error(jpeg_with({}), limits) == wanted);
  CHECK(bmp_error(bmp(40, 7, 5, 24, 0, 24 * 5), limits) == wanted);
  limits.pixels = limits.jpeg_pixels = -1;
  CHECK(contains(jpeg_error(jpeg_with({}), limits), "the limit is -1"));
  CHECK(ImageLimits{}.pixels == 67108864);        // 8192 x 8192
  CHECK(ImageLimits{}.jpeg_pixels == 268435456);  // at a reduced size
  CHECK(ImageLimits{}.file_bytes == 268435456);   // 256 MiB
}

TEST_CASE("a GIF's first frame is found behind palettes and extensions, and has an end") {
  const Image plain = codecs::decode_gif(gif_head(0) + gif_frame(1, 1) + Bytes{0} + kGifData, "f", {});
  CHECK(plain.width == 2);
  CHECK(plain.height == 3);
  for (int bits = 0; bits < 8; ++bits) {
    CAPTURE(bits);
    const Bytes palette(3u << (bits + 1), 0x2C), one_less(palette.begin(), palette.end() - 1);
    const Bytes frame = gif_frame(1, 1);
    CHECK(gif_error(gif_head(0x80 | bits) + palette + frame + Bytes{0} + kGifData) == "");
    CHECK(gif_error(gif_head(0x80 | bits) + one_less + frame + Bytes{0} + kGifData) != "");
    CHECK(gif_error(gif_head(bits) + frame + Bytes{byte(bits, 0)} + kGifData) == "");  // no palette
    CHECK(gif_error(gif_head(0) + frame + Bytes{byte(0x80 | bits, 0)} + palette + kGifData) == "");
    CHECK(gif_error(gif_head(0) + frame + Bytes{byte(0x80 | bits, 0)} + palette) ==
          "f: the GIF is cut short after " + std::to_string(13 + 10 + palette.size()) + " bytes");
  }
  const Bytes extension = {0x21, 0xF9, 4, 9, 9, 9, 9, 0}, comment = {0x21, 0xFE, 1, 9, 2, 9, 9, 0};
  const Bytes whole = gif_head(0) + extension + comment + gif_frame(1, 1) + Bytes{0} + kGifData;
  CHECK(gif_error(whole) == "");
  CHECK(codecs::decode_gif(whole, "f", {}).warning == "");
  for (size_t size = 6; size < whole.size(); ++size) {
    CAPTURE(size);
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    if (size + 2 >= whole.size())  // the pixel is there, the codes' or the blocks' end is not
      CHECK(codecs::decode_gif(part, "f", {}).warning == "the GIF has no end; its first frame is whole");
    else
      CHECK(gif_error(part) == "f: the GIF is cut short after " + std::to_string(size) + " bytes");
  }
  CHECK(gif_error(gif_head(0) + extension + Bytes{0x3B}) == "f: the GIF holds no picture at byte 21");
  CHECK(gif_error(gif_head(0) + Bytes{0x99}) == "f: damaged GIF: an unknown block at byte 13");
  for (const auto& [width, height] : {std::pair(0, 3), {3, 0}})
    CHECK(gif_error(gif_head(0) + gif_frame(width, height) + Bytes{0} + kGifData) ==
          "f: the GIF's first frame has no pixels");
}

TEST_CASE("a GIF's codes have a meaning, and give all the pixels") {
  const auto error = [](int64_t width, const Bytes& data) {
    return gif_error(gif_head(0) + gif_frame(width, 1) + Bytes{0} + data);
  };
  CHECK(error(1, {2, 2, 0x4C, 0x01, 0}) == "");
  CHECK(error(2, {2, 2, 0x4C, 0x01, 0}) ==
        "f: the GIF's data end before its first frame of 2 x 1 pixels is full");
  CHECK(error(2, {2, 0}) == "f: the GIF's data end before its first frame of 2 x 1 pixels is full");
  // Clear, then 6: the first code after it is a pixel. Clear, 1, 7: 6 would be the next one.
  for (const Bytes& block : {Bytes{2, 1, 0x34, 0}, Bytes{2, 2, 0xCC, 0x01, 0}})
    CHECK(error(9, block) == "f: damaged GIF: a code without a meaning");
  CHECK(error(3, {2, 2, 0x8C, 0x01, 0}) == "");  // clear, 1, 6: the code that is just being made
  for (const int size : {0, 12, 255})
    CHECK(error(1, {byte(size, 0), 2, 0x4C, 0x01, 0}) ==
          "f: damaged GIF: codes of " + std::to_string(size) + " bits");
}

TEST_CASE("a BMP's rows have whole groups of four bytes, and all of them are there but the last padding") {
  struct Case {
    int bits;
    int64_t width, row, bytes;
  };
  for (const Case& c : std::vector<Case>{{1, 1, 4, 1},
                                         {1, 32, 4, 4},
                                         {1, 33, 8, 5},
                                         {2, 5, 4, 2},
                                         {4, 8, 4, 4},
                                         {4, 9, 8, 5},
                                         {8, 4, 4, 4},
                                         {8, 5, 8, 5},
                                         {16, 2, 4, 4},
                                         {16, 3, 8, 6},
                                         {24, 1, 4, 3},
                                         {24, 5, 16, 15},
                                         {32, 1, 4, 4},
                                         {32, 3, 12, 12}}) {
    CAPTURE(c.bits);
    CAPTURE(c.width);
    for (const int64_t info : {12, 40, 56, 108, 124}) {
      CAPTURE(info);
      const int64_t needed = 2 * c.row + c.bytes;
      // The palette would be where the pixels begin.
      const int64_t table = c.bits <= 8 ? int64_t{info == 12 ? 3 : 4} << c.bits : 0;
      const Image image = codecs::decode_bmp(bmp(info, c.width, 3, c.bits, 0, table + needed), "f", {});
      CHECK(image.width == c.width);
      CHECK(image.height == 3);
      CHECK(contains(bmp_error(bmp(info, c.width, 3, c.bits, 0, table + needed - 1)),
                     "need " + std::to_string(needed) + " bytes from byte " +
                         std::to_string(14 + info + table) + " on"));
    }
  }
  CHECK(codecs::decode_bmp(bmp(40, 5, -3, 24, 0, 48), "f", {}).height == 3);  // rows from the top
  CHECK(contains(bmp_error(bmp(40, 5, -3, 24, 0, 46)), "cut short"));
  CHECK(contains(bmp_error(bmp(40, -5, 3, 24, 0, 48)), "has no pixels"));
  CHECK(contains(bmp_error(bmp(40, 5, 0, 24, 0, 48)), "has no pixels"));
  CHECK(contains(bmp_error(bmp(40, 5, INT32_MIN, 24, 0, 48)), "the limit is"));
}

TEST_CASE("headers that are cut short are not read beyond their end") {
  // Behind the end the bytes claim a picture that is too large: whoever looks there says so.
  const Bytes gif = text("GIF89a") + Bytes(30, 0xFF);
  for (size_t size = 6; size < 13; ++size)
    CHECK(error_of([&] {
            codecs::decode_gif({gif.data(), size}, "f", {});
          }) == "f: the GIF is cut short after " + std::to_string(size) + " bytes");
  const Bytes png = Bytes{0x89} + text("PNG\r\n\x1a\n") + big32(13) + text("IHDR") + Bytes(40, 0x7F);
  for (size_t size = 8; size < 33; ++size)
    CHECK(error_of([&] {
            codecs::check_png({png.data(), size}, "f", {});
          }) == "f: the PNG is cut short after " + std::to_string(size) + " bytes");
  CHECK(contains(error_of([&] { codecs::check_png({png.data(), 33}, "f", {}); }), "the limit is"));
  for (const int64_t info : {12, 40}) {
    const Bytes large = bmp(info, 0x7FFF, 0x7FFF, 24, 0, 0) + Bytes(40, 0x7F);
    const size_t needed = info == 12 ? 26 : 54;
    for (size_t size = 2; size < needed; ++size)
      CHECK(error_of([&] {
              codecs::decode_bmp({large.data(), size}, "f", {});
            }) == "f: the BMP is cut short after " + std::to_string(size) + " bytes");
    CHECK(contains(error_of([&] { codecs::decode_bmp({large.data(), needed}, "f", {}); }), "the limit is"));
  }
}

TEST_CASE("BMPs of other kinds are refused") {
  for (const int64_t info : {11, 13, 15, 65, 107, 125})
    CHECK(bmp_error(bmp(info, 1, 1, 24, 0, 100)) ==
          "f: a BMP header of " + std::to_string(info) + " bytes is of no known kind");
  for (const int bits : {0, 3, 5, 15, 25, 48, 64})
    CHECK(bmp_error(bmp(40, 1, 1, bits, 0, 100)) ==
          "f: a BMP of " + std::to_string(bits) + " bits per pixel");
  // Which compressions go with which pixels; 64 bytes are a header of OS/2, which has no bit fields.
  for (const int64_t info : {40, 64})
    for (const int compression : {1, 2, 3, 4, 5, 6, 7})
      for (const int bits : {1, 2, 4, 8, 16, 24, 32}) {
        const bool fields = info == 40 && (compression == 3 || compression == 6) && bits >= 16;
        const bool runs = (compression == 1 && bits == 8) || (compression == 2 && bits == 4) ||
                          (info == 64 && compression == 4 && bits == 24);
        CHECK(bmp_error(bmp(info, 1, 1, bits, compression, 1100)) ==
              (fields || runs
                   ? ""
                   : "f: a BMP of compression " + std::to_string(compression) + " at " +
                         std::to_string(bits) + " bits per pixel cannot be read: save it without"));
      }
  const Bytes whole = bmp(40, 1, 1, 24, 0, 4);
  for (size_t size = 18; size < 54; ++size) {
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(bmp_error(part) == "f: the BMP is cut short after " + std::to_string(size) + " bytes");
  }
  // Pixels that begin behind the end, or inside the header.
  Bytes far = whole;
  far[10] = 59;
  CHECK(contains(bmp_error(far), "from byte 59 on, the file has 58"));
  far[10] = 54 + 2;
  CHECK(contains(bmp_error(far), "from byte 56 on, the file has 58"));
  far[10] = 53;
  CHECK(bmp_error(far) == "f: damaged BMP: its pixels begin at byte 53, inside its header");
}

TEST_CASE("a BMP of runs is there to its end mark, or to its last pixel") {
  // Two rows of five pixels of 8 bits.
  const auto with = [](const Bytes& runs) {
    Bytes file = bmp(40, 5, 2, 8, 1, 0);
    file[10] = 54 + 8;
    file[46] = 2;  // colours
    return file + Bytes(8, 9) + runs;
  };
  const Bytes whole = {5, 1, 0, 0, 0, 3, 1, 0, 1, 0, 2, 1, 0, 1};
  CHECK(bmp_error(with(whole)) == "");
  for (size_t size = 0; size < whole.size() - 2; ++size) {
    CAPTURE(size);
    const Bytes file = with({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    CHECK(contains(bmp_error(file), "f: the BMP is cut short"));
  }
  CHECK(bmp_error(with({whole.begin(), whole.end() - 2})) == "");  // every pixel is there
  CHECK(bmp_error(with({0, 2, 0, 200})) == "");                    // a jump behind the last row
  CHECK(contains(bmp_error(with({0, 2, 7})), "cut short"));
  CHECK(contains(bmp_error(with({0, 5, 1, 1, 1, 1})), "cut short"));
}
