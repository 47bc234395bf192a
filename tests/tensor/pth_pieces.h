// Zip archives, pickles and files of torch.save, put together from pieces that tests can damage.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tensor/io/zip.h"
#include "tests/tensor/io_test_util.h"

namespace tests {

using namespace std::string_literals;

using Entries = std::vector<std::pair<std::string, std::string>>;

// A zip archive of stored entries, as the specification has it.
inline std::string zip(const Entries& entries, bool zip64 = false) {
  std::string archive, directory;
  for (const auto& [name, content] : entries) {
    const uint32_t crc = tensor::io::crc32(std::as_bytes(std::span(content)));
    const std::string common = little_endian(0, 2) + little_endian(0, 2) + little_endian(0, 4) +
                               little_endian(crc, 4) + little_endian(content.size(), 4) +
                               little_endian(content.size(), 4) + little_endian(name.size(), 2);
    std::string extra, offset = little_endian(archive.size(), 4), in_directory = common;
    if (zip64) {
      extra = little_endian(0x7777, 2) + little_endian(1, 2) + "x" + little_endian(1, 2) +
              little_endian(24, 2) + little_endian(content.size(), 8) + little_endian(content.size(), 8) +
              little_endian(archive.size(), 8);
      offset = std::string(4, '\xff');
      in_directory.replace(12, 8, std::string(8, '\xff'));
    }
    directory += std::string("PK\1\2\0\0\0\0", 8) + in_directory + little_endian(extra.size(), 2) +
                 std::string(10, '\0') + offset + name + extra;
    archive += std::string("PK\3\4\0\0", 6) + common + little_endian(0, 2) + name + content;
  }
  const size_t start = archive.size();
  archive += directory;
  std::string count = little_endian(entries.size(), 2), size = little_endian(directory.size(), 4),
              offset = little_endian(start, 4);
  if (zip64) {
    archive += std::string("PK\6\6", 4) + little_endian(44, 8) + little_endian(45, 2) + little_endian(45, 2) +
               little_endian(0, 8) + little_endian(entries.size(), 8) + little_endian(entries.size(), 8) +
               little_endian(directory.size(), 8) + little_endian(start, 8);
    archive += std::string("PK\6\7", 4) + little_endian(0, 4) + little_endian(start + directory.size(), 8) +
               little_endian(1, 4);
    count = std::string(2, '\xff');
    size = offset = std::string(4, '\xff');
  }
  return archive + std::string("PK\5\6\0\0\0\0", 8) + count + count + size + offset + little_endian(0, 2);
}

// The pieces of a pickle. (The suffix s because g++ 12 warns wrongly of plain text + string, its bug 105651.)
inline std::string text(const std::string& s) { return "X"s + little_endian(s.size(), 4) + s; }
inline std::string integer(int64_t n) { return "J"s + little_endian(static_cast<uint64_t>(n), 4); }
inline std::string global(const std::string& module, const std::string& name) {
  return "c"s + module + "\n" + name + "\n";
}
inline std::string storage(const std::string& type, const std::string& key, int64_t numel) {
  return "("s + text("storage") + global("torch", type) + text(key) + text("cpu") + integer(numel) + "tQ";
}
inline std::string tuple(const std::vector<int64_t>& items) {
  std::string result = "(";
  for (const int64_t i : items) result += integer(i);
  return result + "t";
}
inline std::string tensor_of(const std::string& a_storage, int64_t offset, const std::string& sizes,
                             const std::string& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") + "(" + a_storage + integer(offset) + sizes + strides +
         "\x89" + global("collections", "OrderedDict") + ")RtR";
}
inline std::string pickle(const std::string& body) { return "\x80\x02"s + body + "."; }

// A file with one storage of 8 bytes, "0".
inline std::string pth(const std::string& body) {
  return zip({{"a/data.pkl", pickle(body)}, {"a/data/0", std::string("\1\0\0\0\2\0\0\0", 8)}});
}

}  // namespace tests
