// A folder with small files in it.
#pragma once

#include <fstream>
#include <string>

#include "tests/folder.h"

namespace tests {

class FileFolder : public TemporaryFolder {
 public:
  FileFolder() : TemporaryFolder("serve") {}
  std::string operator/(const std::string& name) const { return (path / name).string(); }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path / name).parent_path());
    std::ofstream(path / name, std::ios::binary) << text;  // the same file, if it is there
  }
};

}  // namespace tests
