#include "tensor/io/npy.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::MemoryFile file({data, size});
  fuzz::expect_data_errors([&] { fuzz::touch(tensor::io::read_npy(file.path())); });
  return 0;
}
