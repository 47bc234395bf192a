#include "imgcap/data/tar.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::MemoryFile file({data, size});
  fuzz::expect_data_errors([&] {
    for (const auto& member : imgcap::read_tar_index(file.descriptor(), "input")) {
      fuzz::require(member.offset >= 0 && member.size >= 0 &&
                    member.offset + member.size <= static_cast<int64_t>(size));
      std::vector<uint8_t> bytes(static_cast<size_t>(member.size));
      imgcap::read_at(file.descriptor(), member.offset, bytes.data(), member.size, "input");
    }
  });
  return 0;
}

// Gives every block that says it is a header the checksum that fits; else hardly a change would get past it.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned) {
  size = LLVMFuzzerMutate(data, size, most);
  for (size_t at = 0; at + 512 <= size; at += 512) {
    uint8_t* block = data + at;
    if (std::memcmp(block + 257, "ustar", 5) != 0) continue;
    std::fill(block + 148, block + 156, ' ');
    unsigned sum = 0;
    for (size_t i = 0; i < 512; ++i) sum += block[i];
    std::snprintf(reinterpret_cast<char*>(block) + 148, 8, "%06o", sum);
  }
  return size;
}
