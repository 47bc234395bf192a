#include "tensor/io/zip.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span archive(reinterpret_cast<const std::byte*>(data), size);
  fuzz::expect_data_errors([&] {
    for (const auto& [name, entry] : tensor::io::read_zip_directory(archive, "input")) {
      fuzz::require(entry.offset >= 0 && entry.size >= 0 && entry.offset <= static_cast<int64_t>(size));
      fuzz::expect_data_errors([&, &key = name, &value = entry] {
        const auto content = tensor::io::zip_content(archive, "input", key, value);
        fuzz::require(content.data() >= archive.data() &&
                      content.data() + content.size() <= archive.data() + archive.size());
      });
    }
  });
  return 0;
}
