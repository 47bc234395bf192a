// Captions from one format into another.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "imgcap/data/captions.h"

namespace imgcap {

// The formats of captions.h that are written, coco-results left out.
const std::vector<std::string>& written_formats();

// Writes the file whole or not at all (a folder: only where none is, or an empty one). Returns what the
// format cannot hold, "the splits", each once. Errors: io, argument (no such format), data (a name that the
// format cannot hold).
std::vector<std::string> write_captions(const CaptionFile& file, const std::string& format,
                                        const std::filesystem::path& out);

// A field of a row between commas, in quotes where it needs them.
std::string csv_field(const std::string& field);

}  // namespace imgcap
