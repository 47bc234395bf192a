// What the tests of tensor/io share: a folder that goes away, and the text of an expected error.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>

#include "tensor/error.h"

namespace tests {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tensor-io-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder: " + pattern);
    path_ = pattern;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path operator/(const char* name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }
  int entries() const {
    return static_cast<int>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::filesystem::path path_;
};

// Plainly, so that what is tested does not make its own input.
inline void put_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}
inline std::string get_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The kind and text of the error that `action` throws: "data: file.pth: ..."; "no error" when it does not.
inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const tensor::Error& error) {
    const char* names[] = {"shape",    "dtype", "device", "index", "argument",
                           "autograd", "cuda",  "io",     "data",  "internal"};
    return std::string(names[static_cast<size_t>(error.kind())]) + ": " + error.what();
  }
  return "no error";
}

inline std::string little_endian(uint64_t value, int bytes) {
  std::string result;
  for (int i = 0; i < bytes; ++i) result += static_cast<char>(value >> (8 * i) & 0xff);
  return result;
}

}  // namespace tests

// `action` throws an error of `kind` ("data", "io"...) whose text contains `text`, in one line.
#define CHECK_ERROR(action, kind, text)                                     \
  do {                                                                      \
    const std::string io_error_ = tests::error_of([&] { (void)(action); }); \
    CAPTURE(io_error_);                                                     \
    CHECK(io_error_.starts_with(kind ": "));                                \
    CHECK(io_error_.find(text) != std::string::npos);                       \
    CHECK(io_error_.find('\n') == std::string::npos);                       \
  } while (false)
