// The picture that caption --attention writes.
#include "imgcap/cli/attention_sheet.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "imgcap/metrics/words.h"
#include "tensor/error.h"
#include "tests/cli/search_scene.h"
#include "tests/folder.h"
#include "tests/skip.h"

using namespace imgcap;
using imgcap::cli::AttentionSheet;
using imgcap::cli::Ink;

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

// The picture alone.
Image attention_sheet(const Image& photo, const Words& words, const std::vector<Floats>& maps, int64_t rows,
                      int64_t columns) {
  return cli::attention_sheet(photo, words, maps, rows, columns).picture;
}

// In place of Pango: a box of ink as wide as the word has bytes, where the word is not of `lacking`.
cli::WordDrawer boxes(const Words& lacking = {}) {
  return [lacking](const std::string& word, int64_t height, int64_t) -> std::optional<Ink> {
    if (std::find(lacking.begin(), lacking.end(), word) != lacking.end()) return std::nullopt;
    const auto width = std::ssize(word);
    return Ink{height, width, std::vector<uint8_t>(static_cast<size_t>(height * width), 100)};
  };
}

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
  // What ASCII has and the font has not becomes question marks.
  CHECK(sheet("\x1f").pixels == sheet("?").pixels);
  CHECK(sheet("\x7f").pixels == sheet("?").pixels);
  CHECK(sheet("~").pixels != sheet("?").pixels);
}

TEST_CASE("words that are not ASCII are drawn, and those that cannot be are numbers with a legend") {
  const auto sheet = [](const Words& words, const cli::WordDrawer& draw) {
    return cli::attention_sheet(grey(224, 224), words, std::vector<Floats>(words.size(), {1}), 1, 1, draw);
  };
  // Latin letters with accents, from the left; ASCII is never asked for.
  const AttentionSheet drawn = sheet({"caf\xc3\xa9", "dog"}, boxes({"dog"}));
  CHECK(drawn.legend.empty());
  const int64_t line = 8 + 224 + 4;
  for (int64_t x = 0; x < 8; ++x) CHECK(at(drawn.picture, line, 8 + x) == (x < 5 ? 155 : 255));
  CHECK(at(drawn.picture, line - 1, 8) == 255);
  CHECK(at(drawn.picture, line + 19, 8) == 155);
  CHECK(at(drawn.picture, line + 20, 8) == 255);
  CHECK(ink(drawn.picture, 8 + 224, 8 + 232) > 20);
  // Numbers count what is not drawn.
  const AttentionSheet numbers = sheet({"\xc3\xa9", "dog", "\xc3\xaa", "\xc3\xa9"}, boxes({"\xc3\xa9"}));
  CHECK(numbers.legend == Words{"\xc3\xa9", "\xc3\xa9"});
  const Image same = sheet({"1", "dog", "\xc3\xaa", "2"}, boxes()).picture;
  CHECK(numbers.picture.pixels == same.pixels);
}

TEST_CASE("tiles run from the right where the words are written so, and words end there") {
  const auto sheet = [](const Words& words, const std::vector<Floats>& maps) {
    return cli::attention_sheet(grey(224, 112), words, maps, 1, 1, boxes());
  };
  // Ba, ra; the photo is 112 wide. Tiles tell which they are by a map without weight or by their words' widths.
  const Words words = {"\xd8\xa8", "\xd8\xa8\xd8\xb1", "a", "b", "c", "\xd8\xb1\xd8\xb1\xd8\xb1"};
  const Image arabic = sheet(words, std::vector<Floats>(6, {1})).picture;
  const int64_t line = 8 + 224 + 4, right = 8 + 4 * 232;
  for (int64_t x = 0; x < 112; ++x) {
    CHECK(at(arabic, line, right + x) == (x < 110 ? 255 : 155));
    CHECK(at(arabic, line, right - 232 + x) == (x < 108 ? 255 : 155));
    CHECK(at(arabic, line + 256, right + x) == (x < 106 ? 255 : 155));  // the sixth begins a row
  }
  CHECK(at(arabic, 100, 8) == 200);
  CHECK(at(arabic, 256 + 100, 8) == 255);  // and the row's left is empty
  // ASCII ends there, too: the third is an a.
  CHECK(ink(arabic, 8 + 224, right - 2 * 232 + 112 - 14, 14) > 10);
  CHECK(ink(arabic, 8 + 224, right - 2 * 232, 112 - 14) == 0);
  // The first letter of all words decides.
  const Image latin = sheet({"1", "a", "\xd8\xa8"}, std::vector<Floats>(3, {1})).picture;
  CHECK(at(latin, line, 8 + 2 * 232) == 155);
}

TEST_CASE("Pango joins Arabic letters, and says no where no font has them") {
  const auto drawn = cli::draw_word("\xd9\x83\xd9\x84\xd8\xa8", 20, 224);  // kaf, lam, ba
  if (!drawn) SKIP("this build has no Pango, or the machine no Arabic font");
  const auto inked = [](const Ink& word) {
    return std::count_if(word.cover.begin(), word.cover.end(), [](uint8_t c) { return c > 100; });
  };
  CHECK(drawn->height == 20);
  CHECK(static_cast<int64_t>(drawn->cover.size()) == 20 * drawn->width);
  CHECK(inked(*drawn) > 40);
  // Joined, the three are narrower than the same letters each by itself.
  const auto apart = cli::draw_word("\xd9\x83\xe2\x80\x8c\xd9\x84\xe2\x80\x8c\xd8\xa8", 20, 224);
  REQUIRE(apart);
  CHECK(drawn->width < apart->width);
  CHECK(drawn->cover != apart->cover);
  // No wider than it may be, and then cut.
  std::string much;
  for (int i = 0; i < 100; ++i) much += "\xd9\x83\xd9\x84\xd8\xa8";
  const auto cut = cli::draw_word(much, 20, 224);
  REQUIRE(cut);
  CHECK(cut->width == 224);
  CHECK(inked(*cut) > 400);
  // No font has what Unicode has no character for; malformed bytes are U+FFFD.
  CHECK_FALSE(cli::draw_word("\xf3\xb0\x80\x80", 20, 224));
  CHECK(cli::draw_word("\xff\xd9\x83", 20, 224).has_value());
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

TEST_CASE("caption tells what the numbers on a sheet mean, where no font has the words") {
  const tests::Scene scene;
  Checkpoint model = load_checkpoint(scene.model);
  // All but the blank, so that whatever the model says is Arabic.
  const Words words = {" كلب", " دب", " طائرة", " قطة", " ولد"};
  std::copy(words.begin(), words.end(), model.vocabulary.end() - 5);
  const std::string arabic = scene.folder / "arabic.safetensors", bear = scene.photos + "/" + tests::kBear;
  save_checkpoint(arabic, model);
  tests::write_text(scene.folder / "fonts.conf", "<?xml version=\"1.0\"?><fontconfig/>");
  ::setenv("FONTCONFIG_FILE", (scene.folder / "fonts.conf").c_str(), 1);
  const auto caption = [&](const std::string& format) {
    const tests::Result result =
        tests::run({"caption", "--model", arabic, "--attention", scene.folder / "s.png", "--min-words", "3",
                    "--format", format, bear});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return result;
  };
  const tests::Result text = caption("text"), csv = caption("csv");
  const tensor::io::Json line = tests::read_json(caption("json").out);
  ::unsetenv("FONTCONFIG_FILE");
  const std::string said = line.at("caption").as_text();
  CAPTURE(said);
  std::string legend;
  Words numbered;
  for (const std::string_view word : split_words(said)) {
    numbered.emplace_back(word);
    legend += "  " + std::to_string(numbered.size()) + "  " + numbered.back() + "\n";
  }
  REQUIRE(numbered.size() > 1);
  CHECK(line.at("legend") == tensor::io::Json(numbered));
  CHECK(text.out.ends_with(" ms)\n" + legend));
  CHECK(std::count(csv.out.begin(), csv.out.end(), '\n') == 2);  // stdout is the list's
  CHECK(tests::has(csv.err, "2  " + numbered[1] + "\n"));
  // English has none.
  CHECK(tests::read_json(tests::run({"caption", "--model", scene.model, "--attention", scene.folder / "t.png",
                                     "--json", bear})
                             .out)
            .find("legend") == nullptr);
}
