// Reads the uint8 tensors of a small safetensors file that we made ourselves: trusting, for tests only.
#pragma once

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "imgcap/data/image.h"
#include "tests/json.h"

namespace tests {

struct ByteTensor {
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;

  imgcap::Image image() const {
    imgcap::Image result(shape.at(0), shape.at(1));
    result.pixels = bytes;
    return result;
  }
};

inline std::map<std::string, ByteTensor> read_byte_tensors(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string all((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  uint64_t length = 0;
  std::memcpy(&length, all.data(), 8);
  const tensor::io::Json header = tests::read_json(all.substr(8, length));
  std::map<std::string, ByteTensor> result;
  for (const std::string& name : header.keys()) {
    const tensor::io::Json& entry = header.at(name);
    if (name == "__metadata__" || entry.at("dtype") != "U8") continue;
    const auto* begin = reinterpret_cast<const uint8_t*>(all.data()) + 8 + length;
    ByteTensor& tensor = result[name];
    for (const tensor::io::Json& size : entry.at("shape").items()) tensor.shape.push_back(size.as_int64());
    const tensor::io::Json& range = entry.at("data_offsets");
    tensor.bytes.assign(begin + range.at(0).as_uint64(), begin + range.at(1).as_uint64());
  }
  return result;
}

// The same bytes, and where the first difference is otherwise.
inline std::string difference(const imgcap::Image& got, const ByteTensor& want) {
  if (got.height != want.shape.at(0) || got.width != want.shape.at(1))
    return "size " + std::to_string(got.width) + " x " + std::to_string(got.height);
  size_t count = 0, first = 0;
  for (size_t i = 0; i < want.bytes.size(); ++i)
    if (got.pixels.at(i) != want.bytes[i] && count++ == 0) first = i;
  if (count == 0) return "";
  return std::to_string(count) + " bytes differ, first " + std::to_string(first) + ": " +
         std::to_string(got.pixels[first]) + " for " + std::to_string(want.bytes[first]);
}

// A folder that is gone with the test.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "imgcap_test_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  template <class Bytes>
  std::filesystem::path write(const std::string& name, const Bytes& bytes) const {
    const auto file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return file;
  }

 private:
  std::filesystem::path path_;
};

// The text of the Error that `call` throws; empty when it throws none.
template <class Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace tests
