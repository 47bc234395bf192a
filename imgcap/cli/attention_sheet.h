// Where the model looked, word by word, as one picture.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "imgcap/cli/drawn_word.h"
#include "imgcap/data/image.h"

namespace imgcap::cli {

struct AttentionSheet {
  Image picture;
  std::vector<std::string> legend;  // words that stand there as numbers: the first as 1
};

// A tile a word: the photo, darkened where the word's attention is low, with the word below; from the right on where the
// words are written so. `maps` has a map of rows x columns for each word, row by row. Without words: the photo alone.
// Words that are not ASCII are the business of `draw`; those that it cannot draw become numbers.
AttentionSheet attention_sheet(const Image& photo, const std::vector<std::string>& words,
                               const std::vector<std::vector<float>>& maps, int64_t rows, int64_t columns,
                               const WordDrawer& draw = draw_word);

// Written as a whole or not at all. Errors: io.
void write_png(const std::filesystem::path& file, const Image& image);

}  // namespace imgcap::cli
