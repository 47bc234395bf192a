// The wire format under TensorBoard's and ONNX's files; every field is tried as a message.
#include "tensor/io/protobuf.h"

#include "fuzz/fuzz.h"

namespace {

using tensor::io::ProtobufReader;
using tensor::io::ProtobufType;

void walk(ProtobufReader reader, std::string_view all, int64_t& budget) {
  while (const auto field = reader.next()) {
    fuzz::require(field->number > 0);
    if (field->type != ProtobufType::bytes) continue;
    fuzz::require(field->bytes.data() >= all.data() &&
                  field->bytes.data() + field->bytes.size() <= all.data() + all.size());
    if (--budget < 0) return;  // each byte may be tried at each depth
    fuzz::expect_data_errors([&] { fuzz::require(reader.integers(*field).size() <= field->bytes.size()); });
    fuzz::expect_data_errors([&] { walk(reader.inside(*field), all, budget); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  int64_t budget = 100'000;
  fuzz::expect_data_errors([&] { walk(ProtobufReader(text, "input"), text, budget); });
  return 0;
}
