// The pickle inside a .pth file alone: there a checksum stands between the fuzzer and this reader.
#include "tensor/io/pickle.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::expect_data_errors([&] {
    const tensor::io::Pickle pickle =
        tensor::io::read_pickle({reinterpret_cast<const std::byte*>(data), size}, "input");
    fuzz::require(pickle.root < pickle.values.size());
    for (const auto& value : pickle.values)
      for (const auto item : value.items) fuzz::require(item < pickle.values.size());
    fuzz::require(to_text(pickle, pickle.root, 100).size() <= 103);
    for (const auto& value : pickle.values)
      if (value.kind == tensor::io::PickleValue::Kind::object) fuzz::require(value.items.size() >= 2);
    for (const auto& s : pickle.storages)
      fuzz::require(0 <= s.begin && s.begin <= s.end && s.end <= s.elements);
    for (const auto& t : pickle.tensors) {
      fuzz::require(t.storage < pickle.storages.size());
      fuzz::require(t.sizes.size() == t.strides.size() && t.sizes.size() <= 8);
      for (const int64_t extent : t.sizes) fuzz::require(extent >= 0);
    }
  });
  return 0;
}
