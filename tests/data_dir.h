// Where tests find the optional data set, and the repository's own files.
#pragma once

#include <cstdlib>
#include <filesystem>

#include "tests/skip.h"

namespace tests {

// The folder that IMGCAP_DATA names, or an empty path: `if (dir.empty()) SKIP(tests::kNoData);`
inline std::filesystem::path data_dir() {
  const char* dir = std::getenv("IMGCAP_DATA");
  return dir == nullptr ? "" : dir;
}
inline constexpr const char* kNoData = "IMGCAP_DATA is not set";

// A folder of the repository.
inline std::filesystem::path source_dir() { return IMGCAP_SOURCE_DIR; }

}  // namespace tests
