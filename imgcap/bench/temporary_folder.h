// A folder that goes away with its object.
#pragma once

#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>

#include "tensor/error.h"

namespace imgcap::bench {

class TemporaryFolder {
 public:
  // Errors: io (it cannot be made).
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "imgcap_bench_XXXXXX").string();
    tensor::check(::mkdtemp(name.data()) != nullptr, tensor::ErrorKind::io, "{}: cannot be made: {}", name,
                  std::strerror(errno));
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace imgcap::bench
