// The picture that caption --attention writes.
#include "imgcap/cli/attention_sheet.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tensor/error.h"
#include "tests/folder.h"

using namespace imgcap;
using imgcap::cli::attention_sheet;

namespace {

// A picture of one colour. Tiles are 224 pixels on the longer side, 8 apart, with 24 for the word.
Image grey(int64_t height, int64_t width, uint8_t level = 200) {
  Image image(height, width);
  std::fill(image.pixels.begin(), image.pixels.end(), level);
  return image;
}

int at(const Image& image, int64_t y, int64_t x) { return image.row(y)[3 * x]; }

using Floats = std::vector<float>;
using Words = std::vector<std::string>;

// Black pixels in the strip below the tile's photo.
int64_t ink(const Image& sheet, int64_t top, int64_t left, int64_t width = 224) {
  int64_t black = 0;
  for (int64_t y = top; y < top + 24; ++y)
    for (int64_t x = left; x < left + width; ++x)
      if (x < sheet.width && y < sheet.height) black += at(sheet, y, x) == 0;
  return black;
}

}  // namespace

TEST_CASE("a sheet has a tile a word, five a row, and the photo alone without words") {
  const Image photo = grey(100, 200);
  const auto size = [&](size_t words) {
    const Image sheet =
        attention_sheet(photo, Words(words, "a"), std::vector<Floats>(words, Floats{1}), 1, 1);
    return std::pair(sheet.width, sheet.height);
  };
  const int64_t row = 112 + 24 + 8;
  CHECK(size(0) == std::pair<int64_t, int64_t>(8 + 232, 8 + row));
  CHECK(size(1) == std::pair<int64_t, int64_t>(8 + 232, 8 + row));
  CHECK(size(4) == std::pair<int64_t, int64_t>(8 + 4 * 232, 8 + row));
  CHECK(size(5) == std::pair<int64_t, int64_t>(8 + 5 * 232, 8 + row));
  CHECK(size(6) == std::pair<int64_t, int64_t>(8 + 5 * 232, 8 + 2 * row));
  CHECK(size(11) == std::pair<int64_t, int64_t>(8 + 5 * 232, 8 + 3 * row));
  // Longer sides become 224, whichever it is.
  CHECK(attention_sheet(grey(448, 224), {}, {}, 1, 1).height == 8 + 224 + 24 + 8);
  CHECK(attention_sheet(grey(1, 1000), {}, {}, 1, 1).height == 8 + 1 + 24 + 8);
  CHECK(attention_sheet(grey(10, 10), {}, {}, 1, 1).height == 8 + 224 + 24 + 8);

  const Image alone = attention_sheet(photo, {}, {}, 0, 0);
  CHECK(at(alone, 8, 8) == 200);
  CHECK(at(alone, 8 + 111, 8 + 223) == 200);
  CHECK(at(alone, 7, 8) == 255);
  CHECK(at(alone, 8, 7) == 255);
  CHECK(at(alone, 8 + 112, 8) == 255);
  CHECK(at(alone, 8, 8 + 224) == 255);
  CHECK(ink(alone, 8 + 112, 8) == 0);
}

TEST_CASE("each tile is as bright as its own map, in its own place") {
  // Seven words, each with the photo lit at one side: the left for even ones, the right for odd ones.
  Words words;
  std::vector<Floats> maps;
  for (int i = 0; i < 7; ++i) {
    words.emplace_back("w");
    maps.push_back(i % 2 == 0 ? Floats{0.5f, 0} : Floats{0, 0.25f});
  }
  const Image sheet = attention_sheet(grey(224, 224), words, maps, 1, 2);
  for (int64_t t = 0; t < 7; ++t) {
    CAPTURE(t);
    const int64_t left = 8 + t % 5 * 232, top = 8 + t / 5 * (224 + 24 + 8);
    const int bright = at(sheet, top + 100, left + (t % 2 == 0 ? 0 : 223)),
              dark = at(sheet, top + 100, left + (t % 2 == 0 ? 223 : 0));
    CHECK(bright == 200);
    CHECK(dark == 40);  // a fifth is left
    // Half way there is half of the difference.
    CHECK(std::abs(at(sheet, top + 100, left + 112) - 120) <= 2);
    CHECK(ink(sheet, top + 224, left) > 10);
  }
  // The places of words that are not there are white.
  for (int64_t x = 8 + 2 * 232; x < sheet.width; ++x) CHECK(at(sheet, 8 + 256 + 100, x) == 255);
  // Rows are rows; the three colours are kept apart.
  Image red = grey(224, 224, 0);
  for (size_t i = 0; i < red.pixels.size(); i += 3) red.pixels[i] = 100;
  const Image tall = attention_sheet(red, {"a"}, {{0, 1}}, 2, 1);
  CHECK(at(tall, 8, 100) == 20);
  CHECK(at(tall, 8 + 223, 100) == 100);
  CHECK(tall.row(8 + 223)[3 * 100 + 1] == 0);
  CHECK(tall.row(8 + 223)[3 * 100 + 2] == 0);
  // A map without weight darkens nothing.
  CHECK(at(attention_sheet(grey(224, 224), {"a"}, {{0, 0}}, 1, 2), 100, 100) == 200);
}

TEST_CASE("words are written below their tiles, and end where the tile ends") {
  const auto sheet = [](const std::string& word) {
    return attention_sheet(grey(224, 224), {word, "."}, {{1}, {1}}, 1, 1);
  };
  const int64_t below = 8 + 224;
  CHECK(ink(sheet("dog"), below, 8) > ink(sheet("."), below, 8));
  CHECK(ink(sheet("dog"), below, 8) > 20);
  CHECK(ink(sheet("dog"), below, 8 + 100, 100) == 0);  // three letters are narrow
  const Image wide = sheet(std::string(200, 'W'));
  CHECK(ink(wide, below, 8) > 500);
  CHECK(ink(wide, below, 8 + 224, 8) == 0);
  // Below the photo by some pixels, not on it.
  for (int64_t x = 8; x < 8 + 224; ++x) CHECK(at(wide, below - 1, x) == 200);
  CHECK(ink(wide, below + 24, 8) == 0);
  // Letters that the font has not become question marks.
  CHECK(sheet("\xc3\xa9").pixels == sheet("??").pixels);
  CHECK(sheet("\x1f").pixels == sheet("?").pixels);
  CHECK(sheet("\x7f").pixels == sheet("?").pixels);
  CHECK(sheet("~").pixels != sheet("?").pixels);
}

TEST_CASE("a sheet of words and maps that do not fit is refused") {
  const Image photo = grey(10, 10);
  CHECK_THROWS_WITH_AS(attention_sheet(photo, {"a"}, {}, 1, 1), "attention_sheet: 1 words with 0 maps",
                       tensor::Error);
  CHECK_THROWS_WITH_AS(attention_sheet(photo, {"a"}, {{1, 2}}, 1, 1),
                       "attention_sheet: a map of 2 places for a grid of 1 x 1", tensor::Error);
  CHECK_THROWS_WITH_AS(attention_sheet(photo, {"a"}, {{}}, 0, 1),
                       "attention_sheet: a map of 0 places for a grid of 0 x 1", tensor::Error);
  CHECK_THROWS_WITH_AS(attention_sheet(photo, {"a"}, {{1, 1}}, -1, -2),
                       doctest::Contains("a grid of -1 x -2"), tensor::Error);
}

TEST_CASE("the sheet's file is the picture") {
  const tests::TemporaryFolder folder("sheet");
  const Image picture = attention_sheet(grey(20, 30), {"a"}, {{1, 0}}, 1, 2);
  imgcap::cli::write_png(folder.path / "a.png", picture);
  const Image back = read_image(folder.path / "a.png");
  CHECK(back.height == picture.height);
  CHECK(back.pixels == picture.pixels);
}
