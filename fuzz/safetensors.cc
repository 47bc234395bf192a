#include "tensor/io/safetensors.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::MemoryFile file({data, size});
  fuzz::expect_data_errors([&] {
    const auto header = tensor::io::read_safetensors_header(file.path());
    const auto contents = tensor::io::read_safetensors(file.path());  // may still refuse a bool
    fuzz::require(contents.tensors.size() == header.tensors.size());
    int64_t bytes = 0;
    for (const auto& [name, t] : contents.tensors) {
      const auto& entry = header.tensors.at(name);
      fuzz::require(t.shape() == entry.shape && t.dtype() == entry.dtype &&
                    t.bytes() == entry.end - entry.begin);
      bytes += t.bytes();
      fuzz::touch(t);
    }
    fuzz::require(bytes < static_cast<int64_t>(size));  // no byte belongs to two tensors
  });
  return 0;
}
