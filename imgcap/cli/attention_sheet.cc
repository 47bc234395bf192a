#include "imgcap/cli/attention_sheet.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>

#include "imgcap/data/image_writer.h"
#include "imgcap/data/resize.h"
#include "imgcap/data/text_direction.h"
#include "imgcap/report/attention_map.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"

#include <stb_easy_font.h>

namespace imgcap::cli {
namespace {

constexpr int64_t kSide = 224, kGap = 8, kTextHeight = 24, kTextTop = 4, kColumns = 5;
constexpr int kTextScale = 2;
constexpr float kDarkest = 0.2f;

bool is_ascii(const std::string& word) {
  return std::all_of(word.begin(), word.end(), [](char c) { return (c & 0x80) == 0; });
}

void blend(Image& sheet, int64_t top, int64_t left, const Ink& ink) {
  for (int64_t y = 0; y < ink.height; ++y)
    for (int64_t x = 0; x < ink.width; ++x)
      std::memset(sheet.row(top + y) + 3 * (left + x),
                  255 - ink.cover[static_cast<size_t>(y * ink.width + x)], 3);
}

// In the sheet's own font, which has ASCII alone. What fits into `width` ends at its right where that is wanted.
void draw_text(Image& sheet, int64_t top, int64_t left, int64_t width, bool at_right, std::string text) {
  for (char& c : text)
    if (c < ' ' || c > '~') c = '?';
  if (at_right) left += std::max<int64_t>(0, width - kTextScale * stb_easy_font_width(text.data()));
  std::vector<std::byte> quads(1 << 16);
  const int count =
      stb_easy_font_print(0, 0, text.data(), nullptr, quads.data(), static_cast<int>(quads.size()));
  for (int q = 0; q < count; ++q) {
    // Four corners of x, y, z and a colour, 16 bytes each; upright rectangles, the first corner and the third
    // are opposite.
    float from[2], to[2];
    std::memcpy(from, &quads[static_cast<size_t>(q) * 64], sizeof from);
    std::memcpy(to, &quads[static_cast<size_t>(q) * 64 + 32], sizeof to);
    const auto pixel = [](float v) { return static_cast<int64_t>(std::lround(v * kTextScale)); };
    for (int64_t y = top + pixel(from[1]); y < std::min(top + pixel(to[1]), sheet.height); ++y)
      for (int64_t x = left + pixel(from[0]); x < std::min({left + pixel(to[0]), left + kSide, sheet.width});
           ++x)
        std::memset(sheet.row(y) + 3 * x, 0, 3);
  }
}

}  // namespace

AttentionSheet attention_sheet(const Image& photo, const std::vector<std::string>& words,
                               const std::vector<std::vector<float>>& maps, int64_t rows, int64_t columns,
                               const WordDrawer& draw) {
  tensor::check(words.size() == maps.size(), tensor::ErrorKind::argument,
                "attention_sheet: {} words with {} maps", words.size(), maps.size());
  for (const auto& map : maps)
    tensor::check(rows > 0 && columns > 0 && static_cast<int64_t>(map.size()) == rows * columns,
                  tensor::ErrorKind::shape, "attention_sheet: a map of {} places for a grid of {} x {}",
                  map.size(), rows, columns);
  const int64_t longer = std::max(photo.height, photo.width);
  const int64_t height = std::max<int64_t>(1, photo.height * kSide / longer),
                width = std::max<int64_t>(1, photo.width * kSide / longer);
  const Image small = resize(photo, height, width);
  const auto tiles = std::max<int64_t>(1, static_cast<int64_t>(words.size()));
  const int64_t across = std::min(tiles, kColumns), down = (tiles + kColumns - 1) / kColumns;
  const int64_t tile_height = height + kTextHeight + kGap;
  const bool from_right = reads_right_to_left(words);
  AttentionSheet result{Image(kGap + down * tile_height, kGap + across * (kSide + kGap)), {}};
  Image& sheet = result.picture;
  std::fill(sheet.pixels.begin(), sheet.pixels.end(), uint8_t{255});
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t column = from_right ? across - 1 - t % kColumns : t % kColumns;
    const int64_t top = kGap + t / kColumns * tile_height, left = kGap + column * (kSide + kGap);
    const auto* map = words.empty() ? nullptr : &maps[static_cast<size_t>(t)];
    const float most = map == nullptr ? 0 : *std::max_element(map->begin(), map->end());
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x) {
        float light = 1;
        if (most > 0)
          light = kDarkest + (1 - kDarkest) / most *
                                 attention_at(*map, rows, columns,
                                              (static_cast<double>(y) + 0.5) / static_cast<double>(height),
                                              (static_cast<double>(x) + 0.5) / static_cast<double>(width));
        for (int64_t channel = 0; channel < 3; ++channel)
          sheet.row(top + y)[3 * (left + x) + channel] =
              static_cast<uint8_t>(std::lround(light * static_cast<float>(small.row(y)[3 * x + channel])));
      }
    if (map == nullptr) continue;
    const std::string& word = words[static_cast<size_t>(t)];
    const int64_t line = top + height + kTextTop;
    if (is_ascii(word)) {
      draw_text(sheet, line, left, width, from_right, word);
    } else if (const auto ink = draw(word, kTextHeight - kTextTop, width)) {
      blend(sheet, line, from_right ? left + width - ink->width : left, *ink);
    } else {
      result.legend.push_back(word);
      draw_text(sheet, line, left, width, from_right, std::to_string(result.legend.size()));
    }
  }
  return result;
}

void write_png(const std::filesystem::path& file, const Image& image) {
  tensor::io::write_file_atomically(file, std::string_view(encode_png(image)));
}

}  // namespace imgcap::cli
