// TensorBoard's event files. Checksums stand before the messages, so the bytes are tried behind right ones,
// too.
#include "tensor/io/events.h"

#include "fuzz/fuzz.h"
#include "tensor/io/protobuf.h"
#include "tensor/io/tfrecord.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  const auto read = [](std::string_view bytes) {
    for (const auto& scalar : tensor::io::parse_events(bytes, "input").scalars)
      fuzz::require(scalar.step >= 0 && scalar.tag.size() < bytes.size());
  };
  fuzz::expect_data_errors([&] { read(text); });
  tensor::io::ProtobufWriter version;
  version.bytes(3, "brain.Event:2");
  const std::string framed = tensor::io::tfrecord(version.data()) + tensor::io::tfrecord(text);
  fuzz::expect_data_errors([&] { read(framed); });
  return 0;
}
