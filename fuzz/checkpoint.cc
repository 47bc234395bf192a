#include "imgcap/training/checkpoint.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::MemoryFile file({data, size});
  fuzz::expect_data_errors([&] {
    const auto checkpoint = imgcap::load_checkpoint(file.path());
    for (const auto& [name, t] : checkpoint.weights) fuzz::touch(t);
    for (const auto& [name, t] : checkpoint.training_tensors) fuzz::touch(t);
    const auto stored = imgcap::load_checkpoint(file.path(), imgcap::WeightsAs::stored);
    for (const auto& [name, weight] : stored.stored) fuzz::touch(weight.values);
    fuzz::require(checkpoint.make_vocabulary().size() == checkpoint.decoder.vocabulary);
  });
  return 0;
}
