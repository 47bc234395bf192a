// A word as pixels, for pictures whose own font has ASCII alone.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace imgcap::cli {

struct Ink {
  int64_t height = 0, width = 0;
  std::vector<uint8_t> cover;  // row by row; 255 is all ink, 0 none
};

// A word (UTF-8) in a box of at most this size; what is wider ends in an ellipsis.
using WordDrawer = std::function<std::optional<Ink>(const std::string& word, int64_t height, int64_t width)>;

// By Pango, with the machine's fonts: any script, its letters joined and in their order. Nothing where this program was
// built without Pango (IMGCAP_PANGO), or where no font has all of the letters: boxes would tell nobody the word.
std::optional<Ink> draw_word(const std::string& word, int64_t height, int64_t width);

}  // namespace imgcap::cli
