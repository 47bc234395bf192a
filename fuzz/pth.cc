#include "tensor/io/pth.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::MemoryFile file({data, size});
  fuzz::expect_data_errors([&] {
    for (const auto& [name, t] : tensor::io::read_pth(file.path()).tensors) fuzz::touch(t);
  });
  return 0;
}
