// Where tests find the optional data set, and how they say that they were skipped.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace tests {

// The folder that IMGCAP_DATA names, or an empty path: then the calling test prints that it is skipped and
// returns.
inline std::filesystem::path data_dir(const char* test) {
  const char* dir = std::getenv("IMGCAP_DATA");
  if (dir == nullptr || *dir == '\0') {
    std::printf("skipped (IMGCAP_DATA is not set): %s\n", test);
    return {};
  }
  return dir;
}

// A folder of the repository.
inline std::filesystem::path source_dir() { return IMGCAP_SOURCE_DIR; }

}  // namespace tests
