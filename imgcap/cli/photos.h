// Photo by photo through the paths of a command line, as caption and classify do it.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "imgcap/cli/cli.h"
#include "imgcap/data/image.h"

namespace imgcap::cli {

struct Photo {
  std::string name;  // its base name, or the archive's member's
  Image image;
  std::chrono::steady_clock::time_point start;  // before it was read
};

// Calls `use` for each photo of the folders, files and archives, in their order. What cannot be read is named
// on stderr with the reason, gives {"image", "error"} on stdout where `json` is set, and makes the exit code
// 2; the others are still done. What decoding warns of is said on stderr and changes nothing else. Throws
// Interrupted after a photo when Ctrl-C asks for it.
void for_each_photo(const std::vector<std::string>& paths, bool json, Program& program,
                    const std::function<void(const Photo&)>& use);

double milliseconds_since(std::chrono::steady_clock::time_point start);

// The text as a JSON string; bytes that are no UTF-8 (a name of a file may have any) become U+FFFD.
std::string quoted(const std::string& text);

}  // namespace imgcap::cli
