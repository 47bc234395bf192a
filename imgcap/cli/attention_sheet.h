// Where the model looked, word by word, as one picture.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "imgcap/data/image.h"

namespace imgcap::cli {

// A tile a word: the photo, darkened where the word's attention is low, with the word below. `maps` has a map
// of rows x columns for each word, row by row. Without words: the photo alone.
Image attention_sheet(const Image& photo, const std::vector<std::string>& words,
                      const std::vector<std::vector<float>>& maps, int64_t rows, int64_t columns);

// Written as a whole or not at all. Errors: io.
void write_png(const std::filesystem::path& file, const Image& image);

}  // namespace imgcap::cli
